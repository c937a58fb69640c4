/* SPDX-License-Identifier: MIT */
/*
 * A preemption at every instruction. A goroutine runs the functions of step_corpus.h with the trap
 * flag set, so that the processor raises SIGTRAP after each instruction. The handler calls that of
 * the runtime with what the runtime would have sent. If the goroutine is moved, the next trap comes
 * when it is back at the same instruction, perhaps on another thread: then every register, all of
 * the extended state, the red zone and the stack above it must be as they were.
 *
 *	trap at pc		note everything; a request
 *	    left alone, parked	on to the next instruction
 *	    injected		trap in asyncpreempt, right behind its pushfq: the flags on the stack
 *				have the trap flag, the rest of the stub need not be stepped
 *	    others run, on this thread and the other
 *	    popfq; ret $128	trap at pc: compare
 *
 * This is done without a tracer: a tracer stops the thread twice for each step, and could not say
 * when a goroutine is back.
 *
 * Each function runs once for each policy. ROUNDS (1): how often all of it, with other numbers.
 * POLICIES (3): 2 leaves out the one that only parks, where this shows least and takes longest.
 *
 * Left out, as in regs.h: the x87 instruction and data pointers.
 */
#include "preempt/handler.h"
#include "preempt/preempt.h"
#include "sched/tls.h"
#include "tests/programs/check.h"

#if defined(__x86_64__)

#include "tests/programs/step_corpus.h"

#include <cpuid.h>
#include <sched.h>
#include <signal.h>
#include <ucontext.h>

enum { TF = 0x100, RED_ZONE = 128, STACK_MAX = 4096, COMPONENTS = 8, CLOBBERERS = 3 };

void asyncpreempt(void);
uint64_t step_call(uint64_t (*fn)(uint64_t), uint64_t arg);

/* Calls fn(arg) with the trap flag set. */
__asm__(".text\n"
	".type	step_call, @function\n"
	"step_call:\n"
	"	.cfi_startproc\n"
	"	subq	$8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	movq	%rdi, %rax\n"
	"	movq	%rsi, %rdi\n"
	"	pushfq\n"
	"	orq	$0x100, (%rsp)\n"
	"	popfq\n"
	"	call	*%rax\n"
	"	pushfq\n"
	"	andq	$~0x100, (%rsp)\n"
	"	popfq\n"
	"	addq	$8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size	step_call, . - step_call\n");

/* ---- what a thread's state is -------------------------------------------------------------- */

/* AVX, opmask, ZMM_Hi256, Hi16_ZMM: where they are in a signal frame. */
static struct {
	uint32_t offset, size;
} component[COMPONENTS];

struct state {
	greg_t gregs[NGREG];
	unsigned char x87[160], xmm[256]; /* as FXSAVE has them */
	unsigned char extended[4][1024];  /* as above, zeroes for what is not in use */
	unsigned char stack[STACK_MAX];   /* from the red zone up */
	size_t stack_bytes;
};

static void find_components(void)
{
	static const unsigned numbers[] = { 2, 5, 6, 7 };
	uint32_t a, b, c, d;

	for (unsigned i = 0; i < 4; i++)
		if (__get_cpuid_count(0xd, numbers[i], &a, &b, &c, &d) && a <= 1024) {
			component[numbers[i]].size = a;
			component[numbers[i]].offset = b;
		}
}

static void note_extended(struct state *state, const unsigned char *fp)
{
	static const unsigned char initial[] = { 0x7f, 0x03 };
	uint64_t in_use = 3;

	memset(state->x87, 0, sizeof(state->x87));
	memset(state->xmm, 0, sizeof(state->xmm));
	memset(state->extended, 0, sizeof(state->extended));
	memcpy(state->x87, initial, sizeof(initial));
	if (*(const uint32_t *)(fp + 464) == 0x46505853) /* there is more than FXSAVE's part */
		in_use = *(const uint64_t *)(fp + 512);
	if (in_use & 1) {
		memcpy(state->x87, fp, 5);
		memcpy(state->x87 + 32, fp + 32, 128);
	}
	memcpy(state->x87 + 24, fp + 24, 4); /* MXCSR */
	if (in_use & 2)
		memcpy(state->xmm, fp + 160, 256);
	for (unsigned i = 0; i < 4; i++) {
		unsigned n = i == 0 ? 2 : 4 + i;

		if (in_use >> n & 1)
			memcpy(state->extended[i], fp + component[n].offset, component[n].size);
	}
}

