/* SPDX-License-Identifier: MIT */
#include "sched/lockcycle.h"

#include "kernelshim/fdprint.h"
#include "sched/fatal.h"
#include "sched/stack.h"
#include "sched/sysmon.h"

static struct atomic_u32 suspicions;

struct link {
	struct g *holder;
	const urge_mutex *mutex;
	uint64_t serial;
	bool told; /* before this */
};

static uintptr_t waitobj(const struct g *gp)
{
	return (uintptr_t)__atomic_load_n(&gp->waitobj, __ATOMIC_RELAXED);
}

/* False: gp does not wait for ever for somebody's mutex. tell: its wait is marked as told. */
static bool follow(const struct g *gp, bool tell, struct link *link)
{
	uintptr_t obj = waitobj(gp);
	const void *addr = (const void *)(obj & ~(uintptr_t)WAITOBJ_BITS);
	struct semroot *root;
	struct semwaiter *w;

	link->holder = NULL;
	if (!(obj & WAITOBJ_MUTEX))
		return false;
	root = semlock(addr);
	w = semfind(root, addr, gp);
	if (w && w->sleeper.ticket == 0) {
		link->holder = mutex_holder(w->mutex);
		link->mutex = w->mutex;
		link->serial = w->serial;
		link->told = w->told;
		w->told |= tell;
	}
	semunlock(root);
	return link->holder != NULL;
}

/*
 * Whether the chain that begins at gp comes back to it; *sum stands for all that was seen. The
 * chain may run into a circle that gp is not in, which a mark at each power of two finds.
 */
static bool comes_back(const struct g *gp, uint64_t *sum)
{
	const struct g *at = gp, *mark = NULL;
	struct link link;

	*sum = 0;
	for (uint64_t n = 1; follow(at, false, &link) && !link.told; n++) {
		*sum = (*sum ^ (uintptr_t)at ^ link.serial) * UINT64_C(0x9e3779b97f4a7c15);
		*sum = (*sum ^ (uintptr_t)link.mutex) * UINT64_C(0x9e3779b97f4a7c15);
		at = link.holder;
		if (at == gp)
			return true;
		if (at == mark)
			return false;
		if ((n & (n - 1)) == 0)
			mark = at;
	}
	return false;
}

void lockcycle_follow(struct g *gp)
{
	uintptr_t obj = waitobj(gp);
	uint64_t sum;

	if (!comes_back(gp, &sum) || (obj & WAITOBJ_BITS) != WAITOBJ_MUTEX)
		return;
	/* it may run again meanwhile, and write there itself */
	if (!__atomic_compare_exchange_n(&gp->waitobj, (void **)&obj,
					 (void *)(obj | WAITOBJ_SUSPECT), false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	store_rel_u32(&suspicions, 1); /* pairs with xchg in lockcycle_tell */
	waitpoint_kick(&sysmon_point);
}

static void tell(const struct g *gp)
{
	const struct g *at = gp;
	struct fdprint out;
	struct link link;

	fdp_init(&out, 2);
	fdp_str(&out, "urge: deadlock: goroutines wait for each other's mutexes\n");
	do {
		if (!follow(at, true, &link))
			throw_("lockcycle: a goroutine got out");
		fdp_str(&out, "goroutine ");
		fdp_u64(&out, at->goid);
		fdp_str(&out, " waits for the mutex at ");
		fdp_hex(&out, (uintptr_t)link.mutex);
		fdp_str(&out, ", which goroutine ");
		fdp_u64(&out, link.holder->goid);
		fdp_str(&out, " holds\n");
		at = link.holder;
	} while (at != gp);
	do {
		dump_parked(&out, at);
		if (!follow(at, true, &link))
			break;
		at = link.holder;
	} while (at != gp);
	fdp_flush(&out);
}

static bool look_at(struct g *gp, void *unused)
{
	uintptr_t obj = waitobj(gp);
	uint64_t first, second;

	(void)unused;
	if ((obj & WAITOBJ_BITS) != WAITOBJ_BITS)
		return true;
	if (comes_back(gp, &first) && comes_back(gp, &second) && first == second)
		tell(gp);
	return true;
}

void lockcycle_tell(void)
{
	if (load_rlx_u32(&suspicions) && xchg_u32(&suspicions, 0))
		forEachG(look_at, NULL);
}
