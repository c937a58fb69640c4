/* SPDX-License-Identifier: MIT */
/* Walks over real stacks, checked against glibc's backtrace(). Tables: unwind_table_test.cc. */
#include "kernelshim/module.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/unwind.h"
#include "tests/unit/errno_kept.h"
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#if defined(URGE_ASAN) || defined(URGE_TSAN)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

namespace
{

struct Stack {
	uintptr_t lo, hi;

	static Stack ofThisThread()
	{
		pthread_attr_t attr;
		void *base;
		size_t size;

		pthread_getattr_np(pthread_self(), &attr);
		pthread_attr_getstack(&attr, &base, &size);
		pthread_attr_destroy(&attr);
		return { (uintptr_t)base, (uintptr_t)base + size };
	}

	bool has(uintptr_t sp) const { return sp >= lo && sp < hi; }
};

/* No allocation after construction: filled in signal handlers. */
struct Walk {
	static constexpr int max = 512;

	struct unwind_frame frames[max];
	int depth = 0;
	int result = 1; /* the last of unwind_step */
	uintptr_t last_sp = 0;

	/* Goes on from regs while sp is on one of the stacks. */
	void from(struct unwind_regs regs, const std::vector<Stack> &stacks)
	{
		ErrnoKept kept;

		while (result == 1 && depth < max) {
			Stack now = stacks.front();

			last_sp = regs.value[UNWIND_SP];
			for (const Stack &stack : stacks) {
				if (stack.has(last_sp))
					now = stack;
			}
			result = unwind_step(&regs, &frames[depth++], now.lo, now.hi);
		}
	}

	void from(const void *ucontext, const std::vector<Stack> &stacks)
	{
		struct unwind_regs regs;

		unwind_from_ucontext(&regs, ucontext);
		from(regs, stacks);
	}

	int find(uintptr_t pc) const
	{
		for (int i = 0; i < depth; i++) {
			if (frames[i].pc == pc)
				return i;
		}
		return -1;
	}
};

/* Both walks from one function; the innermost pcs differ, as they stand at different calls. */
struct Pair {
	Walk ours;
	void *glibc[Walk::max];
	int glibc_depth;

	__attribute__((noinline)) void take(const std::vector<Stack> &stacks)
	{
		ucontext_t context;

		getcontext(&context);
		ours.from(&context, stacks);
		glibc_depth = backtrace(glibc, Walk::max);
	}

	void expectEqual(int at_least) const
	{
		const int intercepted = glibc_depth - ours.depth; /* a sanitizer's backtrace() */

		EXPECT_EQ(0, ours.result);
		ASSERT_GE(intercepted, 0);
		ASSERT_LE(intercepted, SANITIZED);
		ASSERT_GE(ours.depth, at_least);
		for (int i = 1; i < ours.depth; i++)
			EXPECT_EQ((uintptr_t)glibc[i + intercepted], ours.frames[i].pc)
				<< "frame " << i;
	}
};

static Pair pair;
static std::vector<Stack> stacks;

class Unwind : public testing::Test
{
protected:
	static void SetUpTestSuite() { module_init(); }

