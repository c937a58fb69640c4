/* SPDX-License-Identifier: MIT */
/*
 * The main program's file is mapped at boot: it has most of the names that a dump prints, and
 * /proc/self/exe may be out of reach later (chroot, setuid, a mount namespace). Everything else
 * waits for the first look-up of an address in the module, which most programs never make: to sort
 * the symbols and to open a handful of libraries would cost every start a millisecond and more. Raw
 * system calls take no lock of libc, so that doing it in the middle of a dump is safe. The price is
 * that a library's names need a free file descriptor at that moment; without one the dump has
 * module and offset.
 *
 * Mapped modules are on a list that only grows. Two threads may meet the same module at once and
 * map it twice; that is cheaper than a lock which a stopped thread may hold. A module that was
 * unloaded stays listed: each look-up compares the file with what is mapped now, so the entry is no
 * longer found, or found again if the same file comes back to the same place.
 */
#include "kernelshim/symtab.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "kernelshim/elf_image.h"
#include "kernelshim/module.h"
#include "kernelshim/sys.h"

/* Constant once it is on the list. */
struct mapped {
	struct mapped *next;
	uintptr_t start; /* of the module in memory */
	struct elf_image image;
	uint32_t norder;
	uint32_t order[];
};

static struct atomic_ptr mapped_list; /* of struct mapped */

/* Constant after symtab_init. */
static uintptr_t vdso;
static struct elf_image program_image; /* bytes is NULL if the file could not be mapped */

static int open_image(struct elf_image *image, const struct module *module)
{
	const bool is_program = module->path[0] == '\0';
	int error;

	if (module->start == vdso) /* has no file, but its section headers are in memory */
		return elf_image_parse(image, (const void *)vdso,
				       round_up(module->end - vdso, 4096));
	if (is_program && program_image.bytes != NULL)
		return elf_image_parse(image, program_image.bytes, program_image.size);
	error = elf_image_map(image, is_program ? "/proc/self/exe" : module->path);
	if (error == 0 && !elf_image_loaded_at(image, (const void *)module->start)) {
		elf_image_unmap(image);
		error = -ESTALE;
	}
	return error;
}

static struct mapped *map_module(const struct module *module)
{
	struct elf_image image;
	struct mapped *mapped;
	uint32_t count;
	long memory;

	if (open_image(&image, module) < 0)
		return NULL;
	count = elf_image_count(&image);
	memory = sys_call6(SYS_mmap, 0, (long)(sizeof(*mapped) + count * sizeof(uint32_t)),
			   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(memory)) {
		elf_image_unmap(&image);
		return NULL;
	}
	mapped = (struct mapped *)memory;
	mapped->start = module->start;
	mapped->image = image;
	mapped->norder = count;
	elf_image_sort(&image, mapped->order);
	do {
		mapped->next = (struct mapped *)load_rlx_ptr(&mapped_list);
	} while (!cas_ptr(&mapped_list, mapped->next,
			  mapped)); /* pairs with load_acq in find_mapped */
	return mapped;
}

static struct mapped *find_mapped(const struct module *module)
{
	struct mapped *mapped;

	/* pairs with cas in map_module */
	for (mapped = (struct mapped *)load_acq_ptr(&mapped_list); mapped; mapped = mapped->next) {
		if (mapped->start == module->start &&
		    elf_image_loaded_at(&mapped->image, (const void *)module->start))
			return mapped;
	}
	return map_module(module);
}

static void copy_base_name(const struct module *module, char *out, size_t size)
{
	const char *base = module->path[0] != '\0' ? module->path : program_invocation_short_name;
	size_t n = 0;

	for (const char *p = base; *p != '\0'; p++) {
		if (*p == '/')
			base = p + 1;
	}
	for (; n + 1 < size && base[n] != '\0'; n++)
		out[n] = base[n];
	out[n] = '\0';
}

int symtab_init(void)
{
	struct module program;
	struct elf_image image;
	int error;

	module_init();
	vdso = getauxval(AT_SYSINFO_EHDR);
	module_program(&program);
	error = open_image(&image, &program);
	if (error == 0)
		program_image = image;
	return error;
}

bool symtab_lookup(uintptr_t pc, struct symtab_symbol *out)
{
	struct module module;
	struct mapped *mapped;
	const Elf64_Sym *symbol = NULL;

	out->name[0] = '\0';
	out->module[0] = '\0';
	out->offset = pc;
	if (!module_find(pc, &module))
		return false;
	copy_base_name(&module, out->module, sizeof(out->module));
	out->offset = pc - module.bias;
	mapped = find_mapped(&module);
	if (mapped != NULL)
		symbol = elf_image_find(&mapped->image, mapped->order, mapped->norder, out->offset);
	if (symbol == NULL)
		return false;
	elf_image_name(&mapped->image, symbol, out->name, sizeof(out->name));
	out->offset -= symbol->st_value;
	return true;
}
