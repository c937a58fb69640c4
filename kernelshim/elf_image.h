/* SPDX-License-Identifier: MIT */
/*
 * The function symbols of one ELF file, sorted for look-up. The file is mapped, never copied; the
 * index over it is one anonymous mapping. Raw system calls only.
 */
#ifndef URGE_KERNELSHIM_ELF_IMAGE_H
#define URGE_KERNELSHIM_ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct elf_image {
	const uint8_t *bytes;
	size_t size;
	const Elf64_Shdr *sections;
	unsigned nsections;
	const Elf64_Sym *symbols; /* .symtab, else .dynsym, else NULL */
	uint32_t nsymbols;
	const char *strings;
	size_t strings_size;
	bool owned; /* mapped by elf_image_map */
};

/* Maps the file. Returns 0 or -errno, -ENOEXEC if it is no ELF file of this processor's width. */
int elf_image_map(struct elf_image *image, const char *path);

/* The same of an image that is in memory already and stays the caller's. */
int elf_image_parse(struct elf_image *image, const void *bytes, size_t size);

/* Undoes elf_image_map; nothing after elf_image_parse. */
void elf_image_unmap(struct elf_image *image);

/*
 * True when the module whose first byte is mapped at memory was loaded from this file: ELF header,
 * program headers and notes (the build id is one) are the same. A file that was replaced by an
 * upgrade would give wrong names.
 */
bool elf_image_loaded_at(const struct elf_image *image, const void *memory);

/* Number of symbols that are code. */
uint32_t elf_image_count(const struct elf_image *image);

/* Fills order, of elf_image_count elements, with their indices, sorted for elf_image_find. */
void elf_image_sort(const struct elf_image *image, uint32_t *order);

/* The function that covers this address of the file, or NULL. */
const Elf64_Sym *elf_image_find(const struct elf_image *image, const uint32_t *order,
				uint32_t norder, uint64_t address);

/* Copies the symbol's name, cut to size, always terminated. */
void elf_image_name(const struct elf_image *image, const Elf64_Sym *symbol, char *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