	void SetUp() override
	{
		void *frame;

		backtrace(&frame, 1); /* loads libgcc_s, which allocates */
		stacks.assign(1, Stack::ofThisThread());
		pair = Pair();
	}
};

/* Frames of three shapes: plain, of variable size (frame pointer), realigned (CFA expression). */
__attribute__((noinline)) static int plain(int depth);

__attribute__((noinline)) static int of_variable_size(int depth)
{
	volatile char *room = (volatile char *)__builtin_alloca((size_t)(depth * 8 + 8));

	room[depth] = 1;
	return plain(depth - 1) + room[depth];
}

__attribute__((noinline)) static int realigned(int depth)
{
	alignas(64) volatile char room[64];

	room[depth % 64] = 1;
	return of_variable_size(depth - 1) + room[depth % 64];
}

__attribute__((noinline)) static int plain(int depth)
{
	int result = 0;

	if (depth <= 0)
		pair.take(stacks);
	else
		result = realigned(depth - 1);
	__asm__ volatile("" : "+r"(result)); /* no tail call */
	return result + 1;
}

TEST_F(Unwind, RecursionThroughFramesOfEveryShape)
{
	plain(60);
	pair.expectEqual(60);
}

TEST_F(Unwind, ThroughLibcIntoAComparator)
{
	int numbers[] = { 3, 1, 2 };

	qsort(numbers, 3, sizeof(int), [](const void *a, const void *b) {
		if (pair.ours.depth == 0)
			pair.take(stacks);
		return *(const int *)a - *(const int *)b;
	});
	EXPECT_EQ(1, numbers[0]);
	pair.expectEqual(4);
}

TEST_F(Unwind, ThroughCxxFramesWithLandingPads)
{
	std::vector<std::vector<int>> owner(3);

	std::for_each(owner.begin(), owner.end(), [](std::vector<int> &v) {
		const std::vector<int> copy(3, 1);

		v = copy;
		pair = Pair();
		pair.take(stacks);
	});
	pair.expectEqual(3);
}

TEST_F(Unwind, EndsAtTheFirstFrameOfAThread)
{
	pthread_t thread;

	pthread_create(
		&thread, nullptr,
		[](void *) -> void * {
			stacks.assign(1, Stack::ofThisThread());
			plain(3);
			return nullptr;
		},
		nullptr);
	pthread_join(thread, nullptr);
	pair.expectEqual(5);
}

TEST_F(Unwind, EndsAtTheFirstFrameOfAContext)
{
	static ucontext_t main_context, context;
	static char stack[64 * 1024];

	stacks.push_back({ (uintptr_t)stack, (uintptr_t)stack + sizeof(stack) });
	getcontext(&context);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = sizeof(stack);
	context.uc_link = &main_context;
	makecontext(&context, (void (*)())(+[] { plain(3); }), 0);
	swapcontext(&main_context, &context);
	pair.expectEqual(5);
}

/*
 * A leaf that keeps its data below sp, with the instruction at which a handler interrupts it. Its
 * table is the CIE's first row, so only the exact pc finds it.
 */
extern "C" uint64_t unwind_test_leaf(uint64_t x);
extern "C" const char unwind_test_leaf_trap[];
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_leaf, unwind_test_leaf_trap\n"
	".type unwind_test_leaf, @function\n"
	"unwind_test_leaf:\n"
	"	.cfi_startproc\n"
	"	movq %rdi, -8(%rsp)\n"
	"	movq %rdi, -128(%rsp)\n"
	"unwind_test_leaf_trap:\n"
	"	ud2\n"
	"	movq -8(%rsp), %rax\n"
	"	addq -128(%rsp), %rax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size unwind_test_leaf, . - unwind_test_leaf\n"
	".popsection\n");
#define TRAP_LENGTH 2
#define CONTEXT_PC(uc) ((uc)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_leaf, unwind_test_leaf_trap\n"
	".type unwind_test_leaf, %function\n"
	"unwind_test_leaf:\n"
	"	.cfi_startproc\n"
	"	mov x1, x0\n"
	"unwind_test_leaf_trap:\n"
	"	udf #0\n"
	"	add x0, x0, x1\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size unwind_test_leaf, . - unwind_test_leaf\n"
	".popsection\n");
#define TRAP_LENGTH 4
#define CONTEXT_PC(uc) ((uc)->uc_mcontext.pc)
#endif

static Walk interrupted;

/* Walks from the handler itself, through the trampoline, and from the interrupted context. */
static void on_trap(int, siginfo_t *, void *context)
{
	ucontext_t *uc = (ucontext_t *)context;

	pair.take(stacks);
	interrupted = Walk();
	interrupted.from(uc, stacks);
	CONTEXT_PC(uc) += TRAP_LENGTH;
}

static void expect_trap_in_leaf()
{
	const int leaf = pair.ours.find((uintptr_t)unwind_test_leaf_trap);

	ASSERT_GE(leaf, 2);
	pair.expectEqual(leaf + 2);
	EXPECT_EQ((uintptr_t)unwind_test_leaf_trap, pair.ours.frames[leaf].name_pc);
	EXPECT_TRUE(pair.ours.frames[leaf - 1].signal_frame);
	EXPECT_EQ(pair.ours.frames[leaf - 1].pc, pair.ours.frames[leaf - 1].name_pc);
	EXPECT_FALSE(pair.ours.frames[leaf].signal_frame);
	EXPECT_EQ(pair.ours.frames[leaf + 1].pc - 1, pair.ours.frames[leaf + 1].name_pc);
	EXPECT_EQ(0, interrupted.result);
	ASSERT_EQ(pair.ours.depth - leaf, interrupted.depth);
	for (int i = 0; i < interrupted.depth; i++) {
		EXPECT_EQ(pair.ours.frames[leaf + i].pc, interrupted.frames[i].pc);
		EXPECT_EQ(pair.ours.frames[leaf + i].cfa, interrupted.frames[i].cfa);
	}
}

