/* SPDX-License-Identifier: MIT */
/*
 * A DWARF expression evaluator for call frame information: the arithmetic of lazy PLT entries, the
 * dereferences of signal trampolines and realigned stacks. Operators that describe variables
 * (pieces, frame bases, calls) do not occur here and are refused.
 */
#include "kernelshim/unwind_internal.h"

enum {
	OP_ADDR = 0x03,
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_OVER = 0x14,
	OP_PICK = 0x15,
	OP_SWAP = 0x16,
	OP_ROT = 0x17,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_DIV = 0x1b,
	OP_MINUS = 0x1c,
	OP_MOD = 0x1d,
	OP_MUL = 0x1e,
	OP_NEG = 0x1f,
	OP_NOT = 0x20,
	OP_OR = 0x21,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_SHR = 0x25,
	OP_SHRA = 0x26,
	OP_XOR = 0x27,
	OP_BRA = 0x28,
	OP_EQ = 0x29,
	OP_GE = 0x2a,
	OP_GT = 0x2b,
	OP_LE = 0x2c,
	OP_LT = 0x2d,
	OP_NE = 0x2e,
	OP_SKIP = 0x2f,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
};

/* Depth of the stack, and instructions before a backward branch is taken for an endless loop. */
enum { DEPTH_MAX = 16, STEPS_MAX = 1000 };

struct evaluation {
	const struct unwind_state *state;
	struct unwind_cursor c;
	const uint8_t *begin;
	uint64_t stack[DEPTH_MAX];
	unsigned depth;
	int error;
};

static void fail(struct evaluation *e, int error)
{
	if (e->error == 0)
		e->error = error;
}

static void push(struct evaluation *e, uint64_t value)
{
	if (e->depth < DEPTH_MAX)
		e->stack[e->depth++] = value;
	else
		fail(e, -EINVAL);
}

/* The nth value from the top. */
static uint64_t *pick(struct evaluation *e, uint64_t n)
{
	static uint64_t nothing;

	if (n < e->depth)
		return &e->stack[e->depth - 1 - n];
	fail(e, -EINVAL);
	return &nothing;
}

static uint64_t pop(struct evaluation *e)
{
	uint64_t value = *pick(e, 0);

	if (e->depth > 0)
		e->depth--;
	return value;
}

static void push_register(struct evaluation *e, uint64_t reg, int64_t offset)
{
	if (reg >= UNWIND_NREGS || !(e->state->regs->known >> reg & 1))
		fail(e, -ENODATA);
	else
		push(e, e->state->regs->value[reg] + (uint64_t)offset);
}

static void dereference(struct evaluation *e, unsigned bytes)
{
	uint64_t value = 0;
	int error = unwind_load(e->state, pop(e), bytes, &value);

	if (error < 0)
		fail(e, error);
	push(e, value);
}

static void branch(struct evaluation *e, bool taken)
{
	int64_t offset = (int16_t)cursor_fixed(&e->c, 2);

	if (!taken)
		return;
	if (offset < e->begin - e->c.p || offset > e->c.end - e->c.p)
		fail(e, -EINVAL);
	else
		e->c.p += offset;
}

/* Division is signed, modulo is not: so DWARF 5 (2.5.1.4) and so does every implementation. */
static uint64_t divide(struct evaluation *e, uint8_t op, uint64_t a, uint64_t b)
{
	if (b == 0) {
		fail(e, -EINVAL);
		return 0;
	}
	if (op == OP_MOD)
		return a % b;
	return b == ~0ull ? -a : (uint64_t)((int64_t)a / (int64_t)b);
}

static uint64_t shift(uint8_t op, uint64_t a, uint64_t b)
{
	if (op == OP_SHRA)
		return (uint64_t)((int64_t)a >> (b < 63 ? b : 63));
	if (b > 63)
		return 0;
	return op == OP_SHL ? a << b : a >> b;
}

