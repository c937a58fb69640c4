/* SPDX-License-Identifier: MIT */
/*
 * Leaked goroutines: those that wait on channels, without a deadline or a context, to which no word
 * of the process points that anybody who may run again can read. So nobody will ever send or close
 * there.
 *
 * With the world stopped:
 *
 *	1. suspects: all who wait so. Their channels, sorted by address
 *	2. every word of memory that may be a root, and points to one of the channels, saves it
 *	3. who waits on a channel that is saved is no suspect; what his stack points to is saved too, and
 *	   what a saved channel's buffer points to; until nothing more is found
 *	4. suspects that are left are leaked, islands of several included
 *
 * Roots are all mappings that can be read, whatever they are (heap, also what has been freed; data
 * of modules; stacks of threads; what is shared), at every address, aligned or not; the registers
 * and stacks of goroutines that are no suspects, from the stack pointer on. No roots are
 *
 *	stacks of suspects, of dead goroutines, below stack pointers
 *	the suspects' channels themselves
 *	what is the runtime's own and holds what it once did: headers of goroutines, Ms, the parts of
 *	threads' stacks on which only the scheduler runs, alternate stacks that nobody is on
 *
 * So what is shown is right unless the program hides pointers: xors them, keeps them in the kernel
 * or in another process. What is not shown may be leaked all the same: a pointer that was left in
 * freed memory is enough to save it.
 *
 * It can be shown only while nobody else runs: no threads but the runtime's, nobody in a declared
 * call (his registers are in the kernel), nothing outside announced.
 *
 * Memory is read through /proc/self/mem, which fails where a load would fault; pages that were
 * never touched, or are as they are in their file, are told by /proc/self/pagemap, and left out.
 *
 * Rejected: only aligned words (a packed struct would make a false "leaked"); to follow the heap's
 * objects, as collectors do: malloc does not say where they are.
 */
#define URGE_KEEP_ERRNO
#include "sched/leaks.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/procfs.h"
#include "kernelshim/sys.h"
#include "kernelshim/unwind.h"
#include "kernelshim/vm.h"
#include "sched/chan.h"
#include "sched/deadlock.h"
#include "sched/m.h"
#include "sched/proc.h"
#include "sched/select.h"
#include "sched/stack.h"
#include "sched/tls.h"
#include "sched/urge.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

#define LIMIT INT64_C(2000000000)
#define STRANGERS_NAP INT64_C(1000000)
#define STRANGERS_PATIENCE INT64_C(600000000)

enum {
	PAGE = 4096,
	BLOCK = 16 * PAGE,
	ENTRIES = 4096,
	RED_ZONE = 128,
	WORD = sizeof(uintptr_t),
	SLACK = 256,
};

/* Of an entry of /proc/self/pagemap. */
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)
#define PAGE_OF_FILE (UINT64_C(1) << 61)

struct range {
	uintptr_t lo, hi;
};

struct suspect_chan {
	struct range range; /* first: sorted by it */
	bool saved;
};

struct scan {
	const char *why; /* it is given up */
	int64_t deadline;
	struct g *self;
	uint64_t suspects;

	struct suspect_chan *chans; /* sorted */
	size_t nchans, chans_room;
	struct suspect_chan **todo; /* saved, and not looked into yet */
	size_t ntodo;
	struct range *left_out; /* sorted: no roots */
	size_t nleft_out, left_out_room;
	void *memory;
	size_t bytes;

	int mem, pagemap;
	uint64_t entries[ENTRIES];
	char before[WORD]; /* the end of the block before, which is read in front of block */
	char block[BLOCK + WORD];
	char line[512];
};

/*
 * What is the program's of the calling thread's stack begins here; and the registers that it had
 * then.
 */
static struct {
	const char *frame;
	char registers[256];
} boot;

static noinline void keep_frame(const char *frame)
{
	const char *below = __builtin_frame_address(0);
	size_t n = (size_t)(frame - below);

	boot.frame = frame;
	memcpy(boot.registers, below, n < sizeof(boot.registers) ? n : sizeof(boot.registers));
}

void leaks_boot(void)
{
	__builtin_unwind_init(); /* they are in this frame */
	keep_frame(__builtin_frame_address(0));
}

static const char outside[] = "there are threads of the program's own";

/* ---- suspects ------------------------------------------------------------------------------ */

/* The wait with this ticket is under way, and has no deadline. Without a ticket it has none. */
static bool endless(const struct g *gp, uint32_t ticket)
{
	return ticket == 0 || (load_rlx_u32(&gp->waitticket) == ticket + WAIT_PARKED &&
			       gp->top->deadline.ticket != ticket);
}