TEST_F(Unwind, ASignalInALeafWithARedZone)
{
	struct sigaction action = {}, old;

	action.sa_sigaction = on_trap;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGILL, &action, &old);
	EXPECT_EQ(84u, unwind_test_leaf(42));
	sigaction(SIGILL, &old, nullptr);
	expect_trap_in_leaf();
}

TEST_F(Unwind, FromAnAlternateStackBackToTheFirst)
{
	std::vector<char> memory(256 * 1024);
	stack_t alternate = {}, old_stack;
	struct sigaction action = {}, old;

	alternate.ss_sp = memory.data();
	alternate.ss_size = memory.size();
	sigaltstack(&alternate, &old_stack);
	stacks.push_back({ (uintptr_t)memory.data(), (uintptr_t)memory.data() + memory.size() });
	action.sa_sigaction = on_trap;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGILL, &action, &old);
	EXPECT_EQ(84u, unwind_test_leaf(42));
	sigaction(SIGILL, &old, nullptr);
	sigaltstack(&old_stack, nullptr);
	expect_trap_in_leaf();
}

/* A restorer without tables, as arm64's vDSO has it and as some programs bring along. */
extern "C" void unwind_test_restorer(void);
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	"	nop\n"
	".globl unwind_test_restorer\n"
	"unwind_test_restorer:\n"
	"	movq $15, %rax\n"
	"	syscall\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	"	nop\n"
	".globl unwind_test_restorer\n"
	"unwind_test_restorer:\n"
	"	mov x8, #139\n"
	"	svc #0\n"
	".popsection\n");
#endif

TEST_F(Unwind, ATrampolineWithoutTables)
{
	struct kernel_sigaction {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { on_trap, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, unwind_test_restorer, 0 };
	kernel_sigaction old;

	ASSERT_EQ(0, syscall(SYS_rt_sigaction, SIGILL, &action, &old, 8));
	EXPECT_EQ(84u, unwind_test_leaf(42));
	syscall(SYS_rt_sigaction, SIGILL, &old, nullptr, 8);

	const int leaf = interrupted.depth ? pair.ours.find(interrupted.frames[0].pc) : -1;

	ASSERT_GE(leaf, 2);
	EXPECT_EQ((uintptr_t)unwind_test_restorer, pair.ours.frames[leaf - 1].pc);
	EXPECT_TRUE(pair.ours.frames[leaf - 1].signal_frame);
	EXPECT_EQ(0, pair.ours.result);
	EXPECT_EQ(interrupted.depth, pair.ours.depth - leaf);
}

static sigjmp_buf after_fault;

TEST_F(Unwind, ACallThroughANullPointerLeadsToTheCaller)
{
	struct sigaction action = {}, old;
	void (*volatile nowhere)(void) = nullptr;

	action.sa_sigaction = [](int, siginfo_t *, void *context) {
		interrupted = Walk();
		interrupted.from(context, stacks);
		siglongjmp(after_fault, 1);
	};
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &action, &old);
	pair.take(stacks);
	if (sigsetjmp(after_fault, 1) == 0)
		nowhere();
	sigaction(SIGSEGV, &old, nullptr);
	EXPECT_EQ(0, interrupted.result);
	EXPECT_EQ(0u, interrupted.frames[0].pc);
	EXPECT_TRUE(interrupted.frames[0].guessed);
	ASSERT_EQ(pair.ours.depth, interrupted.depth);
	for (int i = 2; i < interrupted.depth; i++)
		EXPECT_EQ(pair.ours.frames[i].pc, interrupted.frames[i].pc);
}

/* Code without tables: one function keeps a frame pointer, the other uses it for something else. */
extern "C" void unwind_test_with_fp(void (*call)(void));
extern "C" void unwind_test_without_fp(void (*call)(void));
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_with_fp\n"
	"unwind_test_with_fp:\n"
	"	pushq %rbp\n"
	"	movq %rsp, %rbp\n"
	"	call *%rdi\n"
	"	popq %rbp\n"
	"	ret\n"
	".globl unwind_test_without_fp\n"
	"unwind_test_without_fp:\n"
	"	pushq %rbp\n"
	"	movl $12345, %ebp\n"
	"	call *%rdi\n"
	"	popq %rbp\n"
	"	ret\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_with_fp\n"
	"unwind_test_with_fp:\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	mov x29, sp\n"
	"	blr x0\n"
	"	ldp x29, x30, [sp], #16\n"
	"	ret\n"
	".globl unwind_test_without_fp\n"
	"unwind_test_without_fp:\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	mov x29, #12345\n"
	"	blr x0\n"
	"	ldp x29, x30, [sp], #16\n"
	"	ret\n"
	".popsection\n");
