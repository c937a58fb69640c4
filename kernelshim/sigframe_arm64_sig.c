/* SPDX-License-Identifier: MIT */
/*
 * sigframe.h for arm64.
 *
 * An injected call can't come back by itself: a branch needs a register, and all of them are the
 * interrupted code's (x16 and x17 too, which only calls may clobber). The kernel can do it. So the
 * frame that it built for the handler is copied to the interrupted stack, target starts with sp at
 * the copy, and its last instruction is rt_sigreturn, on whatever thread it then is:
 *
 *	interrupted sp ->	| ...                      |
 *				| copy: ucontext, records  |
 *	sp in target ->		| copy: siginfo, 128 bytes |
 *
 * sigreturn also sets the alternate stack of the thread it is called on. The copy carries flags
 * that sigaltstack refuses, and sigreturn passes over the refusal: each thread keeps its own.
 *
 * After the general registers a frame holds records: type, size, payload, a null one at the end. An
 * "extra" record leads to more of them, right behind the end. Types that this file does not know
 * make the verdict SIGFRAME_REGS_UNKNOWN, and so does what can't be carried to another thread or
 * must not be live while C code runs: SME state in use (target would start in streaming mode), and
 * a vector length that other threads don't have (sigreturn kills the thread).
 */
#include "kernelshim/compiler.h"
#include "kernelshim/sigframe.h"
#include "kernelshim/sys.h"
#include <asm/sigcontext.h>
#include <errno.h>
#include <linux/prctl.h>
#include <ucontext.h>

/* Younger than the headers of some C libraries. */
#define RECORD_TPIDR2 0x54504902
#define RECORD_FPMR 0x46504d52
#define RECORD_POE 0x504f4530
#define SHADOW_STACK_STATUS 74 /* PR_GET_SHADOW_STACK_STATUS */
#define SHADOW_STACK_ENABLED 1

/* Memory protection keys: what every thread begins with, all allowed for key 0. */
#define POE_DEFAULT 7

#define PSTATE_BTYPE (UINT64_C(3) << 10)
#define ALTSTACK_REFUSED (SS_ONSTACK | SS_DISABLE)

/* What the kernel puts at the handler's sp, and reads from there in rt_sigreturn. */
struct kernel_frame {
	siginfo_t info;
	ucontext_t uc;
};

_Static_assert(offsetof(struct kernel_frame, uc) == 128, "the kernel's struct rt_sigframe");

/* Bytes of an SVE register on the booting thread, which its threads inherit; 0 without SVE. */
static unsigned sve_length;

void sigframe_init(void)
{
	long length = sys_call1(SYS_prctl, PR_SVE_GET_VL);

	sve_length = length < 0 ? 0 : (unsigned)length & PR_SVE_VL_LEN_MASK;
}

size_t sigframe_xstate_size(void)
{
	return sizeof(struct kernel_frame) + SVE_SIG_CONTEXT_SIZE(sve_length / SVE_VQ_BYTES);
}

bool sigframe_shadow_stack(void)
{
	uint64_t status = 0;
	long err = sys_call2(SYS_prctl, SHADOW_STACK_STATUS, sys_ptr(&status));

	return !err && (status & SHADOW_STACK_ENABLED);
}

uintptr_t sigframe_pc_sig(const void *ucontext)
{
	return ((const ucontext_t *)ucontext)->uc_mcontext.pc;
}

uintptr_t sigframe_sp_sig(const void *ucontext)
{
	return ((const ucontext_t *)ucontext)->uc_mcontext.sp;
}

#define SVC_0 UINT32_C(0xd4000001)

bool sigframe_interrupted_sig(const void *ucontext)
{
	const mcontext_t *mc = &((const ucontext_t *)ucontext)->uc_mcontext;

	return mc->regs[0] == (uint64_t)-EINTR && mc->pc % 4096 >= 4 &&
	       *(const uint32_t *)(mc->pc - 4) == SVC_0;
}

/* The call's first argument is gone: the kernel keeps it elsewhere. */
bool sigframe_repeat_syscall_sig(void *ucontext)
{
	(void)ucontext;
	return false;
}

bool sigframe_in_syscall_sig(const void *ucontext)
{
	const mcontext_t *mc = &((const ucontext_t *)ucontext)->uc_mcontext;

	return *(const uint32_t *)mc->pc == SVC_0 || sigframe_interrupted_sig(ucontext);
}

static bool any_points(const uint64_t *words, size_t bytes, uintptr_t lo, uintptr_t hi)
{
	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i] - lo < hi - lo)
			return true;
	return false;
}

static enum sigframe_regs points(bool found)
{
	return found ? SIGFRAME_REGS_POINT : SIGFRAME_REGS_CLEAN;
}

