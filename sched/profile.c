/* SPDX-License-Identifier: MIT */
/*
 * The goroutine profile, in the text form of Go's runtime/pprof:
 *
 *	goroutine profile: total 5
 *	3 @ 0x55d0c3a1 0x55d0c3f7
 *	#	0x55d0c3a0	worker+0x21	prog
 *	...
 *	--- Memory map: ---
 *	55d0c000-55d10000 r-xp 00002000 fe:01 42 /home/u/prog
 *
 * pprof takes the addresses for return addresses, so they are one more than those in the comments,
 * and finds names by the map; the line before that must begin with three dashes.
 *
 * Gathered in a stopped world, into memory that was reserved before; written when it goes on.
 *
 * Rejected: folded stacks, which fewer programs read, and which have names but no addresses;
 * profiles of CPU time and of contention: perf sees the first better, and the second costs a clock
 * reading and a walk at each wait.
 */
#define URGE_KEEP_ERRNO
#include "kernelshim/fdprint.h"
#include "kernelshim/procfs.h"
#include "kernelshim/symtab.h"
#include "kernelshim/sys.h"
#include "kernelshim/vm.h"
#include "sched/stack.h"
#include "sched/tls.h"
#include "sched/traceback.h"
#include "sched/urge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { FRAMES_MAX = 64, STACKS_MAX = 1 << 16, TABLE = 2 * STACKS_MAX };

/* Goroutines with the same stack. */
struct group {
	uint64_t count;
	uint32_t nframes;
	uintptr_t pc[FRAMES_MAX]; /* in the call, as struct unwind_frame's name_pc */
};

struct profile {
	const struct g *self;
	uint64_t total;
	uint32_t ngroups;
	struct group walked;   /* the one that is being walked */
	struct group rest;     /* of those that found no room */
	uint32_t table[TABLE]; /* open addressing; a group's number plus 1 */
	struct group groups[STACKS_MAX];
};

#define PROFILE_BYTES round_up(sizeof(struct profile), vm_page_size())

/* ---- gathering: in a stopped world --------------------------------------------------------- */

static void walk(struct group *to, struct unwind_regs *regs, const struct g *gp)
{
	struct unwind_frame frame;
	int more = 1;

	while (more == 1 && to->nframes < FRAMES_MAX) {
		more = unwind_step(regs, &frame, gp->stack_lo, gp->stack_hi);
		to->pc[to->nframes++] = frame.name_pc;
	}
}

static void count_group(struct profile *pr, const struct group *walked)
{
	size_t bytes = walked->nframes * sizeof(walked->pc[0]);
	uint64_t hash = walked->nframes;
	size_t at;

	for (uint32_t i = 0; i < walked->nframes; i++)
		hash = (hash ^ walked->pc[i]) * UINT64_C(0x9e3779b97f4a7c15);
	for (at = hash >> 32 & (TABLE - 1); pr->table[at]; at = (at + 1) & (TABLE - 1)) {
		struct group *group = &pr->groups[pr->table[at] - 1];

		if (group->nframes == walked->nframes &&
		    memcmp(group->pc, walked->pc, bytes) == 0) {
			group->count++;
			return;
		}
	}
	if (pr->ngroups == STACKS_MAX) {
		pr->rest.count++;
		pr->rest.nframes = 1; /* an address that is nobody's: no line is without */
		return;
	}
	pr->groups[pr->ngroups] = *walked;
	pr->groups[pr->ngroups].count = 1;
	pr->table[at] = ++pr->ngroups;
}

static bool gather(struct g *gp, void *arg)
{
	struct profile *pr = arg;
	struct group *walked = &pr->walked;
	struct unwind_regs regs;
	ucontext_t here;

	if (load_acq_u32(&gp->status) == Gdead)
		return true;
	walked->nframes = 0;
	if (gp == pr->self && getcontext(&here) == 0) {
		unwind_from_ucontext(&regs, &here);
		walk(walked, &regs, gp);
	} else if (!gp->fresh && traceback_registers(&regs, gp)) {
		walk(walked, &regs, gp);
	} else {
		walked->pc[walked->nframes++] = (uintptr_t)gp->top->fn;
	}
	pr->total++;
	count_group(pr, walked);
	return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int more_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static void write_group(struct fdprint *out, const struct group *group)
{
	struct symtab_symbol sym;

	fdp_u64(out, group->count);
	fdp_str(out, " @");
	for (uint32_t i = 0; i < group->nframes; i++) {
		fdp_char(out, ' ');
		fdp_hex(out, group->pc[i] + 1);
	}
	for (uint32_t i = 0; i < group->nframes; i++) {
		bool known = symtab_lookup(group->pc[i], &sym);

		fdp_str(out, "\n#\t");
		fdp_hex(out, group->pc[i]);
		fdp_char(out, '\t');
		fdp_str(out, known ? sym.name : "?");
		fdp_char(out, '+');
		fdp_hex(out, sym.offset);
		fdp_char(out, '\t');
		fdp_str(out, sym.module[0] ? sym.module : "?");
	}
	fdp_str(out, "\n\n");
}

/* The lines of /proc/self/maps that are of code, for pprof. */
static void write_map(struct fdprint *out)
{
	int fd = procfs_open("/proc/self/maps");
	char line[512], buf[1024];
	size_t len = 0;
	long n;

	fdp_str(out, "--- Memory map: ---\n");
	if (fd < 0)
		return;
	while ((n = sys_call3(SYS_read, fd, sys_ptr(buf), sizeof(buf))) > 0) {
		for (long i = 0; i < n; i++) {
			if (len < sizeof(line) - 1)
				line[len++] = buf[i];
			if (buf[i] != '\n')
				continue;
			line[len] = '\0';
			if (strstr(line, " r-xp "))
				fdp_str(out, line);
			len = 0;
		}
	}
	sys_call1(SYS_close, fd);
}

static int write_profile(struct profile *pr, int fd)
{
	struct fdprint out;

	qsort(pr->groups, pr->ngroups, sizeof(pr->groups[0]), more_first);
	fdp_init(&out, fd);
	fdp_str(&out, "goroutine profile: total ");
	fdp_u64(&out, pr->total);
	fdp_char(&out, '\n');
	for (uint32_t i = 0; i < pr->ngroups; i++)
		write_group(&out, &pr->groups[i]);
	if (pr->rest.count > 0)
		write_group(&out, &pr->rest);
	write_map(&out);
	fdp_flush(&out);
	return out.error;
}

int urge_profile_write(const char *kind, int fd)
{
	struct profile *pr;
	int err;

	if (!kind || strcmp(kind, "goroutine") != 0)
		return -EINVAL;
	pr = vm_reserve(PROFILE_BYTES, vm_page_size());
	if (!pr)
		return -ENOMEM;
	err = urge_stop_the_world("goroutine profile");
	if (!err) {
		pr->self = getm()->curg;
		forEachG(gather, pr);
		urge_start_the_world();
		err = write_profile(pr, fd);
	}
	vm_release(pr, PROFILE_BYTES);
	return err;
}
