/* SPDX-License-Identifier: MIT */
#include "sched/fatal.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/sys.h"
#include "sched/boot.h"
#include "sched/tls.h"
#include "sched/urge.h"
#include "sched/waitreason.h"

#include <sys/syscall.h>

#define EXIT_STATUS 2
#define DUMP_MAX 1000

static struct atomic_u32 dying;

const char *waitreason_words(enum waitreason reason)
{
	static const char *const words[] = {
#define X(name, words) words,
		WAIT_REASONS(X)
#undef X
	};

	return reason < WAIT_REASONS_N ? words[reason] : "?";
}

void complain(const char *words)
{
	struct fdprint out;

	fdp_init(&out, 2);
	fdp_str(&out, words);
	fdp_char(&out, '\n');
	fdp_flush(&out);
}

/*
 * A second failure, on another thread or while dumping, must not mix into the first: it waits for
 * the end, or, if it is the dumping thread itself, makes it.
 */
static void first_or_wait(void)
{
	static uint32_t dumper;
	uint32_t tid = (uint32_t)sys_call0(SYS_gettid);

	if (cas_u32(&dying, 0, 1)) {
		__atomic_store_n(&dumper, tid, __ATOMIC_RELAXED);
		return;
	}
	if (__atomic_load_n(&dumper, __ATOMIC_RELAXED) == tid)
		sys_call1(SYS_exit_group, EXIT_STATUS);
	for (;;)
		sys_call4(SYS_ppoll, 0, 0, 0, 0); /* for ever */
}

_Noreturn static void die(const void *interrupted)
{
	struct m *mp = getm();

	if (mp)
		mp->locks = 1;
	dump_some(2, DUMP_MAX, interrupted);
	for (;;)
		sys_call1(SYS_exit_group, EXIT_STATUS);
}

_Noreturn void dump_and_die(const char *words, const void *interrupted)
{
	first_or_wait();
	complain(words);
	die(interrupted);
}

void fatal_u64(const char *words, uint64_t n, const char *rest)
{
	struct fdprint out;

	first_or_wait();
	fdp_init(&out, 2);
	fdp_str(&out, "fatal error: ");
	fdp_str(&out, words);
	if (rest) {
		fdp_u64(&out, n);
		fdp_str(&out, rest);
	}
	fdp_char(&out, '\n');
	fdp_flush(&out);
	die(NULL);
}

void fatal(const char *words)
{
	fatal_u64(words, 0, NULL);
}

void throw_(const char *words)
{
	fatal_u64(words, 0, NULL);
}