static void binary(struct evaluation *e, uint8_t op)
{
	uint64_t b = pop(e), a = pop(e);
	int64_t sa = (int64_t)a, sb = (int64_t)b;

	switch (op) {
	case OP_AND:
		return push(e, a & b);
	case OP_OR:
		return push(e, a | b);
	case OP_XOR:
		return push(e, a ^ b);
	case OP_PLUS:
		return push(e, a + b);
	case OP_MINUS:
		return push(e, a - b);
	case OP_MUL:
		return push(e, a * b);
	case OP_DIV:
	case OP_MOD:
		return push(e, divide(e, op, a, b));
	case OP_SHL:
	case OP_SHR:
	case OP_SHRA:
		return push(e, shift(op, a, b));
	case OP_EQ:
		return push(e, a == b);
	case OP_NE:
		return push(e, a != b);
	case OP_GE:
		return push(e, sa >= sb);
	case OP_GT:
		return push(e, sa > sb);
	case OP_LE:
		return push(e, sa <= sb);
	case OP_LT:
		return push(e, sa < sb);
	}
	fail(e, -EINVAL);
}

static void rotate(struct evaluation *e)
{
	uint64_t top = pop(e), second = pop(e), third = pop(e);

	push(e, top);
	push(e, third);
	push(e, second);
}

static void step(struct evaluation *e, uint8_t op)
{
	struct unwind_cursor *c = &e->c;
	uint64_t value;

	if (op >= OP_LIT0 && op <= OP_LIT31)
		return push(e, op - OP_LIT0);
	if (op >= OP_BREG0 && op <= OP_BREG31)
		return push_register(e, op - OP_BREG0, cursor_sleb(c));

	switch (op) {
	case OP_NOP:
		return;
	case OP_CONST1U:
		return push(e, cursor_fixed(c, 1));
	case OP_CONST1S:
		return push(e, (uint64_t)(int8_t)cursor_fixed(c, 1));
	case OP_CONST2U:
		return push(e, cursor_fixed(c, 2));
	case OP_CONST2S:
		return push(e, (uint64_t)(int16_t)cursor_fixed(c, 2));
	case OP_CONST4U:
		return push(e, cursor_fixed(c, 4));
	case OP_CONST4S:
		return push(e, (uint64_t)(int32_t)cursor_fixed(c, 4));
	case OP_ADDR:
	case OP_CONST8U:
	case OP_CONST8S:
		return push(e, cursor_fixed(c, 8));
	case OP_CONSTU:
		return push(e, cursor_uleb(c));
	case OP_CONSTS:
		return push(e, (uint64_t)cursor_sleb(c));
	case OP_BREGX:
		value = cursor_uleb(c);
		return push_register(e, value, cursor_sleb(c));
	case OP_DEREF:
		return dereference(e, 8);
	case OP_DEREF_SIZE:
		return dereference(e, (unsigned)cursor_fixed(c, 1));
	case OP_DUP:
		return push(e, *pick(e, 0));
	case OP_OVER:
		return push(e, *pick(e, 1));
	case OP_PICK:
		return push(e, *pick(e, cursor_fixed(c, 1)));
	case OP_DROP:
		pop(e);
		return;
	case OP_SWAP:
		value = *pick(e, 0);
		*pick(e, 0) = *pick(e, 1);
		*pick(e, 1) = value;
		return;
	case OP_ROT:
		return rotate(e);
	case OP_ABS:
		value = pop(e);
		return push(e, (int64_t)value < 0 ? -value : value);
	case OP_NEG:
		return push(e, -pop(e));
	case OP_NOT:
		return push(e, ~pop(e));
	case OP_PLUS_UCONST:
		value = pop(e);
		return push(e, value + cursor_uleb(c));
	case OP_SKIP:
		return branch(e, true);
	case OP_BRA:
		return branch(e, pop(e) != 0);
	}
	binary(e, op);
}

int unwind_expression(const struct unwind_state *state, const uint8_t *expression,
		      const uint64_t *initial, unsigned ninitial, uint64_t *out)
{
	/* The length itself was read once before, inside the bounds of its table. */
	struct evaluation e = { .state = state, .c = { .p = expression, .end = expression + 10 } };
	uint64_t length = cursor_uleb(&e.c);

	e.begin = e.c.p;
	e.c.end = e.c.p + length;
	for (unsigned i = 0; i < ninitial; i++)
		push(&e, initial[i]);
	for (unsigned steps = 0; e.c.p < e.c.end && e.error == 0; steps++) {
		if (steps == STEPS_MAX)
			return -EINVAL;
		step(&e, (uint8_t)cursor_fixed(&e.c, 1));
		if (e.c.bad)
			return -EINVAL;
	}
	*out = *pick(&e, 0);
	return e.error;
}
