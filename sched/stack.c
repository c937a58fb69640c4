/* SPDX-License-Identifier: MIT */
/*
 * Slabs: where goroutines' headers and stacks live.
 *
 *	headers	one reserved range of address space, never unmapped; slab i owns page i of it, with
 *		room for 32 headers. A late reader of a header finds zeros at worst.
 *	stacks	slab i has one mapping of up to 32 stacks of one stride (a power of two), aligned to
 *		2 MiB and a multiple of that, so that unmapping it frees its page tables too.
 *
 *	a stack, low to high:	guard page | usable ... | struct gtop, 0..960 bytes of colour
 *
 * The tops are coloured because stacks are a power of two apart: without it the hot lines of all
 * goroutines fall into the same few cache sets. No huge pages: the first touch of a stack would
 * commit a whole reserve of them.
 *
 * A slab belongs to a memory node, its stacks and its headers.
 *
 * A whole slab is handed out at once, guards made and top pages populated by one system call each:
 * a burst of goroutines costs a few calls per 32. Rejected: malloc or a mapping per stack (a
 * mapping each hits vm.max_map_count at 32,000 stacks and costs four calls), and a free list inside
 * dead stacks (keeps every page of a burst dirty for ever).
 *
 * Where guards run out (kernels before 6.13, beyond half of vm.max_map_count) the lowest page of a
 * stack is a canary instead: it must read as zeros at each switch away from it. Untouched, it costs
 * no memory.
 */
#include "sched/stack.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/vm.h"
#include "numa/memory.h"
#include "sched/fatal.h"
#include "sched/lock.h"
#include "sched/node.h"

#include <errno.h>
#include <string.h>

enum {
	SLABS_MAX = 1 << 18, /* 8 million goroutines */
	SLAB_ALIGN = 2 << 20,
	SLAB_SIZE = 8 << 20, /* of strides that fit in it several times */
	COLOURS = 16,
	PAGE = 4096,
};

enum { NODE_CHUNK = 64 }; /* slabs whose headers, together, are given to a node */

struct slab {
	/* lock; base is also read without it, by stack_owner_sig */
	struct atomic_ptr base;
	size_t size;
	struct slab *next, *prev; /* in partial[class] while free != 0 */
	uint32_t free;            /* bit per stack that is ours */
	struct atomic_u32 dirty;  /* of these, those with pages to be given back */
	uint32_t stale; /* of these, those that were so when stack_scrub_idle last looked */
	uint32_t guarded;
	uint8_t class_;
	uint8_t n;
	uint8_t node; /* constant; its headers and its stacks are memory of it */
};

static struct {
	struct mutex lock;
	struct slab *slabs;                             /* reserved whole */
	struct g *headers;                              /* reserved whole */
	struct atomic_u32 nslabs;                       /* lock writes: how many have a node */
	struct slab *unused[MAX_NODES];                 /* lock: without a mapping */
	struct slab *partial[MAX_NODES][STACK_CLASSES]; /* lock */
	struct atomic_ptr lo, hi;                       /* lock writes: bounds of all mappings */
	bool warned;
	bool crowded; /* lock: more than one slab has been made */
} stacks = { .lock = MUTEX_INIT(RANK_SLABS) };

static inline size_t stride(unsigned class_)
{
	return (size_t)1 << (STACK_MIN_SHIFT + class_);
}

static inline struct g *slab_headers(const struct slab *s)
{
	return stacks.headers + (s - stacks.slabs) * SLAB_STACKS;
}

int stackinit(void)
{
	if (stacks.headers && stacks.slabs)
		return 0;
	/* one of them may be there from an attempt that got no further */
	if (!stacks.headers)
		stacks.headers =
			vm_reserve((size_t)SLABS_MAX * SLAB_STACKS * sizeof(struct g), PAGE);
	if (!stacks.slabs)
		stacks.slabs = vm_reserve((size_t)SLABS_MAX * sizeof(struct slab), PAGE);
	if (!stacks.headers || !stacks.slabs)
		return -ENOMEM;
	store_rlx_ptr(&stacks.lo, (void *)UINTPTR_MAX);
	return 0;
}

