/* SPDX-License-Identifier: MIT */
/*
 * May this goroutine be moved to another thread, here?
 *
 * Go's compiler tells its runtime; a C compiler tells nobody. So it is shown by inspection that
 * nothing of the thread is in use: no library code on the stack (it may hold a lock, or a pointer
 * to what belongs to the thread), and no address of thread-local storage in a register, in a frame,
 * or in the red zone below the stack pointer, where leaf functions keep theirs. The program's own
 * text may be moved only if it has no thread-local storage (text.c): a value *loaded* from there, a
 * per-thread cache for instance, can't be told from any other.
 *
 * Every condition can only refuse too much: a stale word that looks like a return address or like a
 * pointer costs one preemption at this point, no more.
 *
 * Return addresses are looked for at and above the stack pointer only: below it none can be live,
 * since a call writes it where the stack pointer is then. TLS addresses are looked for in the red
 * zone too.
 *
 * Signal-side: runs in the handler, with no TLS, no libc but _dl_find_object (which is
 * async-signal-safe), and no lock.
 */
#define _GNU_SOURCE
#include "preempt/safepoint.h"

#include "kernelshim/sigframe.h"
#include "sched/urge.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

enum { WORDS_MAX = 1024 };

extern const char __start_urge_text[] __attribute__((visibility("hidden")));
extern const char __stop_urge_text[] __attribute__((visibility("hidden")));
extern const char __start_urge_entry[] __attribute__((visibility("hidden")));
extern const char __stop_urge_entry[] __attribute__((visibility("hidden")));

static inline bool in_runtime_text(uintptr_t a)
{
	return a - (uintptr_t)__start_urge_text <
	       (uintptr_t)__stop_urge_text - (uintptr_t)__start_urge_text;
}

static inline bool in_entry_text(uintptr_t a)
{
	return a - (uintptr_t)__start_urge_entry <
	       (uintptr_t)__stop_urge_entry - (uintptr_t)__start_urge_entry;
}

/* In the program's text, or the few lines of ours that may be on a goroutine's stack. */
static bool in_program_text(uintptr_t a)
{
	if (in_entry_text(a))
		return true;
	if (in_runtime_text(a))
		return false;
	/* pairs with store_rel in append */
	for (unsigned i = 0, n = __atomic_load_n(&text.n, __ATOMIC_ACQUIRE); i < n; i++)
		if (a - text.range[i].lo <
		    __atomic_load_n(&text.range[i].hi, __ATOMIC_RELAXED) - text.range[i].lo)
			return true;
	return false;
}

/*
 * In executable text of any loaded module. The module's own program headers tell text from data: a
 * pointer to stdout in a frame is no return address.
 */
static bool in_module_text(uintptr_t a)
{
	struct dl_find_object found;
	const ElfW(Ehdr) * ehdr;
	const ElfW(Phdr) * phdr;
	uintptr_t start;

	if (_dl_find_object((void *)a, &found) != 0)
		return false;
	start = (uintptr_t)found.dlfo_map_start;
	ehdr = (const ElfW(Ehdr) *)start;
	if (ehdr->e_ident[0] != ELFMAG0 || ehdr->e_ident[1] != ELFMAG1 ||
	    ehdr->e_ident[2] != ELFMAG2 || ehdr->e_ident[3] != ELFMAG3)
		return true; /* can't tell */
	phdr = (const ElfW(Phdr) *)(start + ehdr->e_phoff);
	for (unsigned i = 0; i < ehdr->e_phnum; i++)
		if (phdr[i].p_type == PT_LOAD && phdr[i].p_flags & PF_X &&
		    a - found.dlfo_link_map->l_addr - phdr[i].p_vaddr < phdr[i].p_memsz)
			return true;
	return false;
}

/* No user address below this, and none above: numbers, mostly. */
static inline bool may_be_address(uintptr_t a)
{
	return a >= 0x10000 && a < UINT64_C(1) << 56;
}

/*
 * Return addresses into libraries. Those into the runtime don't count: the goroutine is outside it
 * (m->locks is 0), and what calls users' functions from there is in urge_entry, so they are stale.
 * They are common: a goroutine that starts by a direct switch finishes another's park on its own
 * stack first, and a hole in a frame of its function then keeps such a word as long as it runs.
 */
static enum preempt_reason scan_frames(const struct g *gp, uintptr_t sp)
{
	for (const uintptr_t *w = (const uintptr_t *)sp; w < (const uintptr_t *)gp->stack_hi; w++) {
		uintptr_t a = *w;

		if (!may_be_address(a) || a - gp->stack_lo < gp->stack_hi - gp->stack_lo)
			continue;
		if (!in_program_text(a) && !in_runtime_text(a) && in_module_text(a))
			return LEFT_FOREIGN_FRAME;
	}
	return MOVE;
}

static bool tls_pointer_in(const struct m *mp, uintptr_t lo, uintptr_t hi)
{
	for (const uintptr_t *w = (const uintptr_t *)lo; w < (const uintptr_t *)hi; w++)
		if (*w - mp->tls_lo < mp->tls_hi - mp->tls_lo)
			return true;
	return false;
}

/* What matters only if the goroutine is to resume on another thread. */
static enum preempt_reason thread_bound(const struct m *mp, const void *ucontext, uintptr_t sp)
{
	const struct g *gp = mp->curg;
	uintptr_t from = sp - SIGFRAME_REDZONE;
	uint32_t policy = policy_of_sig(gp);

	if (policy == URGE_PREEMPT_OFF || policy == URGE_PREEMPT_PARK)
		return LEFT_POLICY;
	if (mp->pins > 0)
		return LEFT_PINNED;
	if (!text.movable)
		return LEFT_MODULE;
	if (from < gp->stack_lo)
		from = gp->stack_lo;
	if (tls_pointer_in(mp, from, gp->stack_hi))
		return LEFT_TLS_POINTER;
	switch (sigframe_scan_regs_sig(ucontext, mp->tls_lo, mp->tls_hi)) {
	case SIGFRAME_REGS_CLEAN:
		return MOVE;
	case SIGFRAME_REGS_POINT:
		return LEFT_TLS_POINTER;
	default:
		return LEFT_XSTATE;
	}
}

enum preempt_reason safepoint_sig(struct m *mp, const void *ucontext, bool discard)
{
	const struct g *gp = mp->curg;
	uintptr_t pc = sigframe_pc_sig(ucontext);
	uintptr_t sp = sigframe_sp_sig(ucontext);
	enum preempt_reason reason;

	if (!gp)
		return LEFT_NO_GOROUTINE;
	if (mp->locks > 0 || in_runtime_text(pc))
		return LEFT_IN_RUNTIME;
	if (sp - gp->stack_lo >= gp->stack_hi - gp->stack_lo || sp % sizeof(uintptr_t))
		return LEFT_OTHER_STACK;
	if (text.shadow_stack)
		return LEFT_SHADOW_STACK;
	if (!discard && (gp->nopreempt > 0 || gp->attr & GATTR_NOPREEMPT))
		return LEFT_NOPREEMPT;
	if (!in_program_text(pc))
		return LEFT_FOREIGN_PC;
	if (sp - gp->stack_lo < text.headroom)
		return LEFT_HEADROOM;
	if (!discard && gp->stack_hi - sp > WORDS_MAX * sizeof(uintptr_t))
		return LEFT_DEEP;
	reason = discard ? MOVE : thread_bound(mp, ucontext, sp);
	if (reason == MOVE)
		reason = scan_frames(gp, sp);
	return reason;
}
