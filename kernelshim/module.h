/* SPDX-License-Identifier: MIT */
/*
 * Which loaded object an address belongs to, asked without locks: the ground that the unwinder and
 * the symbol table stand on.
 *
 * dladdr and dl_iterate_phdr take the loader's lock, which a stopped goroutine may hold for ever.
 * _dl_find_object (glibc 2.35) reads two alternating copies of a sorted table and is
 * async-signal-safe, even against a dlopen that was stopped half-way. In a static executable it
 * knows the program's text segment only, while the unwind tables lie behind it; therefore the main
 * program's extent is taken from its program headers at boot.
 */
#ifndef URGE_KERNELSHIM_MODULE_H
#define URGE_KERNELSHIM_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct module {
	uintptr_t start, end; /* covers every segment; the gaps between them need not be readable */
	uintptr_t bias;       /* run-time address minus address in the file */
	const void *eh_frame_hdr; /* PT_GNU_EH_FRAME, or NULL */
	const char *path;         /* as the loader has it; "" for the main program */
};

/*
 * Learns the main program's extent. Once, at boot, before other threads use this file. Takes the
 * loader's lock.
 */
void module_init(void);

/* The main program, by its program headers. After module_init. */
void module_program(struct module *out);

/*
 * Finds the object that is mapped at address. Works without module_init as well, but then knows
 * only the text segment of a static executable. Async-signal-safe. The answer, path included, holds
 * until the object is unloaded.
 */
bool module_find(uintptr_t address, struct module *out);

#ifdef __cplusplus
}
#endif

#endif