#endif

__attribute__((noinline)) static void take_pair()
{
	pair.take(stacks);
	__asm__ volatile("");
}

TEST_F(Unwind, CodeWithoutTablesByItsFramePointer)
{
	unwind_test_with_fp(take_pair);
	EXPECT_EQ(0, pair.ours.result);
	EXPECT_TRUE(pair.ours.frames[2].guessed);
	EXPECT_FALSE(pair.ours.frames[3].guessed);

	Walk through = pair.ours;

	pair = Pair();
	take_pair();
	EXPECT_EQ(pair.ours.depth + 1, through.depth);
	for (int i = 3; i < pair.ours.depth; i++)
		EXPECT_EQ(pair.ours.frames[i].pc, through.frames[i + 1].pc);
}

TEST_F(Unwind, CodeWithoutTablesAndFramePointerEndsTheWalk)
{
	unwind_test_without_fp(take_pair);
	EXPECT_EQ(0, pair.ours.result);
	EXPECT_EQ(3, pair.ours.depth);
}

TEST_F(Unwind, NeverReadsBeyondTheBounds)
{
	const Stack whole = stacks[0];
	ucontext_t context;

	plain(9);
	const Walk full = pair.ours;

	/* A bound at each frame; arm64 keeps the return address at the frame's other end. */
	for (int i = 1; i + 1 < full.depth; i++) {
		stacks.assign(1, Stack{ whole.lo, full.frames[i].cfa - 1 });
		pair = Pair();
		plain(9);
		EXPECT_LE(pair.ours.depth, i + 2);
		EXPECT_NE(1, pair.ours.result);
	}
	getcontext(&context);
	interrupted = Walk();
	interrupted.from(&context, { Stack{ 0, 0 } });
	EXPECT_EQ(-EFAULT, interrupted.result);
	EXPECT_EQ(1, interrupted.depth);
}

TEST_F(Unwind, AnUnknownRegisterIsAnErrorAndKeepsTheFrame)
{
	struct unwind_regs regs = {};
	struct unwind_frame frame;

	unwind_set(&regs, UNWIND_PC, (uintptr_t)unwind_test_leaf);
	EXPECT_EQ(-ENODATA, unwind_step(&regs, &frame, 0, 0));
	EXPECT_EQ((uintptr_t)unwind_test_leaf, frame.pc);
}

/* Claims to keep a frame record wherever the frame pointer says. */
extern "C" const char unwind_test_record[];
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_record\n"
	"unwind_test_record:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa %rbp, 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	nop\n"
	"	.cfi_endproc\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl unwind_test_record\n"
	"unwind_test_record:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa x29, 16\n"
	"	.cfi_offset x29, -16\n"
	"	.cfi_offset x30, -8\n"
	"	nop\n"
	"	.cfi_endproc\n"
	".popsection\n");
#endif

TEST_F(Unwind, ACircleOfFramesIsLeft)
{
	const uintptr_t after = (uintptr_t)unwind_test_record + 1;
	uintptr_t words[8] = { (uintptr_t)&words[2], after, (uintptr_t)&words[0], after };
	struct unwind_regs regs = {};

	unwind_set(&regs, UNWIND_FP, (uintptr_t)words);
	unwind_set(&regs, UNWIND_SP, (uintptr_t)words);
	unwind_set(&regs, UNWIND_PC, after);
	interrupted = Walk();
	interrupted.from(regs, { Stack{ (uintptr_t)words, (uintptr_t)&words[8] } });
	EXPECT_EQ(-ELOOP, interrupted.result);
	EXPECT_EQ(3, interrupted.depth);
}

