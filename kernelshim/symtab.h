/* SPDX-License-Identifier: MIT */
/*
 * Names for code addresses, from the ELF symbol tables of the loaded modules: static and hidden
 * functions too, where the file was not stripped. Function names only, as the linker has them: no
 * lines, no demangling.
 */
#ifndef URGE_KERNELSHIM_SYMTAB_H
#define URGE_KERNELSHIM_SYMTAB_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct symtab_symbol {
	char name[192];   /* of the function; cut if longer; "" if unknown */
	char module[64];  /* base name of the module's file; "" if no module is mapped there */
	uintptr_t offset; /* from the function's start; without a name, the address in the file */
};

/*
 * Maps the main program's file; calls module_init, which the unwinder needs too. Once, at boot,
 * before other threads use this file; takes the loader's lock. Returns 0, or -errno if the
 * program's own file can't be read: then everything works but the main program's names.
 */
int symtab_init(void);

/*
 * Fills *out for the instruction at pc: for a call frame, struct unwind_frame's name_pc. True
 * when the function is known. Async-signal-safe, no errno, no locks; may open and map the module's
 * file the first time. A concurrent dlclose of that module is the caller's to prevent.
 */
bool symtab_lookup(uintptr_t pc, struct symtab_symbol *out);

#ifdef __cplusplus
}
#endif

#endif