unsigned stack_class(size_t usable)
{
	/* a page for the guard, one for the top */
	size_t need = round_up(usable, PAGE) + 2 * (size_t)PAGE;
	unsigned class_ = 0;

	while (stride(class_) < need)
		class_++;
	return class_;
}

size_t stack_usable(unsigned class_)
{
	return stride(class_) - 2 * (size_t)PAGE;
}

static void list_remove(struct slab **list, struct slab *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		*list = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->next = s->prev = NULL;
}

static void list_insert(struct slab **list, struct slab *s)
{
	s->prev = NULL;
	s->next = *list;
	if (*list)
		(*list)->prev = s;
	*list = s;
}

static inline struct slab **partial(const struct slab *s)
{
	return &stacks.partial[s->node][s->class_];
}

static inline char *stack_base(const struct slab *s, unsigned slot)
{
	return (char *)s->base.v + slot * stride(s->class_);
}

static void warn_no_guards(void)
{
	if (stacks.warned)
		return;
	stacks.warned = true;
	complain("urge: out of guard pages; stack overflows of further goroutines are found at "
		 "switches only (raise vm.max_map_count)");
}

/* Makes the guard pages of a new slab, one call for all if the kernel can. */
static void slab_guard(struct slab *s)
{
	void *at[SLAB_STACKS];
	ssize_t made;

	for (unsigned i = 0; i < s->n; i++)
		at[i] = stack_base(s, i);
	made = vm_guard_batch(at, s->n, PAGE);
	if (made < 0)
		made = 0;
	s->guarded = (uint32_t)((UINT64_C(1) << made) - 1);
	if (made < s->n)
		warn_no_guards();
}

/* Commits the top pages of a slab at once: a fault each would cost half as much again. */
static void slab_populate(struct slab *s)
{
	void *at[SLAB_STACKS];

	for (unsigned i = 0; i < s->n; i++)
		at[i] = stack_base(s, i) + stride(s->class_) - PAGE;
	vm_populate_write_batch(at, s->n, PAGE); /* without it they fault one by one */
}

static void slab_headers_init(struct slab *s)
{
	uint32_t index = (uint32_t)(s - stacks.slabs);
	struct g *gp = slab_headers(s);

	for (unsigned i = 0; i < s->n; i++, gp++) {
		uintptr_t end = (uintptr_t)stack_base(s, i) + stride(s->class_);
		size_t colour = (index * 7 + i) % COLOURS * CACHE_LINE;

		gp->stack_hi = (end - colour - sizeof(struct gtop)) & ~(uintptr_t)(CACHE_LINE - 1);
		gp->stack_lo = (uintptr_t)stack_base(s, i) + PAGE;
		gp->top = (struct gtop *)gp->stack_hi;
		gp->slab = index;
		gp->slot = i;
		gp->class_ = s->class_;
		gp->node = s->node;
		gp->canary = !(s->guarded >> i & 1);
		store_rel_u32(&gp->status, Gdead);
	}
}

/*
 * Gives a node some slabs. On many nodes a chunk of them: a change of policy splits the mapping of
 * the headers.
 */
static void slabs_add(uint32_t node)
{
	uint32_t used = load_rlx_u32(&stacks.nslabs), n = many_nodes() ? NODE_CHUNK : 1;

	assert_held(&stacks.lock);
	if (used + n > SLABS_MAX)
		return;
	if (many_nodes())
		numa_memory_prefer(&topology, node, slab_headers(&stacks.slabs[used]),
				   (size_t)n * PAGE, false);
	for (uint32_t i = n; i-- > 0;) {
		struct slab *s = &stacks.slabs[used + i];

		s->node = (uint8_t)node;
		s->next = stacks.unused[node];
		stacks.unused[node] = s;
	}
	store_rel_u32(&stacks.nslabs, used + n); /* pairs with load_acq in forEachG */
}

