/* SPDX-License-Identifier: MIT */
/* The unwinder's parts, on tables made by hand: what no compiler at hand emits, and broken ones. */
#include "kernelshim/module.h"
#include "kernelshim/unwind_internal.h"
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <initializer_list>
#include <vector>

namespace
{

using Bytes = std::vector<uint8_t>;

/* ---- call frame programs ---- */

static const uintptr_t function = 0x1000;

/* Runs the programs of a CIE and an FDE with code_align 2 and data_align -8. */
static int run(const Bytes &cie, const Bytes &program, uintptr_t pc, struct unwind_row *row)
{
	struct unwind_fde fde = {};

	fde.begin = function;
	fde.end = function + 0x100000;
	fde.cie_program = cie.data();
	fde.cie_program_end = cie.data() + cie.size();
	fde.program = program.data();
	fde.program_end = program.data() + program.size();
	fde.code_align = 2;
	fde.data_align = -8;
	return unwind_row_find(&fde, pc, row);
}

static const Bytes cie = { 0x0c, 7, 8, /* def_cfa r7, 8 */ 0x80 | 3, 1 /* offset r3, cfa - 8 */ };

TEST(UnwindCfi, ARowHoldsFromItsAddressOn)
{
	const Bytes program = {
		0x40 | 1, 0x0e, 16,                               /* +2: def_cfa_offset 16 */
		0x02,     0x10, 0x0e, 24,                         /* +0x20: 24 */
		0x03,     0x00, 0x01, 0x0e, 32,                   /* +0x200: 32 */
		0x04,     0x00, 0x00, 0x01, 0x00, 0x0e, 40,       /* +0x20000: 40 */
		0x2e,     0x10,                                   /* GNU_args_size */
		0x1d,     1,    0,    0,    0,    0,    0,  0, 0, /* +2, by advance_loc8 */
		0x0d,     6,                                      /* def_cfa_register r6 */
	};
	const struct {
		uintptr_t offset;
		int64_t cfa_offset;
		uint64_t cfa_register;
	} expected[] = {
		{ 0, 8, 7 },        { 1, 8, 7 },        { 2, 16, 7 },       { 0x21, 16, 7 },
		{ 0x22, 24, 7 },    { 0x221, 24, 7 },   { 0x222, 32, 7 },   { 0x20221, 32, 7 },
		{ 0x20222, 40, 7 }, { 0x20223, 40, 7 }, { 0x20224, 40, 6 },
	};

	for (const auto &want : expected) {
		struct unwind_row row;

		ASSERT_EQ(0, run(cie, program, function + want.offset, &row));
		EXPECT_FALSE(row.cfa_is_expression);
		EXPECT_EQ(want.cfa_offset, row.cfa_arg) << want.offset;
		EXPECT_EQ(want.cfa_register, row.cfa_register) << want.offset;
		EXPECT_EQ(UNWIND_RULE_OFFSET, row.rule[3]);
		EXPECT_EQ(-8, row.arg[3]);
	}
}

TEST(UnwindCfi, SetLocMovesToAnAbsoluteAddress)
{
	const Bytes program = { 0x01, 0x00, 0x20, 0, 0, 0, 0, 0, 0, 0x0e, 16 };
	struct unwind_row row;

	ASSERT_EQ(0, run(cie, program, 0x1fff, &row));
	EXPECT_EQ(8, row.cfa_arg);
	ASSERT_EQ(0, run(cie, program, 0x2000, &row));
	EXPECT_EQ(16, row.cfa_arg);
}

TEST(UnwindCfi, EveryKindOfRule)
{
	const struct {
		Bytes program;
		unsigned reg;
		enum unwind_rule rule;
		int64_t arg;
	} cases[] = {
		{ { 0x05, 4, 2 }, 4, UNWIND_RULE_OFFSET, -16 },
		{ { 0x11, 4, 0x7e }, 4, UNWIND_RULE_OFFSET, 16 },
		{ { 0x2f, 4, 2 }, 4, UNWIND_RULE_OFFSET, 16 },
		{ { 0x14, 4, 2 }, 4, UNWIND_RULE_VAL_OFFSET, -16 },
		{ { 0x15, 4, 0x7e }, 4, UNWIND_RULE_VAL_OFFSET, 16 },
		{ { 0x09, 4, 5 }, 4, UNWIND_RULE_REGISTER, 5 },
		{ { 0x07, 3 }, 3, UNWIND_RULE_UNDEFINED, 0 },
		{ { 0x08, 3 }, 3, UNWIND_RULE_SAME, 0 },
		{ { 0x07, 3, 0xc0 | 3 }, 3, UNWIND_RULE_OFFSET, -8 },
		{ { 0x07, 3, 0x06, 3 }, 3, UNWIND_RULE_OFFSET, -8 },
		{ { 0x80 | 4, 1, 0xc0 | 4 }, 4, UNWIND_RULE_UNSPECIFIED, 0 },
		{ { 0x05, 0xc9, 0x01, 2 }, 4, UNWIND_RULE_UNSPECIFIED, 0 }, /* register 201 */
		{ { 0x2d, 0x2c, 0x00 }, 3, UNWIND_RULE_OFFSET, -8 },
	};

	for (const auto &c : cases) {
		struct unwind_row row;

		ASSERT_EQ(0, run(cie, c.program, function, &row)) << (int)c.program[0];
		EXPECT_EQ(c.rule, row.rule[c.reg]) << (int)c.program[0];
		EXPECT_EQ(c.arg, row.arg[c.reg]) << (int)c.program[0];
	}
}

TEST(UnwindCfi, ExpressionsAreKeptByAddress)
{
	const Bytes program = {
		0x0f, 1, 0x30, 0x10, 4, 2, 0x31, 0x1c, 0x16, 5, 0,
	};
	struct unwind_row row;

	ASSERT_EQ(0, run(cie, program, function, &row));
	EXPECT_TRUE(row.cfa_is_expression);
	EXPECT_EQ((int64_t)(uintptr_t)&program[1], row.cfa_arg);
	EXPECT_EQ(UNWIND_RULE_EXPRESSION, row.rule[4]);
	EXPECT_EQ((int64_t)(uintptr_t)&program[5], row.arg[4]);
	EXPECT_EQ(UNWIND_RULE_VAL_EXPRESSION, row.rule[5]);
	EXPECT_EQ((int64_t)(uintptr_t)&program[10], row.arg[5]);
}

TEST(UnwindCfi, RememberedStatesNestAndCoverTheCfa)
{
	const Bytes program = {
		0x0a,                             /* remember */
		0x0c,     6,    16,   0x0a,       /* def_cfa r6, 16; remember */
		0x07,     3,    0x12, 7,    0x7d, /* undefined r3; def_cfa_sf r7, 24 */
		0x40 | 1, 0x0b,                   /* restore */
		0x40 | 1, 0x0b,                   /* restore */
		0x40 | 1, 0x13, 0x7c,             /* def_cfa_offset_sf 32 */
	};
	struct unwind_row row;

	ASSERT_EQ(0, run(cie, program, function, &row));
	EXPECT_EQ(7u, row.cfa_register);
	EXPECT_EQ(24, row.cfa_arg);
	EXPECT_EQ(UNWIND_RULE_UNDEFINED, row.rule[3]);
	ASSERT_EQ(0, run(cie, program, function + 2, &row));
	EXPECT_EQ(6u, row.cfa_register);
	EXPECT_EQ(16, row.cfa_arg);
	EXPECT_EQ(UNWIND_RULE_OFFSET, row.rule[3]);
	ASSERT_EQ(0, run(cie, program, function + 4, &row));
	EXPECT_EQ(7u, row.cfa_register);
	EXPECT_EQ(8, row.cfa_arg);
	ASSERT_EQ(0, run(cie, program, function + 6, &row));
	EXPECT_EQ(32, row.cfa_arg);
}

TEST(UnwindCfi, BrokenProgramsAreRefused)
{
	const Bytes broken[] = {
		{ 0x3f },                         /* no such opcode */
		{ 0x0b },                         /* restore without remember */
		{ 0x0a, 0x0a, 0x0a, 0x0a, 0x0a }, /* nested too deep */
		{ 0x0c, 7 },                      /* cut */
		{ 0x0f, 5, 0x30 },                /* expression beyond the end */
		{ 0x0e, 0x80, 0x80, 0x80 },       /* LEB128 without end */
		{ 0x03, 0 },
	};
	struct unwind_row row;

	for (const Bytes &program : broken)
		EXPECT_EQ(-EINVAL, run(cie, program, function, &row)) << (int)program[0];
	EXPECT_EQ(-EINVAL, run({ 0xc0 | 3 }, {}, function, &row)); /* restore in a CIE */
}

/* ---- expressions ---- */

static const uint64_t stack[] = { 0x1122334455667788, 0xffffffffffffff80, 42 };

static int evaluate(const Bytes &code, uint64_t *value,
		    std::initializer_list<uint64_t> initial = {})
{
	struct unwind_regs regs = {};
	const struct unwind_state state = { &regs, (uintptr_t)stack,
					    (uintptr_t)stack + sizeof(stack) };
	Bytes expression = { (uint8_t)code.size() };

	unwind_set(&regs, 5, (uintptr_t)stack);
	expression.insert(expression.end(), code.begin(), code.end());
	return unwind_expression(&state, expression.data(), initial.begin(),
				 (unsigned)initial.size(), value);
}

TEST(UnwindExpression, EveryOperator)
{
	const struct {
		Bytes code;
		uint64_t value;
	} cases[] = {
		{ { 0x30 }, 0 },
		{ { 0x4f }, 31 },
		{ { 0x03, 8, 7, 6, 5, 4, 3, 2, 1 }, 0x0102030405060708 },
		{ { 0x08, 0xff }, 0xff },
		{ { 0x09, 0xff }, ~0ull },
		{ { 0x0a, 0xfe, 0xff }, 0xfffe },
		{ { 0x0b, 0xfe, 0xff }, (uint64_t)-2 },
		{ { 0x0c, 0xfd, 0xff, 0xff, 0xff }, 0xfffffffd },
		{ { 0x0d, 0xfd, 0xff, 0xff, 0xff }, (uint64_t)-3 },
		{ { 0x0e, 8, 7, 6, 5, 4, 3, 2, 1 }, 0x0102030405060708 },
		{ { 0x0f, 8, 7, 6, 5, 4, 3, 2, 1 }, 0x0102030405060708 },
		{ { 0x10, 0xe5, 0x8e, 0x26 }, 624485 },
		{ { 0x11, 0x9b, 0xf1, 0x59 }, (uint64_t)-624485 },
		{ { 0x31, 0x32, 0x12, 0x22, 0x22 }, 5 },       /* 1 (2 dup +) + */
		{ { 0x31, 0x32, 0x13 }, 1 },                   /* drop */
		{ { 0x35, 0x32, 0x14 }, 5 },                   /* over */
		{ { 0x35, 0x36, 0x37, 0x15, 2 }, 5 },          /* pick 2 */
		{ { 0x35, 0x33, 0x16, 0x1c }, (uint64_t)-2 },  /* swap, minus */
		{ { 0x31, 0x32, 0x34, 0x17, 0x1c, 0x1c }, 5 }, /* rot: 4 - (1 - 2) */
		{ { 0x09, 0xfb, 0x19 }, 5 },                   /* abs */
		{ { 0x3c, 0x3a, 0x1a }, 8 },                   /* and */
		{ { 0x09, 0xf8, 0x33, 0x1b }, (uint64_t)-2 },  /* div, signed */
		{ { 0x37, 0x33, 0x1c }, 4 },
		{ { 0x37, 0x33, 0x1d }, 1 }, /* mod */
		{ { 0x37, 0x33, 0x1e }, 21 },
		{ { 0x37, 0x1f }, (uint64_t)-7 },
		{ { 0x37, 0x20 }, ~7ull },
		{ { 0x3c, 0x3a, 0x21 }, 14 },
		{ { 0x37, 0x33, 0x22 }, 10 },
		{ { 0x37, 0x23, 0x80, 1 }, 135 }, /* plus_uconst */
		{ { 0x37, 0x34, 0x24 }, 112 },
		{ { 0x37, 0x08, 64, 0x24 }, 0 },
		{ { 0x09, 0x80, 0x08, 60, 0x25 }, 15 },
		{ { 0x09, 0x80, 0x34, 0x26 }, (uint64_t)-8 },
		{ { 0x09, 0x80, 0x08, 200, 0x26 }, ~0ull },
		{ { 0x3c, 0x3a, 0x27 }, 6 },
		{ { 0x32, 0x32, 0x29 }, 1 },
		{ { 0x09, 0xff, 0x32, 0x2a }, 0 }, /* ge, signed */
		{ { 0x33, 0x32, 0x2b }, 1 },
		{ { 0x09, 0xff, 0x32, 0x2c }, 1 },
		{ { 0x33, 0x32, 0x2d }, 0 },
		{ { 0x33, 0x32, 0x2e }, 1 },
		{ { 0x35, 0x2f, 1, 0, 0x36, 0x96 }, 5 },             /* skip over lit6 */
		{ { 0x35, 0x31, 0x28, 1, 0, 0x36 }, 5 },             /* bra, taken */
		{ { 0x35, 0x30, 0x28, 1, 0, 0x36 }, 6 },             /* bra, not taken */
		{ { 0x33, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff }, 0 }, /* a loop: 3 down to 0 */
		{ { 0x75, 16, 0x06 }, 42 },                          /* breg5 +16, deref */
		{ { 0x92, 5, 16, 0x06 }, 42 },                       /* bregx */
		{ { 0x75, 0, 0x94, 1 }, 0x88 },                      /* deref_size */
		{ { 0x75, 0, 0x94, 4 }, 0x55667788 },
	};

	for (const auto &c : cases) {
		uint64_t value = 0xbad;

		EXPECT_EQ(0, evaluate(c.code, &value)) << (int)c.code.back();
		EXPECT_EQ(c.value, value) << (int)c.code.back();
	}
}

TEST(UnwindExpression, TheInitialValueIsAtTheBottom)
{
	uint64_t value;

	EXPECT_EQ(0, evaluate({}, &value, { 7 }));
	EXPECT_EQ(7u, value);
	EXPECT_EQ(0, evaluate({ 0x33, 0x1c }, &value, { 7 }));
	EXPECT_EQ(4u, value);
}

TEST(UnwindExpression, ErrorsNeverReadOrRunOn)
{
	const struct {
		Bytes code;
		int error;
	} cases[] = {
		{ {}, -EINVAL },                   /* no value */
		{ { 0x22 }, -EINVAL },             /* nothing to add */
		{ { 0x31, 0x15, 9 }, -EINVAL },    /* pick beyond */
		{ { 0x31, 0x30, 0x1b }, -EINVAL }, /* division by zero */
		{ { 0x31, 0x30, 0x1d }, -EINVAL },
		{ { 0x0e, 1 }, -EINVAL },                /* cut */
		{ { 0x31, 0x2f, 9, 0 }, -EINVAL },       /* jump out */
		{ { 0x31, 0x2f, 0xf0, 0xff }, -EINVAL }, /* jump out, backwards */
		{ { 0x2f, 0xfd, 0xff }, -EINVAL },       /* endless */
		{ { 0x31, 0x2f, 0xfc, 0xff }, -EINVAL }, /* endless, with a growing stack */
		{ { 0x93, 8 }, -EINVAL },                /* piece */
		{ { 0x75, 24, 0x06 }, -EFAULT },         /* just behind the stack */
		{ { 0x75, 17, 0x06 }, -EFAULT },         /* across its end */
		{ { 0x75, 0x7f, 0x06 }, -EFAULT },       /* before it */
		{ { 0x75, 0, 0x94, 9 }, -EINVAL },
		{ { 0x74, 0 }, -ENODATA },             /* an unknown register */
		{ { 0x92, 0xe4, 0x00, 0 }, -ENODATA }, /* an untracked one */
	};

	for (const auto &c : cases) {
		uint64_t value;

		EXPECT_EQ(c.error, evaluate(c.code, &value)) << testing::PrintToString(c.code);
	}
}

/* ---- tables ---- */

/* An .eh_frame_hdr and an .eh_frame as a linker would lay them out, in one buffer. */
class Table
{
public:
	explicit Table(uint8_t encoding) : encoding(encoding) {}

