/* SPDX-License-Identifier: MIT */
/*
 * Call frame programs (DWARF 5, 6.4.2, and the GNU additions): from an FDE and an address inside it
 * to the row of rules that holds there. Rules for registers that are not tracked are parsed and
 * dropped.
 */
#include "kernelshim/unwind_internal.h"

/* The opcodes of which the operand is in the low six bits. */
enum {
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_OPERAND = 0x3f,
};

enum {
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_ADVANCE_LOC8 = 0x1d,
	CFA_AARCH64_NEGATE_RA_STATE_WITH_PC = 0x2c,
	CFA_AARCH64_NEGATE_RA_STATE = 0x2d, /* elsewhere GNU_window_save, of SPARC only */
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

/* Compilers nest remember_state once, hand-written assembly at times twice. */
enum { REMEMBERED_MAX = 4 };

struct program {
	const struct unwind_fde *fde;
	struct unwind_cursor c;
	uintptr_t location;
	struct unwind_row *row;
	const struct unwind_row *initial; /* what restore goes back to; NULL in the CIE */
	struct unwind_row *remembered;
	unsigned nremembered;
};

static void set_rule(struct program *program, uint64_t reg, enum unwind_rule rule, int64_t arg)
{
	if (reg >= UNWIND_NREGS)
		return;
	program->row->rule[reg] = (uint8_t)rule;
	program->row->arg[reg] = arg;
}

static void restore_rule(struct program *program, uint64_t reg)
{
	if (program->initial == NULL)
		program->c.bad = true;
	else if (reg < UNWIND_NREGS)
		set_rule(program, reg, (enum unwind_rule)program->initial->rule[reg],
			 program->initial->arg[reg]);
}

static void set_cfa(struct program *program, uint64_t reg, int64_t offset)
{
	program->row->cfa_is_expression = false;
	program->row->cfa_register = reg;
	program->row->cfa_arg = offset;
}

/* Steps over an expression; returns its address, that of its length. */
static int64_t read_expression(struct program *program)
{
	int64_t address = (int64_t)(uintptr_t)program->c.p;

	cursor_skip(&program->c, cursor_uleb(&program->c));
	return address;
}

static int64_t read_factored(struct program *program)
{
	return (int64_t)(cursor_uleb(&program->c) * (uint64_t)program->fde->data_align);
}

static int64_t read_factored_sf(struct program *program)
{
	return (int64_t)((uint64_t)cursor_sleb(&program->c) * (uint64_t)program->fde->data_align);
}

/* The opcodes that change the row. */
static void change_row(struct program *program, uint8_t op)
{
	struct unwind_cursor *c = &program->c;
	struct unwind_row *row = program->row;
	uint64_t reg;

	switch (op) {
	case CFA_OFFSET_EXTENDED:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_OFFSET, read_factored(program));
		break;
	case CFA_OFFSET_EXTENDED_SF:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_OFFSET, read_factored_sf(program));
		break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_OFFSET, -read_factored(program));
		break;
	case CFA_VAL_OFFSET:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_VAL_OFFSET, read_factored(program));
		break;
	case CFA_VAL_OFFSET_SF:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_VAL_OFFSET, read_factored_sf(program));
		break;
	case CFA_EXPRESSION:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_EXPRESSION, read_expression(program));
		break;
	case CFA_VAL_EXPRESSION:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_VAL_EXPRESSION, read_expression(program));
		break;
	case CFA_REGISTER:
		reg = cursor_uleb(c);
		set_rule(program, reg, UNWIND_RULE_REGISTER, (int64_t)cursor_uleb(c));
		break;
	case CFA_RESTORE_EXTENDED:
		restore_rule(program, cursor_uleb(c));
		break;
	case CFA_UNDEFINED:
		set_rule(program, cursor_uleb(c), UNWIND_RULE_UNDEFINED, 0);
		break;
	case CFA_SAME_VALUE:
		set_rule(program, cursor_uleb(c), UNWIND_RULE_SAME, 0);
		break;
	case CFA_REMEMBER_STATE:
		if (program->nremembered < REMEMBERED_MAX)
			program->remembered[program->nremembered++] = *row;
		else
			c->bad = true;
		break;
	case CFA_RESTORE_STATE:
		if (program->nremembered > 0)
			*row = program->remembered[--program->nremembered];
		else
			c->bad = true;
		break;
	case CFA_DEF_CFA:
		reg = cursor_uleb(c);
		set_cfa(program, reg, (int64_t)cursor_uleb(c));
		break;
	case CFA_DEF_CFA_SF:
		reg = cursor_uleb(c);
		set_cfa(program, reg, read_factored_sf(program));
		break;
	case CFA_DEF_CFA_REGISTER:
		row->cfa_register = cursor_uleb(c);
		break;
	case CFA_DEF_CFA_OFFSET:
		row->cfa_arg = (int64_t)cursor_uleb(c);
		break;
	case CFA_DEF_CFA_OFFSET_SF:
		row->cfa_arg = read_factored_sf(program);
		break;
	case CFA_DEF_CFA_EXPRESSION:
		row->cfa_is_expression = true;
		row->cfa_arg = read_expression(program);
		break;
	case CFA_GNU_ARGS_SIZE: /* how much a landing pad must pop */
		cursor_uleb(c);
		break;
	case CFA_NOP:
	case CFA_AARCH64_NEGATE_RA_STATE: /* return addresses are stripped, signed or not */
	case CFA_AARCH64_NEGATE_RA_STATE_WITH_PC:
		break;
	default:
		c->bad = true;
	}
}