static void note(struct state *state, const ucontext_t *context, uintptr_t stack_hi)
{
	uintptr_t sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP] - RED_ZONE;

	memcpy(state->gregs, context->uc_mcontext.gregs, sizeof(state->gregs));
	/* of the thread, or of the fault before */
	state->gregs[REG_ERR] = state->gregs[REG_TRAPNO] = state->gregs[REG_CR2] = 0;
	state->gregs[REG_OLDMASK] = 0;
	note_extended(state, (const unsigned char *)context->uc_mcontext.fpregs);
	state->stack_bytes = stack_hi - sp < STACK_MAX ? stack_hi - sp : STACK_MAX;
	memcpy(state->stack, (const void *)sp, state->stack_bytes);
}

/* ---- stepping ------------------------------------------------------------------------------ */

/* One goroutine steps at a time; its own, on whatever thread it is. */
static struct {
	bool away; /* was moved, and is not back yet */
	uint32_t tid;
	struct state before, after;
	const char *different; /* the first difference, and where */
	uintptr_t different_pc;
	uint64_t steps, moved, elsewhere, differences;
} step;

static void differs(const char *what, uintptr_t pc)
{
	if (step.differences++ == 0) {
		step.different = what;
		step.different_pc = pc;
	}
}

static void compare(uintptr_t pc)
{
	const struct state *a = &step.before, *b = &step.after;

	if (memcmp(a->gregs, b->gregs, sizeof(a->gregs)) != 0)
		differs("general registers", pc);
	if (memcmp(a->x87, b->x87, sizeof(a->x87)) != 0)
		differs("x87", pc);
	if (memcmp(a->xmm, b->xmm, sizeof(a->xmm)) != 0)
		differs("xmm", pc);
	if (memcmp(a->extended, b->extended, sizeof(a->extended)) != 0)
		differs("ymm, zmm, k", pc);
	if (a->stack_bytes != b->stack_bytes || memcmp(a->stack, b->stack, a->stack_bytes) != 0)
		differs("red zone or stack", pc);
}

static void request(struct m *mp, void *ucontext)
{
	siginfo_t info = { .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_value.sival_ptr = (void *)((uintptr_t)load_rlx_u32(&mp->generation) << 32 | mp->id);
	store_rlx_i64(&mp->signal_sent, SIGNAL_BITS + 1); /* long ago */
	preempt_handler_sig(CONFIG_PREEMPT_SIGNAL, &info, ucontext);
}

static void on_trap(int sig, siginfo_t *info, void *ucontext)
{
	greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)gregs[REG_RIP];
	struct m *mp = getm();

	(void)sig, (void)info;
	if (pc == (uintptr_t)asyncpreempt + 1) {
		gregs[REG_EFL] &= ~TF;
		return;
	}
	if (step.away) {
		step.away = false;
		note(&step.after, ucontext, mp->curg->stack_hi);
		step.elsewhere += mp->tid_ != step.tid;
		compare(pc);
		return;
	}
	step.steps++;
	step.tid = mp->tid_;
	note(&step.before, ucontext, mp->curg->stack_hi);
	request(mp, ucontext);
	if ((uintptr_t)gregs[REG_RIP] == (uintptr_t)asyncpreempt) {
		step.away = true;
		step.moved++;
	}
}

/* ---- others, who leave nothing in a register as it was ------------------------------------- */

static uint32_t stop;
static urge_waitgroup clobberers;

