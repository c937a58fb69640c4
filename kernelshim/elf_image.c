/* SPDX-License-Identifier: MIT */
/*
 * An index rather than a scan for each look-up: a dump of many goroutines asks some 100,000 times,
 * and a program may have as many symbols. Sorting takes place once, in the mapping itself.
 */
#include "kernelshim/elf_image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernelshim/sys.h"

/* How far to look back for a function around the nearest one, when that ends before the address. */
enum { NESTING_MAX = 16 };

static bool inside(const struct elf_image *image, uint64_t offset, uint64_t bytes)
{
	return offset <= image->size && bytes <= image->size - offset;
}

static const Elf64_Ehdr *header(const struct elf_image *image)
{
	return (const Elf64_Ehdr *)image->bytes;
}

static const char *symbol_name(const struct elf_image *image, const Elf64_Sym *symbol)
{
	return symbol->st_name < image->strings_size ? image->strings + symbol->st_name : "";
}

/* True when the table of type was found and is usable. */
static bool take_symbols(struct elf_image *image, uint32_t type)
{
	for (unsigned i = 0; i < image->nsections; i++) {
		const Elf64_Shdr *table = &image->sections[i], *strings;

		if (table->sh_type != type || table->sh_link >= image->nsections)
			continue;
		strings = &image->sections[table->sh_link];
		if (table->sh_size == 0 || !inside(image, table->sh_offset, table->sh_size) ||
		    strings->sh_size == 0 || !inside(image, strings->sh_offset, strings->sh_size) ||
		    image->bytes[strings->sh_offset + strings->sh_size - 1] != '\0')
			continue;
		image->symbols = (const Elf64_Sym *)(image->bytes + table->sh_offset);
		image->nsymbols = (uint32_t)(table->sh_size / sizeof(Elf64_Sym));
		image->strings = (const char *)image->bytes + strings->sh_offset;
		image->strings_size = strings->sh_size;
		return true;
	}
	return false;
}

int elf_image_parse(struct elf_image *image, const void *bytes, size_t size)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)bytes;

	*image = (struct elf_image){ .bytes = (const uint8_t *)bytes, .size = size };
	if (size < sizeof(*ehdr) || ehdr->e_ident[EI_MAG0] != ELFMAG0 ||
	    ehdr->e_ident[EI_MAG1] != ELFMAG1 || ehdr->e_ident[EI_MAG2] != ELFMAG2 ||
	    ehdr->e_ident[EI_MAG3] != ELFMAG3 || ehdr->e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr->e_phentsize != sizeof(Elf64_Phdr) ||
	    !inside(image, ehdr->e_phoff, ehdr->e_phnum * sizeof(Elf64_Phdr)))
		return -ENOEXEC;
	if (ehdr->e_shentsize != sizeof(Elf64_Shdr) ||
	    !inside(image, ehdr->e_shoff, ehdr->e_shnum * sizeof(Elf64_Shdr)))
		return 0; /* stripped of everything: no symbols */
	image->sections = (const Elf64_Shdr *)(image->bytes + ehdr->e_shoff);
	image->nsections = ehdr->e_shnum;
	if (!take_symbols(image, SHT_SYMTAB))
		take_symbols(image, SHT_DYNSYM);
	return 0;
}

int elf_image_map(struct elf_image *image, const char *path)
{
	long fd, size, bytes;
	int error;

	fd = sys_call4(SYS_openat, AT_FDCWD, sys_ptr(path), O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	size = sys_call3(SYS_lseek, fd, 0, SEEK_END);
	bytes = size < 0 ? size : sys_call6(SYS_mmap, 0, size, PROT_READ, MAP_PRIVATE, fd, 0);
	sys_call1(SYS_close, fd);
	if (sys_is_error(bytes))
		return (int)bytes;
	error = elf_image_parse(image, (const void *)bytes, (size_t)size);
	image->owned = true;
	if (error < 0)
		elf_image_unmap(image);
	return error;
}

void elf_image_unmap(struct elf_image *image)
{
	if (image->owned)
		sys_call2(SYS_munmap, sys_ptr(image->bytes), (long)image->size);
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

/*
 * Each comparison makes the next one safe: equal headers mean that the segments are where the file
 * says, so that a note inside one can be read.
 */
bool elf_image_loaded_at(const struct elf_image *image, const void *memory)
{
	const Elf64_Ehdr *ehdr = header(image);
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(image->bytes + ehdr->e_phoff);
	const uint64_t table_end = ehdr->e_phoff + ehdr->e_phnum * sizeof(Elf64_Phdr);
	const uint8_t *loaded = (const uint8_t *)memory;
	const Elf64_Phdr *first = NULL;

	if (!same_bytes(image->bytes, loaded, sizeof(*ehdr)))
		return false;
	for (unsigned i = 0; i < ehdr->e_phnum && first == NULL; i++) {
		if (segments[i].p_type == PT_LOAD)
			first = &segments[i];
	}
	if (first == NULL || first->p_offset != 0 || first->p_filesz < table_end ||
	    !inside(image, 0, first->p_filesz) ||
	    !same_bytes((const uint8_t *)segments, loaded + ehdr->e_phoff,
			table_end - ehdr->e_phoff))
		return false;
	for (unsigned i = 0; i < ehdr->e_phnum; i++) {
		const Elf64_Phdr *note = &segments[i];

		/* Linkers put the notes right behind the headers, in the first segment. */
		if (note->p_type == PT_NOTE && note->p_offset < first->p_filesz &&
		    note->p_filesz <= first->p_filesz - note->p_offset &&
		    !same_bytes(image->bytes + note->p_offset, loaded + note->p_offset,
				note->p_filesz))
			return false;
	}
	return true;
}

static bool is_code(const struct elf_image *image, const Elf64_Sym *symbol)
{
	const char *name = symbol_name(image, symbol);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= image->nsections ||
	    name[0] == '\0' || name[0] == '$') /* $x, $d: arm64's marks of code and data */
		return false;
	switch (ELF64_ST_TYPE(symbol->st_info)) {
	case STT_FUNC:
	case STT_GNU_IFUNC: /* the resolver's address */
		return true;
	case STT_NOTYPE: /* a label in assembly */
		return image->sections[symbol->st_shndx].sh_flags & SHF_EXECINSTR;
	}
	return false;
}

uint32_t elf_image_count(const struct elf_image *image)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < image->nsymbols; i++)
		count += is_code(image, &image->symbols[i]);
	return count;
}

