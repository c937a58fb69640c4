/* SPDX-License-Identifier: MIT */
#include "kernelshim/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>

/* Constant after module_init. */
static struct module program;

static int read_program_headers(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	program.bias = info->dlpi_addr;
	program.path = "";
	program.start = UINTPTR_MAX;
	program.end = 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_GNU_EH_FRAME)
			program.eh_frame_hdr = (const void *)start;
		if (segment->p_type != PT_LOAD)
			continue;
		if (start < program.start)
			program.start = start;
		if (start + segment->p_memsz > program.end)
			program.end = start + segment->p_memsz;
	}
	return 1; /* the first object is the main program; no more */
}

void module_init(void)
{
	dl_iterate_phdr(read_program_headers, NULL);
}

void module_program(struct module *out)
{
	*out = program;
}

bool module_find(uintptr_t address, struct module *out)
{
	struct dl_find_object found;

	if (address >= program.start && address < program.end) {
		*out = program;
		return true;
	}
	if (_dl_find_object((void *)address, &found) != 0)
		return false;
	out->start = (uintptr_t)found.dlfo_map_start;
	out->end = (uintptr_t)found.dlfo_map_end;
	out->bias = found.dlfo_link_map->l_addr;
	out->eh_frame_hdr = found.dlfo_eh_frame;
	out->path = found.dlfo_link_map->l_name;
	return true;
}