static struct slab *slab_new(unsigned class_, uint32_t node)
{
	uint32_t used = load_rlx_u32(&stacks.nslabs);
	size_t n = SLAB_SIZE / stride(class_);
	struct slab *s;
	char *base;

	assert_held(&stacks.lock);
	n = n < 1 ? 1 : n > SLAB_STACKS ? SLAB_STACKS : n;
	if (!stacks.unused[node])
		slabs_add(node);
	s = stacks.unused[node];
	if (!s)
		return NULL;
	base = vm_reserve(n * stride(class_), SLAB_ALIGN);
	if (!base)
		return NULL;
	vm_nohugepage(base, n * stride(class_));
	if (many_nodes())
		numa_memory_prefer(&topology, node, base, n * stride(class_), false);
	stacks.unused[node] = s->next;
	memset(s, 0, sizeof(*s));
	s->node = (uint8_t)node;
	s->size = n * stride(class_);
	s->class_ = (uint8_t)class_;
	s->n = (uint8_t)n;
	s->free = (uint32_t)((UINT64_C(1) << n) - 1);
	store_rel_ptr(&s->base, base); /* pairs with load_acq in stack_owner_sig */
	if ((void *)base < load_rlx_ptr(&stacks.lo))
		store_rlx_ptr(&stacks.lo, base);
	if ((void *)(base + s->size) > load_rlx_ptr(&stacks.hi))
		store_rlx_ptr(&stacks.hi, base + s->size);
	slab_guard(s);
	if (stacks.crowded && stride(class_) * SLAB_STACKS <= SLAB_SIZE)
		slab_populate(s);
	stacks.crowded = used > 0;
	slab_headers_init(s);
	list_insert(partial(s), s);
	return s;
}

struct g *stack_alloc(unsigned class_, uint32_t node, uint32_t max, uint32_t *n)
{
	struct g *list = NULL;
	struct slab *s;

	*n = 0;
	lock(&stacks.lock);
	s = stacks.partial[node][class_];
	if (!s)
		s = slab_new(class_, node);
	while (s && s->free && *n < max) {
		unsigned i = (unsigned)__builtin_ctz(s->free);
		struct g *gp = slab_headers(s) + i;

		s->free &= s->free - 1;
		store_rlx_u32(&s->dirty, load_rlx_u32(&s->dirty) & s->free);
		gp->schedlink = list;
		list = gp;
		++*n;
	}
	if (s && !s->free)
		list_remove(partial(s), s);
	unlock(&stacks.lock);
	return list;
}

int stack_resize(struct g *gp, size_t usable)
{
	const struct slab *s = &stacks.slabs[gp->slab];
	uintptr_t base = (uintptr_t)stack_base(s, gp->slot);
	uintptr_t lo = base + stride(s->class_) - PAGE - round_up(usable, PAGE);
	int err;

	if (lo == gp->stack_lo)
		return 0;
	if (!gp->canary) {
		if (gp->stack_lo > base + PAGE) {
			err = vm_unguard((void *)(base + PAGE), gp->stack_lo - base - PAGE);
			if (err)
				return err;
			gp->stack_lo = base + PAGE;
		}
		if (lo > base + PAGE) {
			err = vm_guard((void *)(base + PAGE), lo - base - PAGE);
			if (err == -ENOSPC) { /* the guard page below still stands */
				lo = base + PAGE;
				warn_no_guards();
			} else if (err) {
				return err;
			}
		}
	}
	gp->stack_lo = lo;
	return 0;
}

static void slab_unmap(struct slab *s)
{
	char *base = s->base.v;
	struct g *gp = slab_headers(s);

	assert_held(&stacks.lock);
	if (vm_guard_probe() == VM_GUARD_MPROTECT)
		for (unsigned i = 0; i < s->n; i++)
			if (s->guarded >> i & 1)
				vm_unguard(base + i * stride(s->class_), PAGE);
	store_rel_ptr(&s->base, NULL);
	sanitizer_reuse(base, s->size); /* by whoever gets these addresses */
	vm_release(base, s->size);
	vm_dontneed(gp, SLAB_STACKS * sizeof(*gp)); /* reads as Gidle from here */
	s->next = stacks.unused[s->node];
	stacks.unused[s->node] = s;
}