static void clobberer(void *unused)
{
	bool avx512 = step_have_avx512();

	(void)unused;
	while (!LOAD(stop)) {
		__asm__ volatile("orq $-1, %%rax\n\t"
				 "movq %%rax, %%rcx\n\tmovq %%rax, %%rdx\n\tmovq %%rax, %%rsi\n\t"
				 "movq %%rax, %%rdi\n\tmovq %%rax, %%r8\n\tmovq %%rax, %%r9\n\t"
				 "movq %%rax, %%r10\n\tmovq %%rax, %%r11\n\tmovq %%rax, %%rbx\n\t"
				 "movq %%rax, %%r12\n\tmovq %%rax, %%r13\n\tmovq %%rax, %%r14\n\t"
				 "movq %%rax, %%r15\n\t"
				 ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
				 "pcmpeqd %%xmm\\n, %%xmm\\n\n\t"
				 ".endr\n\t"
				 "fninit\n\tfld1\n\tfldpi\n\tfldz\n\tfninit\n\t"
				 :
				 :
				 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
				   "rbx", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
				   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
				   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
		if (avx512)
			__asm__ volatile(".irp n, 1, 2, 3, 4, 5, 6, 7\n\t"
					 "kxnorw %%k\\n, %%k\\n, %%k\\n\n\t"
					 ".endr\n\t"
					 ".irp n, 3, 9, 16, 20, 27, 28, 29, 30, 31\n\t"
					 "vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n\t"
					 ".endr"
					 :
					 :
					 : "cc", "xmm3", "xmm9");
		urge_yield();
	}
	urge_waitgroup_done(&clobberers);
}

/* ---- the run ------------------------------------------------------------------------------- */

static uint64_t total_steps, total_moved, total_elsewhere;

static void step_through(const struct step_function *function, int policy, uint64_t seed)
{
	static const char *const policies[] = { "auto", "inject", "park" };
	uint64_t plain = function->fn(seed), stepped;

	memset(&step, 0, sizeof(step));
	urge_set_preempt(policy);
	stepped = step_call(function->fn, seed);
	urge_set_preempt(URGE_PREEMPT_AUTO);
	CHECK(stepped == plain, "%s, %s: %llx, not %llx", function->name, policies[policy],
	      (unsigned long long)stepped, (unsigned long long)plain);
	CHECK(step.differences == 0, "%s, %s: %llu differences, the first in %s at main%+lld",
	      function->name, policies[policy], (unsigned long long)step.differences,
	      step.different, (long long)(step.different_pc - (uintptr_t)function->fn));
	CHECK(step.steps > 20, "%s: %llu steps", function->name, (unsigned long long)step.steps);
	if (policy != URGE_PREEMPT_PARK &&
	    !function->leaves_alone) /* a stale word may cost a few */
		CHECK(step.moved >= step.steps * 9 / 10, "%s, %s: moved at %llu of %llu",
		      function->name, policies[policy], (unsigned long long)step.moved,
		      (unsigned long long)step.steps);
	CHECK(policy != URGE_PREEMPT_PARK || step.moved == 0, "%llu",
	      (unsigned long long)step.moved);
	total_steps += step.steps;
	total_moved += step.moved;
	total_elsewhere += step.elsewhere;
}

static int start(void *unused)
{
	uint64_t seed = random_seed(), rounds = env_number("ROUNDS", 1);
	int policies = (int)env_number("POLICIES", 3);

	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < CLOBBERERS; i++)
		spawn(&clobberers, clobberer, NULL);
	for (uint64_t round = 0; round < rounds; round++)
		for (int i = 0; i < STEP_FUNCTIONS; i++) {
			if (!step_corpus[i].possible())
				continue;
			for (int policy = URGE_PREEMPT_AUTO; policy < policies; policy++)
				step_through(&step_corpus[i], policy, random_next(&seed));
		}
	STORE(stop, 1);
	urge_waitgroup_wait(&clobberers);
	return 0;
}

int main(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	find_components();
	action.sa_sigaction = on_trap;
	sigfillset(&action.sa_mask);
	sigaction(SIGTRAP, &action, NULL);
	urge_stats_read(&before);
	run_both(start, NULL);
	printf("%llu instructions, moved at %llu of them and compared, %llu to another thread\n",
	       (unsigned long long)total_steps, (unsigned long long)total_moved,
	       (unsigned long long)total_elsewhere);
	CHECK(total_elsewhere > 0, "never on another thread");
	print_outcomes(&before);
	return finish();
}

#else

int main(void)
{
	puts("the trap flag is x86-64's");
	return SKIPPED;
}

#endif
