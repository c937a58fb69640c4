/* SPDX-License-Identifier: MIT */
/*
 * The runtime's signal handlers: installed at boot, given back at the end.
 *
 *	SIGURG (Kconfig)  preemption
 *	SIGQUIT		  dump of all goroutines, exit 2; only if the program leaves it at its default
 *	SIGSEGV		  names the goroutine whose stack overflowed, then goes the former way
 *
 * The masks leave 32 and 33 open: glibc's setuid() signals every thread with 33 and waits.
 */
#include "preempt/handler.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/sigframe.h"
#include "kernelshim/thread.h"
#include "preempt/preempt.h"
#include "preempt/safepoint.h"
#include "sched/boot.h"
#include "sched/fatal.h"
#include "sched/stack.h"
#include "sched/tls.h"

#include <signal.h>
#include <string.h>

struct sigaction former_sigurg;
static struct sigaction former_sigquit, former_sigsegv;
static bool took_sigurg, took_sigsegv, took_sigquit;
static uint64_t callers_mask, program_mask;

static void quit_handler(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig, (void)info;
	dump_and_die("SIGQUIT: quit", ucontext);
}

/*
 * A fault in a guard page says whose stack it was. Then the former disposition decides: a handler
 * of the program's is called, else the process dies by the signal when the instruction is repeated.
 */
static void segv_handler(int sig, siginfo_t *info, void *ucontext)
{
	const struct m *mp = getm();
	const struct g *owner = stack_owner_sig((uintptr_t)info->si_addr);
	uintptr_t sp = sigframe_sp_sig(ucontext);

	if (owner && mp && owner == mp->curg && (uintptr_t)info->si_addr < owner->stack_lo)
		stack_overflow_words(owner);
	else if (owner && mp && owner == mp->curg && sp < owner->stack_lo)
		stack_overflow_words(owner);
	if (former_sigsegv.sa_handler == SIG_DFL || former_sigsegv.sa_handler == SIG_IGN)
		sigaction(sig, &former_sigsegv, NULL);
	else
		handler_chain_sig(&former_sigsegv, sig, info, ucontext);
}

static void fill_mask(sigset_t *mask)
{
	sigfillset(mask);
	sigdelset(mask, SIGSEGV);
	sigdelset(mask, SIGBUS);
	sigdelset(mask, SIGILL);
	sigdelset(mask, SIGFPE);
	sigdelset(mask, SIGTRAP);
}

static int install(int sig, void (*handler)(int, siginfo_t *, void *), int flags,
		   struct sigaction *former)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
	fill_mask(&sa.sa_mask);
	return sigaction(sig, &sa, former) == 0 ? 0 : -errno_load();
}

int preempt_init(void)
{
	struct sigaction quit;
	int err;

	sigframe_init();
	text_init();
	thread_sigmask(SIG_BLOCK, NULL, &callers_mask);
	program_mask = callers_mask & ~(UINT64_C(1) << (CONFIG_PREEMPT_SIGNAL - 1));
	err = install(CONFIG_PREEMPT_SIGNAL, preempt_handler_sig, SA_RESTART, &former_sigurg);
	took_sigurg = err == 0;
	if (err)
		return err;
	if (former_sigurg.sa_sigaction == preempt_handler_sig) /* left by a former urge_main */
		former_sigurg = (struct sigaction){ .sa_handler = SIG_DFL };
	err = install(SIGSEGV, segv_handler, 0, &former_sigsegv);
	took_sigsegv = err == 0;
	if (err)
		return err;
	took_sigquit = sigaction(SIGQUIT, NULL, &quit) == 0 && quit.sa_handler == SIG_DFL;
	if (took_sigquit)
		err = install(SIGQUIT, quit_handler, 0, &former_sigquit);
	return err;
}

void preempt_fini(void)
{
	if (took_sigquit)
		sigaction(SIGQUIT, &former_sigquit, NULL);
	if (took_sigsegv)
		sigaction(SIGSEGV, &former_sigsegv, NULL);
	thread_sigmask(SIG_SETMASK, &callers_mask, NULL);
	/* a late request may still arrive: ours stays if the program had none, since it ignores it */
	if (took_sigurg && former_sigurg.sa_handler != SIG_DFL)
		sigaction(CONFIG_PREEMPT_SIGNAL, &former_sigurg, NULL);
}

void preempt_minit(struct m *mp)
{
	text_thread_bounds(&mp->tls_lo, &mp->tls_hi);
}

void preempt_unblock(void)
{
	thread_sigmask(SIG_SETMASK, &program_mask, NULL);
}