	/* Three functions of 0x100 bytes with gaps between them. */
	static constexpr uintptr_t functions[3] = { 0x10000, 0x10200, 0x10400 };

	void build(bool sorted_table)
	{
		std::vector<size_t> fdes;
		size_t frame_pointer, table = 0;

		bytes.reserve(4096); /* pc-relative values are computed from its address */
		put(1, 1);
		put(0x1b, 1);                       /* eh_frame: pcrel sdata4 */
		put(sorted_table ? 0x03 : 0xff, 1); /* count: udata4 */
		put(sorted_table ? encoding : 0xff, 1);
		frame_pointer = put(0, 4);
		if (sorted_table) {
			put(3, 4);
			table = bytes.size();
			for (int i = 0; i < 6; i++)
				put(0, width());
		}
		while (bytes.size() % 8 != 0)
			put(0, 1);
		set(frame_pointer, bytes.size() - frame_pointer, 4);
		const size_t cie = put_cie();

		for (uintptr_t start : functions)
			fdes.push_back(put_fde(cie, start));
		put(0, 4);
		for (size_t i = 0; sorted_table && i < 3; i++) {
			encode(table + 2 * i * width(), functions[i]);
			encode(table + (2 * i + 1) * width(), address(fdes[i]));
		}
	}

	int find(uintptr_t pc, struct unwind_fde *fde) const
	{
		return unwind_fde_search(bytes.data(), bytes.data(), bytes.data() + bytes.size(),
					 pc, fde);
	}