/* gp's entry in one of c's queues. */
static const struct sudog *entry_of(struct urge_chan *c, const struct g *gp)
{
	struct waitq *queues[] = { &c->recvq, &c->sendq };
	const struct sudog *found = NULL;

	chanlock(&c->lock, getm());
	for (size_t i = 0; i < ARRAY_SIZE(queues) && c->world == sched.starttime; i++)
		for (const struct sudog *sg = load_rlx_ptr(&queues[i]->first); sg && !found;
		     sg = sg->next)
			if (sg->gp == gp)
				found = sg;
	chanunlock(&c->lock, getm());
	return found;
}

/*
 * Whether gp waits on channels alone, without an end. *select, *chan: on which; both NULL for nil
 * channels.
 */
static bool is_suspect(const struct g *gp, const struct selection **select, struct urge_chan **chan)
{
	const struct sudog *sg;
	uint32_t last;

	*select = NULL;
	*chan = NULL;
	if (load_acq_u32(&gp->status) != Gwaiting || gp->top->ctx || gp->bound & BOUND_PARKED)
		return false;
	switch (gp->waitreason) {
	case WAIT_CHANRECV:
	case WAIT_CHANSEND:
		*chan = gp->waitobj;
		sg = entry_of(*chan, gp);
		return sg && endless(gp, sg->ticket);
	case WAIT_SELECT:
	case WAIT_SELECTNOCASES:
		*select = gp->waitobj;
		return endless(gp, select_ticket(*select));
	case WAIT_CHANRECVNIL:
	case WAIT_CHANSENDNIL:
		/* its ticket is not known: the last one that it had must not have had a deadline */
		last = ((load_rlx_u32(&gp->waitticket) - 1) & ~UINT32_C(3)) + 1;
		return gp->top->deadline.ticket != last;
	default:
		return false;
	}
}

/* Written only where it changes: headers of dead goroutines may be in use again, by a timer's. */
static void unmark(struct g *gp)
{
	if (gp->attr & GATTR_LEAKED)
		gp->attr &= (uint8_t)~GATTR_LEAKED;
}

static void add_chan(struct scan *s, struct urge_chan *c)
{
	uintptr_t lo = (uintptr_t)c;

	if (s->nchans < s->chans_room)
		s->chans[s->nchans].range =
			(struct range){ lo, lo + sizeof(*c) + c->cap * c->elem_size };
	s->nchans++; /* without room: counted */
}

static bool add_suspect(struct g *gp, void *arg)
{
	const struct selection *select;
	struct urge_chan *c;
	struct scan *s = arg;

	unmark(gp);
	if (!is_suspect(gp, &select, &c))
		return true;
	gp->attr |= GATTR_LEAKED;
	s->suspects++;
	if (c)
		add_chan(s, c);
	for (size_t i = 0; select && (c = select_chan(select, i)) != NULL; i++)
		add_chan(s, c);
	return true;
}

/* ---- what is no root ----------------------------------------------------------------------- */

static void leave_out(uintptr_t lo, uintptr_t hi, void *arg)
{
	struct scan *s = arg;

	if (lo >= hi)
		return;
	if (s->nleft_out < s->left_out_room)
		s->left_out[s->nleft_out] = (struct range){ lo, hi };
	s->nleft_out++;
}

static void leave_out_m(struct m *mp, void *arg)
{
	uintptr_t alt = (uintptr_t)mp->altstack.base;
	uintptr_t used = (uintptr_t)__atomic_load_n(&mp->parked_at, __ATOMIC_RELAXED);
	uintptr_t hi = mp == sched.m0 ? (uintptr_t)boot.frame : mp->tls_lo;
	struct scan *s = arg;

	if (__atomic_load_n(&mp->incall, __ATOMIC_RELAXED))
		s->why = "a goroutine is in a system call";
	leave_out((uintptr_t)mp, round_up((uintptr_t)(mp + 1), PAGE), s);
	leave_out(alt, used ? used : alt + mp->altstack.size, s);
	if (hi > mp->g0.stack_lo && hi <= mp->g0.stack_hi)
		leave_out(mp->g0.stack_lo, hi, s);
}