/* Restores what a new slab's stack has: one guard page, no pages. */
static void stack_scrub(const struct slab *s, unsigned slot)
{
	struct g *gp = slab_headers(s) + slot;

	stack_resize(gp, stack_usable(s->class_));
	vm_dontneed((void *)gp->stack_lo, stride(s->class_) - PAGE);
}

/*
 * A burst's goroutines end in any order, so a slab empties bit by bit, and unmapping it then is one
 * call. So pages of partly used slabs are left alone here: stack_scrub_idle gives them back if they
 * are still free a period later.
 */
void stack_release(struct g *list)
{
	lock(&stacks.lock);
	while (list) {
		struct g *gp = list;
		struct slab *s = &stacks.slabs[gp->slab];
		uint32_t bit = UINT32_C(1) << gp->slot;

		list = gp->schedlink;
		gp->schedlink = NULL;
		if (!s->free)
			list_insert(partial(s), s);
		s->free |= bit;
		store_rlx_u32(&s->dirty, load_rlx_u32(&s->dirty) | bit);
		if (s->free == (uint32_t)((UINT64_C(1) << s->n) - 1)) {
			list_remove(partial(s), s);
			slab_unmap(s);
		}
	}
	unlock(&stacks.lock);
}

bool stack_scrub_idle(void)
{
	bool more = false;

	for (uint32_t i = 0; i < load_acq_u32(&stacks.nslabs); i++) {
		struct slab *s = &stacks.slabs[i];

		/* a look without the lock: what is missed is seen next time */
		if (!load_rlx_u32(&s->dirty))
			continue;
		lock(&stacks.lock);
		if (load_rlx_ptr(&s->base)) {
			s->stale &= load_rlx_u32(&s->dirty);
			store_rlx_u32(&s->dirty, load_rlx_u32(&s->dirty) & ~s->stale);
			for (uint32_t d = s->stale; d; d &= d - 1)
				stack_scrub(s, (unsigned)__builtin_ctz(d));
			s->stale = load_rlx_u32(&s->dirty);
			more |= s->stale != 0;
		}
		unlock(&stacks.lock);
	}
	return more;
}

/* One that is alive: the stacks of others need not have pages. */
static const struct g *slab_example(const struct slab *s)
{
	const struct g *gp = slab_headers(s);

	for (unsigned i = 0; i < s->n; i++)
		if (load_rlx_u32(&gp[i].status) != Gdead)
			return &gp[i];
	return NULL;
}

size_t stack_sample(uint32_t node, void **pages, size_t max)
{
	uint32_t nslabs = load_acq_u32(&stacks.nslabs); /* pairs with store_rel in slabs_add */
	uint32_t step = nslabs / (uint32_t)max + 1;
	size_t n = 0;

	lock(&stacks.lock);
	for (uint32_t from = 0; from < step && n < max; from++)
		for (uint32_t i = from; i < nslabs && n < max; i += step) {
			const struct slab *s = &stacks.slabs[i];
			const struct g *gp = s->base.v && s->node == node ? slab_example(s) : NULL;

			if (gp)
				pages[n++] = gp->top;
		}
	unlock(&stacks.lock);
	return n;
}

void stack_release_all(bool (*keep)(const struct g *gp))
{
	lock(&stacks.lock);
	for (uint32_t i = 0; i < load_rlx_u32(&stacks.nslabs); i++) {
		struct slab *s = &stacks.slabs[i];
		bool kept = false;

		if (!s->base.v)
			continue;
		for (unsigned k = 0; k < s->n && !kept; k++)
			kept = !(s->free >> k & 1) && keep(slab_headers(s) + k);
		if (kept) {
			/* never used again: a stray may come back to it at any time */
			if (s->free)
				list_remove(partial(s), s);
			s->free = 0;
			store_rlx_u32(&s->dirty, 0);
			for (unsigned k = 0; k < s->n; k++)
				store_rlx_u32(&slab_headers(s)[k].status, Gdead);
			continue;
		}
		if (s->free)
			list_remove(partial(s), s);
		slab_unmap(s);
	}
	stacks.crowded = false;
	unlock(&stacks.lock);
}