	Bytes bytes;

private:
	unsigned width() const { return (encoding & 7) == 2 ? 2 : (encoding & 7) == 3 ? 4 : 8; }

	uintptr_t address(size_t offset) const { return (uintptr_t)bytes.data() + offset; }

	size_t put(uint64_t value, unsigned width)
	{
		const size_t at = bytes.size();

		bytes.resize(at + width);
		set(at, value, width);
		return at;
	}

	void set(size_t at, uint64_t value, unsigned width) { memcpy(&bytes[at], &value, width); }

	void encode(size_t at, uintptr_t value)
	{
		if ((encoding & 0x70) == 0x10)
			value -= address(at);
		if ((encoding & 0x70) == 0x30)
			value -= address(0);
		set(at, value, width());
	}

	size_t put_cie()
	{
		const size_t start = put(0, 4);

		put(0, 4);
		put(1, 1); /* version */
		for (char c : { 'z', 'P', 'L', 'R', 'S' })
			put((uint8_t)c, 1);
		put(0, 1);
		put(2, 1);    /* code_align */
		put(0x78, 1); /* data_align -8 */
		put(UNWIND_PC < 31 ? UNWIND_PC : 30, 1);
		put(1 + 4 + 1 + 1, 1); /* augmentation */
		put(0x9b, 1);          /* personality: indirect pcrel sdata4 */
		put(0x1234, 4);
		put(0x1b, 1); /* LSDA */
		put(0x00, 1); /* FDE pointers: absptr */
		put(0x0c, 1);
		put(7, 1);
		put(8, 1); /* def_cfa r7, 8 */
		set(start, bytes.size() - start - 4, 4);
		return start;
	}