/* By their first word: struct range, or what begins with one. Shell's, which needs no memory. */
static void sort(void *base, size_t n, size_t size)
{
	char *at = base, held[sizeof(struct suspect_chan)];

	for (size_t gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
		for (size_t i = gap; i < n; i++) {
			size_t j = i;

			memcpy(held, at + i * size, size);
			for (;
			     j >= gap && *(uintptr_t *)(at + (j - gap) * size) > *(uintptr_t *)held;
			     j -= gap)
				memcpy(at + j * size, at + (j - gap) * size, size);
			memcpy(at + j * size, held, size);
		}
}

/* Counts, or fills in where there is room. */
static void collect(struct scan *s)
{
	s->nchans = s->nleft_out = s->suspects = 0;
	forEachG(add_suspect, s);
	forEachM(leave_out_m, s);
	stack_ranges(leave_out, s);
	leave_out((uintptr_t)s->memory, (uintptr_t)s->memory + s->bytes, s);
	leave_out((uintptr_t)s, (uintptr_t)(s + 1), s);
	for (size_t i = 0, n = s->nchans; i < n && i < s->chans_room; i++)
		leave_out(s->chans[i].range.lo, s->chans[i].range.hi, s);
	if (!s->memory)
		s->nleft_out += s->nchans;
}

static void drop_doubles(struct scan *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->nchans; i++)
		if (n == 0 || s->chans[n - 1].range.lo != s->chans[i].range.lo)
			s->chans[n++] = s->chans[i];
	s->nchans = n;
}

static void collect_all(struct scan *s)
{
	char *at;

	collect(s);
	if (s->why || s->suspects == 0)
		return;
	s->chans_room = s->nchans;
	s->left_out_room =
		s->nleft_out + SLACK; /* this memory, and threads that come up meanwhile */
	s->bytes = round_up(s->chans_room * (sizeof(*s->chans) + sizeof(*s->todo)) +
				    s->left_out_room * sizeof(*s->left_out),
			    PAGE);
	s->memory = at = vm_reserve(s->bytes, PAGE);
	if (!at) {
		s->why = "there is no memory";
		return;
	}
	s->chans = (void *)at;
	s->todo = (void *)(s->chans + s->chans_room);
	s->left_out = (void *)(s->todo + s->chans_room);
	collect(s);
	if (s->nchans > s->chans_room || s->nleft_out > s->left_out_room) {
		s->why = "it changed meanwhile";
		return;
	}
	sort(s->chans, s->nchans, sizeof(*s->chans));
	drop_doubles(s);
	sort(s->left_out, s->nleft_out, sizeof(*s->left_out));
}

/* ---- saving -------------------------------------------------------------------------------- */

/*
 * A word was found that may be a pointer: to the struct, not to the buffer behind it. Programs have
 * none into that, but malloc has: the last bytes of a piece of memory belong to the next one's
 * header.
 */
static void save(struct scan *s, uintptr_t word)
{
	size_t lo = 0, hi = s->nchans;
	struct suspect_chan *c;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->chans[mid].range.lo <= word)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return;
	c = &s->chans[lo - 1];
	if (word - c->range.lo >= sizeof(struct urge_chan) || c->saved)
		return;
	c->saved = true;
	s->todo[s->ntodo++] = c;
}

/* All words in n bytes, at every address; behind them are WORD - 1 more that can be read. */
static void look_through(struct scan *s, const char *at, size_t n)
{
	uintptr_t lo, span;

	if (s->nchans == 0)
		return;
	lo = s->chans[0].range.lo;
	span = s->chans[s->nchans - 1].range.hi - lo;
	for (size_t i = 0; i < n; i++) {
		uintptr_t word;

		memcpy(&word, at + i, sizeof(word));
		if (unlikely(word - lo < span))
			save(s, word);
	}
}

static void look_through_stack(struct scan *s, const struct g *gp, uintptr_t sp)
{
	const char *top = (const char *)(gp->top + 1); /* what is above is of the stack's too */

	sp = sp < gp->stack_lo ? gp->stack_lo : sp;
	if (sp < (uintptr_t)top)
		look_through(s, (const char *)sp, (size_t)(top - (const char *)sp) - (WORD - 1));
}

/* Where gp, which does not run, keeps what it will need: its stack, and a register that is not there. */
static void look_through_goroutine(struct scan *s, const struct g *gp)
{
	const struct m *mp = load_rlx_ptr(&gp->m);
	const void *frame = gp->bound & BOUND_PARKED && mp
				    ? __atomic_load_n(&mp->parked_at, __ATOMIC_RELAXED)
				    : NULL;

	if (frame) { /* its registers are in the signal frame, which is a root */
		struct unwind_regs regs = { .known = 0 };

		unwind_from_ucontext(&regs, frame);
		look_through_stack(s, gp, regs.value[UNWIND_SP] - RED_ZONE);
	} else {
		save(s, gp->ctx.fp);
		look_through_stack(s, gp, (uintptr_t)gp->ctx.sp - RED_ZONE);
	}
}

