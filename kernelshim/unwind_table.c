/* SPDX-License-Identifier: MIT */
/*
 * From an address to its FDE (frame description entry), by way of .eh_frame_hdr: a sorted table of
 * (function, FDE) that the linker makes; where it is missing or of variable width, .eh_frame is
 * walked from its start. .debug_frame is not read: it is not loaded.
 */
#include "kernelshim/module.h"
#include "kernelshim/unwind_internal.h"

enum {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SIGNED = 0x08, /* DW_EH_PE_signed, on its own a signed native word */
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,

	PE_PCREL = 0x10,
	PE_DATAREL = 0x30,
	PE_ALIGNED = 0x50,
	PE_BASE = 0x70,

	PE_OMIT = 0xff,
};

/* The length of a fixed-size encoding; 0 for LEB128 and for what does not exist. */
static unsigned encoded_width(uint8_t encoding)
{
	switch (encoding & PE_FORMAT) {
	case PE_UDATA2:
	case PE_SDATA2:
		return 2;
	case PE_UDATA4:
	case PE_SDATA4:
		return 4;
	case PE_ABSPTR:
	case PE_SIGNED:
	case PE_UDATA8:
	case PE_SDATA8:
		return 8;
	}
	return 0;
}

static uint64_t read_format(struct unwind_cursor *c, uint8_t encoding)
{
	unsigned width = encoded_width(encoding);
	uint64_t value;

	switch (encoding & PE_FORMAT) {
	case PE_ULEB128:
		return cursor_uleb(c);
	case PE_SLEB128:
		return (uint64_t)cursor_sleb(c);
	}
	if (width == 0)
		c->bad = true;
	value = cursor_fixed(c, width);
	if ((encoding & PE_FORMAT) == PE_SDATA2)
		value = (uint64_t)(int16_t)value;
	if ((encoding & PE_FORMAT) == PE_SDATA4)
		value = (uint64_t)(int32_t)value;
	return value;
}

uintptr_t unwind_read_encoded(struct unwind_cursor *c, uint8_t encoding, uintptr_t datarel)
{
	uintptr_t at, value;

	if ((encoding & PE_BASE) == PE_ALIGNED)
		cursor_skip(c, -(uintptr_t)c->p % sizeof(uintptr_t));
	at = (uintptr_t)c->p;
	value = read_format(c, encoding);
	switch (encoding & PE_BASE) {
	case PE_ABSPTR:
	case PE_ALIGNED:
		return value;
	case PE_PCREL:
		return value != 0 ? value + at : 0;
	case PE_DATAREL:
		if (datarel != 0)
			return value + datarel;
	}
	c->bad = true;
	return 0;
}

/* The contents of the CIE or FDE at entry; its end, for a caller that walks on, is c->end. */
static int open_entry(const uint8_t *entry, const uint8_t *lo, const uint8_t *hi,
		      struct unwind_cursor *c)
{
	uint64_t length;

	if (entry < lo || entry >= hi)
		return -EINVAL;
	*c = (struct unwind_cursor){ .p = entry, .end = hi };
	length = cursor_fixed(c, 4);
	if (c->bad ||
	    length > (uint64_t)(hi - c->p)) /* 0xffffffff, a 64-bit length, is not emitted */
		return -EINVAL;
	c->end = c->p + length;
	return 0;
}

/* The augmentation: which of the optional fields there are, and in what order. */
static void read_augmentation(struct unwind_cursor *c, const char *letters, struct unwind_fde *fde)
{
	uint64_t length;
	const uint8_t *end;

	if (*letters == '\0')
		return;
	length = cursor_uleb(c);
	if (*letters != 'z' || length > (uint64_t)(c->end - c->p)) {
		c->bad = true;
		return;
	}
	end = c->p + length;
	for (letters++; *letters != '\0'; letters++) {
		switch (*letters) {
		case 'R':
			fde->pointer_encoding = (uint8_t)cursor_fixed(c, 1);
			break;
		case 'P': /* the personality routine, of use to exceptions only */
			unwind_read_encoded(c, (uint8_t)cursor_fixed(c, 1), 0);
			break;
		case 'L':
			cursor_skip(c, 1);
			break;
		case 'S':
			fde->signal_frame = true;
			break;
		case 'B': /* arm64: signed with key B; stripping does not care */
		case 'G': /* arm64: tagged stack */
			break;
		default:
			c->bad = true;
		}
	}
	c->p = end;
}

static int read_cie(const uint8_t *cie, const uint8_t *lo, const uint8_t *hi,
		    struct unwind_fde *fde)
{
	struct unwind_cursor c;
	const char *letters;
	uint64_t version;