void stack_after_fork(const struct g *gp)
{
	mutex_init(&stacks.lock, RANK_SLABS);
	memset(stacks.unused, 0, sizeof(stacks.unused));
	memset(stacks.partial, 0, sizeof(stacks.partial));
	stacks.crowded = false;
	for (uint32_t i = 0; i < load_rlx_u32(&stacks.nslabs); i++) {
		struct slab *s = &stacks.slabs[i];
		struct g *header = slab_headers(s);

		if (!s->base.v) {
			s->next = stacks.unused[s->node];
			stacks.unused[s->node] = s;
			continue;
		}
		s->free = 0;
		store_rlx_u32(&s->dirty, 0);
		for (unsigned k = 0; k < s->n; k++)
			if (&header[k] != gp && load_rlx_u32(&header[k].status) != Gdead)
				store_rlx_u32(&header[k].status, Gdead);
	}
}

void forEachG(bool (*each)(struct g *gp, void *arg), void *arg)
{
	uint32_t n = load_acq_u32(&stacks.nslabs); /* pairs with store_rel in slabs_add */

	for (uint32_t i = 0; i < n; i++) {
		struct g *gp = slab_headers(&stacks.slabs[i]);

		if (!load_acq_ptr(&stacks.slabs[i].base)) /* nothing in it; pairs with slab_new */
			continue;
		for (unsigned k = 0; k < SLAB_STACKS; k++, gp++)
			if (load_acq_u32(&gp->status) != Gidle && !each(gp, arg))
				return;
	}
}

void stack_ranges(void (*each)(uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	uint32_t n = load_acq_u32(&stacks.nslabs); /* pairs with store_rel in slabs_add */

	each((uintptr_t)stacks.headers, (uintptr_t)(slab_headers(&stacks.slabs[SLABS_MAX])), arg);
	for (uint32_t i = 0; i < n; i++) {
		const struct slab *s = &stacks.slabs[i];
		uintptr_t base = (uintptr_t)load_acq_ptr(&s->base); /* pairs with slab_new */

		if (base)
			each(base, base + s->size, arg);
	}
}

struct g *stack_owner_sig(uintptr_t addr)
{
	uint32_t n = load_acq_u32(&stacks.nslabs); /* pairs with store_rel in slabs_add */

	if (addr < (uintptr_t)load_rlx_ptr(&stacks.lo) ||
	    addr >= (uintptr_t)load_rlx_ptr(&stacks.hi))
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct slab *s = &stacks.slabs[i];
		uintptr_t base = (uintptr_t)load_acq_ptr(&s->base); /* pairs with slab_new */

		if (base && addr - base < s->size)
			return slab_headers(s) + (addr - base) / stride(s->class_);
	}
	return NULL;
}

void stack_overflow_words(const struct g *gp)
{
	struct fdprint out;

	fdp_init(&out, 2);
	fdp_str(&out, "urge: stack overflow: goroutine ");
	fdp_u64(&out, gp->goid);
	if (load_rlx_u32(&gp->status) != Gidle && gp->attr & GATTR_NAME) {
		fdp_str(&out, " (");
		fdp_str(&out, gp->top->name);
		fdp_str(&out, ")");
	}
	fdp_str(&out, " exceeded its reserve of ");
	fdp_u64(&out, gp->stack_hi - gp->stack_lo);
	fdp_str(&out, " bytes; raise stack_size in its struct urge_attr\n");
	fdp_flush(&out);
}

void stack_check_canary(const struct g *gp)
{
	const uint64_t *page = (const uint64_t *)gp->stack_lo;

	for (unsigned i = 0; i < PAGE / sizeof(*page); i += 8)
		if (page[i]) {
			stack_overflow_words(gp);
			fatal("stack overflow");
		}
}