static bool look_through_live(struct g *gp, void *arg)
{
	struct scan *s = arg;
	uint32_t status = load_acq_u32(&gp->status);

	if (gp != s->self && status != Gdead && status != Gidle && !(gp->attr & GATTR_LEAKED))
		look_through_goroutine(s, gp);
	return true;
}

/* Those who wait on c are no suspects. */
static void release(struct scan *s, struct urge_chan *c)
{
	const struct waitq *queues[] = { &c->recvq, &c->sendq };

	chanlock(&c->lock, getm());
	for (size_t i = 0; i < ARRAY_SIZE(queues); i++)
		for (const struct sudog *sg = load_rlx_ptr(&queues[i]->first); sg; sg = sg->next)
			if (sg->gp->attr & GATTR_LEAKED) {
				unmark(sg->gp);
				s->suspects--;
				look_through_goroutine(s, sg->gp);
			}
	chanunlock(&c->lock, getm());
}

static void follow(struct scan *s)
{
	while (s->ntodo > 0) {
		struct urge_chan *c = (void *)s->todo[--s->ntodo]->range.lo;

		look_through(s, c->buf,
			     c->cap * c->elem_size > WORD ? c->cap * c->elem_size - (WORD - 1) : 0);
		if (c->cap * c->elem_size >= WORD)
			look_through(s, c->buf + c->cap * c->elem_size - WORD, 1);
		release(s, c);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Pages from lo to hi, which follow each other. Those that can't be read hold nothing. */
static void look_through_pages(struct scan *s, uintptr_t lo, uintptr_t hi)
{
	memset(s->before, 0, sizeof(s->before));
	while (lo < hi && !s->why) {
		size_t want = hi - lo < BLOCK ? hi - lo : BLOCK;
		long got = sys_call4(SYS_pread64, s->mem, sys_ptr(s->block), (long)want, (long)lo);

		if (nanotime() > s->deadline)
			s->why = "it takes too long";
		if (got <= 0) {
			lo = (lo / PAGE + 1) * PAGE;
			memset(s->before, 0, sizeof(s->before));
			continue;
		}
		memset(s->block + got, 0, WORD);
		look_through(s, s->before, (size_t)got + sizeof(s->before));
		memcpy(s->before, s->block + got - WORD, WORD);
		lo += (size_t)got;
	}
}

static bool has_content(uint64_t entry, bool shared)
{
	if (shared) /* also what this process has no page table entry for at the moment */
		return true;
	return entry & PAGE_SWAPPED || (entry & PAGE_PRESENT && !(entry & PAGE_OF_FILE));
}

/* A mapping, or a part of it. */
static void look_through_mapping(struct scan *s, uintptr_t lo, uintptr_t hi, bool shared)
{
	while (lo < hi && !s->why) {
		uintptr_t page = lo / PAGE, run = 0;
		size_t n = (hi + PAGE - 1) / PAGE - page;
		long got;

		n = n < ENTRIES ? n : ENTRIES;
		got = sys_call4(SYS_pread64, s->pagemap, sys_ptr(s->entries), (long)(n * 8),
				(long)(page * 8));
		if (got < (long)(n * 8)) {
			s->why = "/proc/self/pagemap can't be read";
			return;
		}
		for (size_t i = 0; i <= n; i++) {
			uintptr_t at = (page + i) * PAGE;

			if (i < n && has_content(s->entries[i], shared)) {
				run = run ? run : at;
			} else if (run) {
				look_through_pages(s, run < lo ? lo : run, at < hi ? at : hi);
				run = 0;
			}
		}
		lo = (page + n) * PAGE;
	}
}

/* The same without what is left out. */
static void look_through_rest(struct scan *s, uintptr_t lo, uintptr_t hi, bool shared)
{
	size_t i = 0, end = s->nleft_out;

	while (i <
	       end) { /* the first one that may be beyond lo: they may overlap, but do not nest far */
		size_t mid = i + (end - i) / 2;

		if (s->left_out[mid].hi <= lo)
			i = mid + 1;
		else
			end = mid;
	}
	for (; i < s->nleft_out && lo < hi; i++) {
		const struct range *out = &s->left_out[i];

		if (out->hi <= lo)
			continue;
		if (out->lo >= hi)
			break;
		if (out->lo > lo)
			look_through_mapping(s, lo, out->lo, shared);
		lo = out->hi;
	}
	if (lo < hi)
		look_through_mapping(s, lo, hi, shared);
}

static uintptr_t hex(const char **at)
{
	uintptr_t n = 0;

	for (;; ++*at) {
		char c = **at;

		if (c >= '0' && c <= '9')
			n = n * 16 + (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n * 16 + (uintptr_t)(c - 'a' + 10);
		else
			return n;
	}
}

/* 7f36e2cc7000-7f36e2e1d000 rw-p 00026000 fe:00 332835 /usr/lib/libc.so.6 */
static void look_through_line(struct scan *s)
{
	const char *at = s->line;
	uintptr_t lo = hex(&at), hi;

	at++;
	hi = hex(&at);
	if (at[0] != ' ' || at[1] != 'r')
		return;
	if (strstr(at, "[vvar") || strstr(at, "[vsyscall]") || strstr(at, " /dev/dri") ||
	    strstr(at, " /dev/mem"))
		return;
	look_through_rest(s, lo, hi, at[4] == 's');
}

static void look_through_mappings(struct scan *s)
{
	int fd = procfs_open("/proc/self/maps");
	size_t len = 0;
	char buf[512];
	long n = -1;

	s->mem = procfs_open("/proc/self/mem");
	s->pagemap = procfs_open("/proc/self/pagemap");
	while (fd >= 0 && s->mem >= 0 && s->pagemap >= 0 && !s->why &&
	       (n = sys_call3(SYS_read, fd, sys_ptr(buf), sizeof(buf))) > 0)
		for (long i = 0; i < n && !s->why; i++) {
			if (len < sizeof(s->line) - 1)
				s->line[len++] = buf[i];
			if (buf[i] == '\n') {
				s->line[len] = '\0';
				look_through_line(s);
				len = 0;
			}
		}
	if (n < 0 && !s->why)
		s->why = "/proc/self can't be read";
	for (int i = 0; i < 3; i++)
		if ((const int[]){ fd, s->mem, s->pagemap }[i] >= 0)
			sys_call1(SYS_close, (const int[]){ fd, s->mem, s->pagemap }[i]);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool unmark_all(struct g *gp, void *unused)
{
	(void)unused;
	unmark(gp);
	return true;
}

/*
 * Threads of the program's own. Those of the runtime are listed a moment before they count
 * themselves, and a moment after: so they are looked at again, for so long at least.
 */
static bool threads_outside(int64_t patience)
{
	const uint32_t nobody_wakes = 0;

	for (int64_t nap = STRANGERS_NAP; strangers() != 0; nap *= 2) {
		if (nap > patience)
			return true;
		futex_wait(&nobody_wakes, 0, nanotime() + nap);
	}
	return false;
}

/* In a stopped world. */
static void find(struct scan *s, const void *frame)
{
	if (load_rlx_u32(&sched.external) > 0)
		s->why = "somebody outside is announced";
	else if (threads_outside(STRANGERS_PATIENCE / 8))
		s->why = outside;
	else
		collect_all(s);
	if (!s->why && s->suspects > 0) {
		look_through_stack(s, s->self, (uintptr_t)frame);
		forEachG(look_through_live, s);
		look_through_mappings(s);
		follow(s);
	}
	if (s->why && s->suspects > 0)
		forEachG(unmark_all, NULL);
}

const char *leaks_find(uint64_t *found)
{
	const struct m *mp = getm();
	const void *frame = __builtin_frame_address(0); /* below the caller's */
	uintptr_t sp = (uintptr_t)frame;
	const char *why;
	struct scan *s;

	*found = 0;
	if (!mp || !mp->curg || mp->locks || sp < mp->curg->stack_lo || sp >= mp->curg->stack_hi)
		return "the caller is no goroutine, or may not block";
	if (threads_outside(STRANGERS_PATIENCE)) /* while the world goes on */
		return outside;
	s = vm_reserve(round_up(sizeof(*s), PAGE), PAGE);
	if (!s)
		return "there is no memory";
	urge_stop_the_world("search for leaked goroutines");
	enter();
	s->self = getm()->curg;
	s->deadline = nanotime() + LIMIT;
	find(s, frame);
	leave();
	urge_start_the_world();
	*found = s->suspects;
	why = s->why;
	if (s->memory)
		vm_release(s->memory, s->bytes);
	vm_release(s, round_up(sizeof(*s), PAGE));
	return why;
}