	if (open_entry(cie, lo, hi, &c) < 0 || cursor_fixed(&c, 4) != 0)
		return -EINVAL;
	version = cursor_fixed(&c, 1);
	if (version != 1 && version != 3 && version != 4)
		return -EINVAL;
	letters = (const char *)c.p;
	while (cursor_fixed(&c, 1) != 0)
		;
	if (version == 4)
		cursor_skip(&c, 2); /* sizes of an address and of a segment selector */
	fde->code_align = cursor_uleb(&c);
	fde->data_align = cursor_sleb(&c);
	fde->return_register = version == 1 ? cursor_fixed(&c, 1) : cursor_uleb(&c);
	fde->pointer_encoding = PE_ABSPTR;
	fde->signal_frame = false;
	if (!c.bad) /* else the letters may have no end */
		read_augmentation(&c, letters, fde);
	fde->cie_program = c.p;
	fde->cie_program_end = c.end;
	return c.bad || fde->return_register >= UNWIND_NREGS ? -EINVAL : 0;
}

/* Returns 1 with the FDE at entry, or -EINVAL. A CIE is not an FDE. */
static int read_fde(const uint8_t *entry, const uint8_t *lo, const uint8_t *hi,
		    struct unwind_fde *fde)
{
	struct unwind_cursor c;
	const uint8_t *cie;
	bool augmented;

	if (open_entry(entry, lo, hi, &c) < 0)
		return -EINVAL;
	cie = c.p;
	cie -= cursor_fixed(&c, 4);
	if (c.bad || read_cie(cie, lo, hi, fde) < 0)
		return -EINVAL;
	/* The augmentation string follows length, id and version: 4 + 4 + 1 bytes. */
	augmented = cie[9] == 'z';
	fde->begin = unwind_read_encoded(&c, fde->pointer_encoding, 0);
	fde->end = fde->begin + read_format(&c, fde->pointer_encoding);
	if (augmented)
		cursor_skip(&c, cursor_uleb(&c));
	fde->program = c.p;
	fde->program_end = c.end;
	return c.bad ? -EINVAL : 1;
}

static int search_linear(const uint8_t *entry, const uint8_t *lo, const uint8_t *hi, uintptr_t pc,
			 struct unwind_fde *fde)
{
	struct unwind_cursor c;

	for (;; entry = c.end) {
		if (open_entry(entry, lo, hi, &c) < 0)
			return -EINVAL;
		if (c.p == c.end) /* the terminator: length 0 */
			return 0;
		if (cursor_fixed(&c, 4) == 0) /* a CIE */
			continue;
		if (read_fde(entry, lo, hi, fde) < 0)
			return -EINVAL;
		if (pc >= fde->begin && pc < fde->end)
			return 1;
	}
}

int unwind_fde_search(const uint8_t *hdr, const uint8_t *lo, const uint8_t *hi, uintptr_t pc,
		      struct unwind_fde *fde)
{
	struct unwind_cursor c = { .p = hdr, .end = hi };
	uint8_t frame_encoding, count_encoding, table_encoding;
	uint64_t count = 0, below = 0;
	const uint8_t *eh_frame, *table;
	unsigned width;

	if (hdr < lo || hdr >= hi || cursor_fixed(&c, 1) != 1)
		return -EINVAL;
	frame_encoding = (uint8_t)cursor_fixed(&c, 1);
	count_encoding = (uint8_t)cursor_fixed(&c, 1);
	table_encoding = (uint8_t)cursor_fixed(&c, 1);
	eh_frame = (const uint8_t *)unwind_read_encoded(&c, frame_encoding, (uintptr_t)hdr);
	if (count_encoding != PE_OMIT && table_encoding != PE_OMIT)
		count = unwind_read_encoded(&c, count_encoding, (uintptr_t)hdr);
	if (c.bad)
		return -EINVAL;
	width = encoded_width(table_encoding);
	if (count == 0 || width == 0)
		return search_linear(eh_frame, lo, hi, pc, fde);

	table = c.p;
	if (count > (uint64_t)(hi - table) / (2 * width))
		return -EINVAL;
	while (below < count) { /* the first entries, below of them, start at or before pc */
		uint64_t middle = below + (count - below) / 2;

		c.p = table + middle * 2 * width;
		if (unwind_read_encoded(&c, table_encoding, (uintptr_t)hdr) <= pc)
			below = middle + 1;
		else
			count = middle;
	}
	if (below == 0)
		return 0;
	c.p = table + (below - 1) * 2 * width + width;
	if (read_fde((const uint8_t *)unwind_read_encoded(&c, table_encoding, (uintptr_t)hdr), lo,
		     hi, fde) < 0 ||
	    c.bad)
		return -EINVAL;
	return pc >= fde->begin && pc < fde->end;
}

int unwind_fde_find(uintptr_t pc, struct unwind_fde *fde)
{
	struct module module;

	if (!module_find(pc, &module) || module.eh_frame_hdr == NULL)
		return 0;
	return unwind_fde_search((const uint8_t *)module.eh_frame_hdr,
				 (const uint8_t *)module.start, (const uint8_t *)module.end, pc,
				 fde);
}