	size_t put_fde(size_t cie, uintptr_t function_start)
	{
		const size_t start = put(0, 4);

		put(start + 4 - cie, 4);
		put(function_start, 8);
		put(0x100, 8);
		put(4, 1);
		put(0x5678, 4); /* LSDA pointer */
		put(0x0e, 1);
		put(16, 1); /* def_cfa_offset 16 */
		set(start, bytes.size() - start - 4, 4);
		return start;
	}

	const uint8_t encoding;
};

constexpr uintptr_t Table::functions[3];

static void expect_three_functions(const Table &table)
{
	struct unwind_fde fde;

	for (uintptr_t start : Table::functions) {
		struct unwind_row row;

		EXPECT_EQ(0, table.find(start - 1, &fde));
		ASSERT_EQ(1, table.find(start, &fde));
		EXPECT_EQ(start, fde.begin);
		EXPECT_EQ(start + 0x100, fde.end);
		EXPECT_TRUE(fde.signal_frame);
		EXPECT_EQ(2u, fde.code_align);
		EXPECT_EQ(-8, fde.data_align);
		ASSERT_EQ(0, unwind_row_find(&fde, start, &row));
		EXPECT_EQ(16, row.cfa_arg);
		EXPECT_EQ(1, table.find(start + 0xff, &fde));
		EXPECT_EQ(0, table.find(start + 0x100, &fde));
	}
	EXPECT_EQ(0, table.find(0, &fde));
	EXPECT_EQ(0, table.find(UINTPTR_MAX, &fde));
}

TEST(UnwindTable, BinarySearchInEveryEncodingThatReaches)
{
	/* Function and FDE may be further apart than 32 bits here: 8 bytes in each base. */
	for (uint8_t encoding : { 0x00, 0x04, 0x0c, 0x14, 0x1c, 0x34, 0x3c }) {
		Table table(encoding);

		table.build(true);
		SCOPED_TRACE((int)encoding);
		expect_three_functions(table);
	}
}

TEST(UnwindTable, LinearSearchWithoutASortedTable)
{
	Table table(0);

	table.build(false);
	expect_three_functions(table);
}

TEST(UnwindTable, ARealTableHasFourByteEntries)
{
	struct unwind_fde fde;

	module_init();
	ASSERT_EQ(1, unwind_fde_find((uintptr_t)expect_three_functions, &fde));
	EXPECT_EQ((uintptr_t)expect_three_functions, fde.begin);
	EXPECT_EQ(0, unwind_fde_find(16, &fde));
}

/* Flipped bytes may give nonsense, but no read outside the buffer (AddressSanitizer sees it). */
TEST(UnwindTable, DamageIsSurvived)
{
	unsigned seed = 1;

	RecordProperty("seed", (int)seed);
	for (int round = 0; round < 20000; round++) {
		Table table(0x3c);
		struct unwind_fde fde;
		struct unwind_row row;

		table.build(round % 2 != 0);
		Bytes exact(table.bytes); /* all its pointers are relative to itself */

		for (int i = rand_r(&seed) % 4; i >= 0; i--)
			exact[(size_t)rand_r(&seed) % exact.size()] ^=
				(uint8_t)(1 << rand_r(&seed) % 8);
		exact.resize(exact.size() - (size_t)rand_r(&seed) % 16);
		exact.shrink_to_fit();
		const uintptr_t pc = Table::functions[round % 3] + 4;

		if (unwind_fde_search(exact.data(), exact.data(), exact.data() + exact.size(), pc,
				      &fde) == 1)
			unwind_row_find(&fde, pc, &row);
	}
}

} // namespace