/* A payload is scanned from behind type and size: the rest of its header is small numbers. */
static enum sigframe_regs scan_record(const struct _aarch64_ctx *record, uintptr_t lo, uintptr_t hi)
{
	const uint64_t *payload = (const uint64_t *)(record + 1);

	switch (record->magic) {
	case FPSIMD_MAGIC:
	case ESR_MAGIC:
	case RECORD_FPMR:
		return points(any_points(payload, record->size - sizeof(*record), lo, hi));
	case SVE_MAGIC: {
		const struct sve_context *sve = (const struct sve_context *)record;

		if (sve->vl != sve_length || (sve->flags & SVE_SIG_FLAG_SM))
			return SIGFRAME_REGS_UNKNOWN;
		return points(any_points(payload, record->size - sizeof(*record), lo, hi));
	}
	case ZA_MAGIC:
		return record->size > sizeof(struct za_context) ? SIGFRAME_REGS_UNKNOWN
								: SIGFRAME_REGS_CLEAN;
	case RECORD_TPIDR2:
		return *payload ? SIGFRAME_REGS_UNKNOWN : SIGFRAME_REGS_CLEAN;
	case RECORD_POE:
		return *payload == POE_DEFAULT ? SIGFRAME_REGS_CLEAN : SIGFRAME_REGS_UNKNOWN;
	case EXTRA_MAGIC:
		return SIGFRAME_REGS_CLEAN;
	}
	return SIGFRAME_REGS_UNKNOWN;
}

static struct _aarch64_ctx *first_record(const ucontext_t *uc)
{
	return (struct _aarch64_ctx *)uc->uc_mcontext.__reserved;
}

static struct _aarch64_ctx *next_record(const struct _aarch64_ctx *record)
{
	return (struct _aarch64_ctx *)((char *)record + record->size);
}

/* Where the records begin that did not fit; NULL in most frames. */
static struct extra_context *find_extra(const ucontext_t *uc)
{
	for (struct _aarch64_ctx *record = first_record(uc); record->magic;
	     record = next_record(record))
		if (record->magic == EXTRA_MAGIC)
			return (struct extra_context *)record;
	return NULL;
}

static enum sigframe_regs scan_records(const struct _aarch64_ctx *record, uintptr_t lo,
				       uintptr_t hi)
{
	enum sigframe_regs worst = SIGFRAME_REGS_CLEAN;

	for (; record->magic; record = next_record(record)) {
		enum sigframe_regs found = scan_record(record, lo, hi);

		if (found > worst)
			worst = found;
	}
	return worst;
}

enum sigframe_regs sigframe_scan_regs_sig(const void *ucontext, uintptr_t lo, uintptr_t hi)
{
	const ucontext_t *uc = (const ucontext_t *)ucontext;
	const mcontext_t *mc = &uc->uc_mcontext;
	const struct extra_context *extra = find_extra(uc);
	enum sigframe_regs found = scan_records(first_record(uc), lo, hi);

	if (found == SIGFRAME_REGS_CLEAN && extra)
		found = scan_records((const struct _aarch64_ctx *)extra->datap, lo, hi);
	if (found == SIGFRAME_REGS_CLEAN)
		found = points(any_points((const uint64_t *)mc->regs, sizeof(mc->regs), lo, hi));
	return found;
}

/* The first byte behind the frame: behind the extra records, or else behind the null record. */
static uintptr_t frame_end(const ucontext_t *uc)
{
	const struct extra_context *extra = find_extra(uc);
	const struct _aarch64_ctx *record = first_record(uc);

	if (extra)
		return extra->datap + extra->size;
	while (record->magic)
		record = next_record(record);
	return (uintptr_t)(record + 1);
}

void sigframe_inject_call_sig(void *ucontext, void (*target)(void))
{
	ucontext_t *uc = (ucontext_t *)ucontext;
	const struct kernel_frame *frame = container_of(uc, struct kernel_frame, uc);
	size_t bytes = round_up(frame_end(uc) - (uintptr_t)frame, 16);
	/* a whole struct, though it ends in unused bytes: QEMU reads all of it */
	size_t room = bytes > sizeof(*frame) ? bytes : round_up(sizeof(*frame), 16);
	struct kernel_frame *copy = (struct kernel_frame *)((uc->uc_mcontext.sp & ~15ULL) - room);
	struct extra_context *extra;

	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		((uint64_t *)copy)[i] = ((const uint64_t *)frame)[i];
	copy->uc.uc_stack.ss_flags = ALTSTACK_REFUSED;
	extra = find_extra(&copy->uc);
	if (extra)
		extra->datap += (uintptr_t)copy - (uintptr_t)frame;
	uc->uc_mcontext.sp = (uintptr_t)copy;
	uc->uc_mcontext.pc = (uintptr_t)target;
	/* the interrupted code may stand between a branch and its landing pad; target has none */
	uc->uc_mcontext.pstate &= ~PSTATE_BTYPE;
}