/* Random registers and stack: any answer will do, but one must come, and from within bounds. */
TEST_F(Unwind, GarbageEndsWithinTheStack)
{
	const long page = sysconf(_SC_PAGESIZE);
	std::vector<uintptr_t> memory((size_t)page / sizeof(uintptr_t));
	const Stack garbage = { (uintptr_t)memory.data(), (uintptr_t)memory.data() + page };
	const uintptr_t code[] = { (uintptr_t)unwind_test_leaf, (uintptr_t)plain + 40,
				   (uintptr_t)realigned + 30, (uintptr_t)of_variable_size + 30, 0 };
	unsigned seed = 1;

	RecordProperty("seed", (int)seed);
	for (int round = 0; round < 2000; round++) {
		struct unwind_regs regs = {};

		for (auto &word : memory) {
			switch (rand_r(&seed) % 4) {
			case 0:
				word = code[rand_r(&seed) % 5] + rand_r(&seed) % 16;
				break;
			case 1:
				word = garbage.lo + (unsigned)rand_r(&seed) % page;
				break;
			default:
				word = (uintptr_t)rand_r(&seed) << rand_r(&seed) % 40;
			}
		}
		for (unsigned i = 0; i < UNWIND_NREGS; i++)
			unwind_set(&regs, i, memory[i]);
		unwind_set(&regs, UNWIND_SP, garbage.lo + (unsigned)rand_r(&seed) % page / 8 * 8);
		unwind_set(&regs, UNWIND_PC, code[rand_r(&seed) % 5]);
		interrupted = Walk();
		interrupted.from(regs, { garbage });
		ASSERT_LT(interrupted.depth, Walk::max);
	}
}

#if defined(__x86_64__) && !SANITIZED
/*
 * Every instruction of a journey through PLT entries, the lazy binder, libc and a comparator is
 * interrupted by the trap flag, and the walk from it must lead back here.
 */
static struct {
	std::vector<uintptr_t> outer; /* the frames above depart's */
	uintptr_t lo, hi;             /* the journey's code */
	long steps, failures;
	uintptr_t first_failure;
} journey;

static void on_step(int, siginfo_t *, void *context)
{
	Walk &walk = interrupted;
	bool right;
	int home = 0;

	walk.depth = 0;
	walk.result = 1;
	walk.from(context, stacks);
	while (home < walk.depth &&
	       (walk.frames[home].name_pc < journey.lo || walk.frames[home].name_pc >= journey.hi))
		home++;
	right = walk.result == 0 && (size_t)(walk.depth - home - 2) == journey.outer.size();
	for (size_t i = 0; right && i < journey.outer.size(); i++)
		right = walk.frames[home + 2 + (int)i].pc == journey.outer[i];
	journey.steps++;
	if (!right && journey.failures++ == 0)
		journey.first_failure = walk.frames[0].pc;
}

extern "C" void unwind_test_trap_on(void);
extern "C" void unwind_test_trap_off(void);
__asm__(".pushsection .text\n"
	".globl unwind_test_trap_on\n"
	"unwind_test_trap_on:\n"
	"	.cfi_startproc\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	orq $0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".globl unwind_test_trap_off\n"
	"unwind_test_trap_off:\n"
	"	.cfi_startproc\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	andq $~0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".popsection\n");

__attribute__((noinline, section("unwind_test_journey"))) static void travel()
{
	int numbers[] = { 3, 1, 2 };
	char text[32];

	unwind_test_trap_on();
	qsort(numbers, 3, sizeof(int),
	      [](const void *a, const void *b) { return *(const int *)a - *(const int *)b; });
	numbers[0] += (int)strtol("17", nullptr, 10);
	free(malloc((size_t)numbers[0]));
	snprintf(text, sizeof(text), "%d %s %g", numbers[0], "x", 1.5);
	numbers[1] = (int)strlen(text) + (int)strtoul(text, nullptr, 8);
	unwind_test_trap_off();
	__asm__ volatile("" ::"r"(numbers) : "memory");
}

__asm__(".pushsection unwind_test_journey, \"ax\", @progbits\n.popsection\n");
extern "C" const char __start_unwind_test_journey[], __stop_unwind_test_journey[];

__attribute__((noinline)) static void depart()
{
	pair.take(stacks);
	journey.outer.clear();
	for (int i = 2; i < pair.ours.depth; i++)
		journey.outer.push_back(pair.ours.frames[i].pc);
	travel();
	__asm__ volatile("");
}

TEST_F(Unwind, EveryInstructionOfPltBinderAndLibc)
{
	struct sigaction action = {}, old;

	journey.lo = (uintptr_t)__start_unwind_test_journey;
	journey.hi = (uintptr_t)__stop_unwind_test_journey;
	action.sa_sigaction = on_step;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGTRAP, &action, &old);
	depart();
	sigaction(SIGTRAP, &old, nullptr);
	EXPECT_GT(journey.steps, 1000);
	EXPECT_EQ(0, journey.failures) << std::hex << journey.first_failure;
}
#endif

} // namespace