/* Of several names for one address, the one to print: more is better. */
static unsigned quality(const struct elf_image *image, const Elf64_Sym *symbol)
{
	const char *name = symbol_name(image, symbol);
	unsigned underscores = 0, length = 0;

	while (underscores < 7 && name[underscores] == '_')
		underscores++;
	while (length < 255 && name[length] != '\0')
		length++;
	return (symbol->st_size != 0) << 13 | (ELF64_ST_TYPE(symbol->st_info) != STT_NOTYPE) << 12 |
	       (ELF64_ST_BIND(symbol->st_info) != STB_LOCAL) << 11 | (7 - underscores) << 8 |
	       (255 - length);
}

/* The order of the index: by address, and the best name of an address last. */
static bool before(const struct elf_image *image, uint32_t a, uint32_t b)
{
	const Elf64_Sym *left = &image->symbols[a], *right = &image->symbols[b];
	unsigned left_quality, right_quality;

	if (left->st_value != right->st_value)
		return left->st_value < right->st_value;
	left_quality = quality(image, left);
	right_quality = quality(image, right);
	return left_quality != right_quality ? left_quality < right_quality : a > b;
}

static void sift_down(const struct elf_image *image, uint32_t *heap, uint32_t n, uint32_t parent)
{
	const uint32_t moved = heap[parent];

	for (;;) {
		uint32_t child = 2 * parent + 1;

		if (child >= n)
			break;
		if (child + 1 < n && before(image, heap[child], heap[child + 1]))
			child++;
		if (!before(image, moved, heap[child]))
			break;
		heap[parent] = heap[child];
		parent = child;
	}
	heap[parent] = moved;
}

/* A heap sort, since libc's qsort may call malloc. */
void elf_image_sort(const struct elf_image *image, uint32_t *order)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < image->nsymbols; i++) {
		if (is_code(image, &image->symbols[i]))
			order[n++] = i;
	}
	for (uint32_t i = n / 2; i > 0; i--)
		sift_down(image, order, n, i - 1);
	for (uint32_t i = n; i > 1; i--) {
		uint32_t largest = order[0];

		order[0] = order[i - 1];
		order[i - 1] = largest;
		sift_down(image, order, i - 1, 0);
	}
}

static bool covers(const struct elf_image *image, const Elf64_Sym *symbol, uint64_t address)
{
	const Elf64_Shdr *section = &image->sections[symbol->st_shndx];

	if (symbol->st_size != 0)
		return address - symbol->st_value < symbol->st_size;
	/* Without a size it goes on to the next symbol, but not into the PLT or another section. */
	return address - section->sh_addr < section->sh_size;
}

const Elf64_Sym *elf_image_find(const struct elf_image *image, const uint32_t *order,
				uint32_t norder, uint64_t address)
{
	uint32_t below = 0, above = norder;
	const Elf64_Sym *nearest;

	while (below < above) { /* the first symbols, below of them, start at or before address */
		uint32_t middle = below + (above - below) / 2;

		if (image->symbols[order[middle]].st_value <= address)
			below = middle + 1;
		else
			above = middle;
	}
	if (below == 0)
		return NULL;
	nearest = &image->symbols[order[below - 1]];
	for (uint32_t back = 1; back <= below && back <= NESTING_MAX; back++) {
		const Elf64_Sym *symbol = &image->symbols[order[below - back]];

		/* A function with a size beats a label inside it. */
		if (symbol->st_size != 0 && covers(image, symbol, address))
			return symbol;
	}
	return nearest->st_size == 0 && covers(image, nearest, address) ? nearest : NULL;
}

void elf_image_name(const struct elf_image *image, const Elf64_Sym *symbol, char *out, size_t size)
{
	const char *name = symbol_name(image, symbol);
	size_t i;

	for (i = 0; i + 1 < size && name[i] != '\0'; i++)
		out[i] = name[i];
	out[i] = '\0';
}