/* Runs until the row of pc is complete, that is, until the next row begins above pc. */
static int run(struct program *program, uintptr_t pc)
{
	struct unwind_cursor *c = &program->c;
	const uint64_t scale = program->fde->code_align;

	while (c->p < c->end && !c->bad && program->location <= pc) {
		uint8_t op = (uint8_t)cursor_fixed(c, 1);
		uint8_t operand = op & CFA_OPERAND;

		if ((op & ~CFA_OPERAND) == CFA_ADVANCE_LOC)
			program->location += operand * scale;
		else if ((op & ~CFA_OPERAND) == CFA_OFFSET)
			set_rule(program, operand, UNWIND_RULE_OFFSET, read_factored(program));
		else if ((op & ~CFA_OPERAND) == CFA_RESTORE)
			restore_rule(program, operand);
		else if (op == CFA_SET_LOC)
			program->location =
				unwind_read_encoded(c, program->fde->pointer_encoding, 0);
		else if (op == CFA_ADVANCE_LOC1)
			program->location += cursor_fixed(c, 1) * scale;
		else if (op == CFA_ADVANCE_LOC2)
			program->location += cursor_fixed(c, 2) * scale;
		else if (op == CFA_ADVANCE_LOC4)
			program->location += cursor_fixed(c, 4) * scale;
		else if (op == CFA_ADVANCE_LOC8)
			program->location += cursor_fixed(c, 8) * scale;
		else
			change_row(program, op);
	}
	return c->bad ? -EINVAL : 0;
}

int unwind_row_find(const struct unwind_fde *fde, uintptr_t pc, struct unwind_row *row)
{
	struct unwind_row initial, remembered[REMEMBERED_MAX];
	struct program program = {
		.fde = fde,
		.c = { .p = fde->cie_program, .end = fde->cie_program_end },
		.location = fde->begin,
		.row = row,
		.remembered = remembered,
	};
	int error;

	*row = (struct unwind_row){ .cfa_register = UNWIND_NREGS };
	error = run(&program, pc);
	if (error < 0)
		return error;
	initial = *row;
	program.initial = &initial;
	program.c = (struct unwind_cursor){ .p = fde->program, .end = fde->program_end };
	program.location = fde->begin;
	return run(&program, pc);
}
