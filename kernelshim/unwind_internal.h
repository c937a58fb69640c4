/* SPDX-License-Identifier: MIT */
/*
 * Between the parts of the unwinder, and for its tests:
 *
 *	unwind_table.c	address -> its FDE (which function, which program)
 *	unwind_cfi.c	FDE, address -> a row (how each register of the caller is found)
 *	unwind_expr.c	DWARF expressions inside a row
 *	unwind.c	row, registers -> the caller's registers
 *
 * All of it is async-signal-safe and returns -errno as unwind_step documents.
 */
#ifndef URGE_KERNELSHIM_UNWIND_INTERNAL_H
#define URGE_KERNELSHIM_UNWIND_INTERNAL_H

#include <errno.h>
#include <stddef.h>

#include "kernelshim/unwind.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a table. Past the end it yields zeros and sets bad, which is looked at once, at the end. */
struct unwind_cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline uint64_t cursor_fixed(struct unwind_cursor *c, unsigned bytes)
{
	uint64_t value = 0;

	if ((size_t)(c->end - c->p) < bytes) {
		c->bad = true;
		c->p = c->end;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)*c->p++ << (8 * i);
	return value;
}

static inline uint64_t cursor_leb128(struct unwind_cursor *c, bool sign)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = cursor_fixed(c, 1);
		if (shift < 64)
			value |= (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (sign && shift < 64 && (byte & 0x40))
		value |= ~0ull << shift;
	return value;
}

static inline uint64_t cursor_uleb(struct unwind_cursor *c)
{
	return cursor_leb128(c, false);
}

static inline int64_t cursor_sleb(struct unwind_cursor *c)
{
	return (int64_t)cursor_leb128(c, true);
}

static inline void cursor_skip(struct unwind_cursor *c, uint64_t bytes)
{
	if ((uint64_t)(c->end - c->p) < bytes) {
		c->bad = true;
		bytes = (uint64_t)(c->end - c->p);
	}
	c->p += bytes;
}

/* An address in encoding DW_EH_PE_*; datarel is what that base is relative to, 0 if undefined. */
uintptr_t unwind_read_encoded(struct unwind_cursor *c, uint8_t encoding, uintptr_t datarel);

struct unwind_fde {
	uintptr_t begin, end; /* the code it describes */
	const uint8_t *cie_program, *cie_program_end;
	const uint8_t *program, *program_end;
	uint64_t code_align;
	int64_t data_align;
	uint64_t return_register;
	uint8_t pointer_encoding;
	bool signal_frame;
};

/* Finds the FDE that covers pc. Returns 1, 0 if there is none, or -EINVAL. */
int unwind_fde_find(uintptr_t pc, struct unwind_fde *fde);

/* The same in one .eh_frame_hdr, with every table inside [lo, hi). */
int unwind_fde_search(const uint8_t *hdr, const uint8_t *lo, const uint8_t *hi, uintptr_t pc,
		      struct unwind_fde *fde);

enum unwind_rule {
	UNWIND_RULE_UNSPECIFIED,
	UNWIND_RULE_UNDEFINED,
	UNWIND_RULE_SAME,
	UNWIND_RULE_OFFSET,         /* saved at cfa + arg */
	UNWIND_RULE_VAL_OFFSET,     /* is cfa + arg */
	UNWIND_RULE_REGISTER,       /* is in register arg */
	UNWIND_RULE_EXPRESSION,     /* saved at the value of the expression at address arg */
	UNWIND_RULE_VAL_EXPRESSION, /* is the value of the expression at address arg */
};

struct unwind_row {
	int64_t arg[UNWIND_NREGS];
	int64_t cfa_arg; /* an offset, or with cfa_is_expression the address of an expression */
	uint64_t cfa_register;
	bool cfa_is_expression;
	uint8_t rule[UNWIND_NREGS]; /* enum unwind_rule */
};

/* Runs the call frame program up to pc, which the FDE covers. Returns 0 or -EINVAL. */
int unwind_row_find(const struct unwind_fde *fde, uintptr_t pc, struct unwind_row *row);

/* What an evaluation may read. */
struct unwind_state {
	const struct unwind_regs *regs;
	uintptr_t stack_lo, stack_hi;
};

/* Reads 1, 2, 4 or 8 bytes of the stack, zero-extended. Returns 0 or -EFAULT. */
int unwind_load(const struct unwind_state *state, uintptr_t address, unsigned bytes, uint64_t *out);

/*
 * Evaluates the expression (a uleb128 length, then that many bytes, inside its table) with the
 * ninitial values of initial pushed. Returns 0 or -errno.
 */
int unwind_expression(const struct unwind_state *state, const uint8_t *expression,
		      const uint64_t *initial, unsigned ninitial, uint64_t *out);

#ifdef __cplusplus
}
#endif

#endif
