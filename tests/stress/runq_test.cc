/* SPDX-License-Identifier: MIT */
/* The local run queue with its owner and thieves on real threads. */
#include "tests/stress/seed.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

static const uint32_t POOL = 4 * RUNQ_SIZE;
static const uint64_t PUTS = IS_ENABLED(CONFIG_DEBUG) ? 500000 : 3000000;

/*
 * One owner puts goroutines of a pool, thieves and the owner take them out, and the ring overflows
 * into the global queue. Each goroutine carries a mark, set when it is put and cleared when it is
 * got: a goroutine got twice finds its mark cleared, one that got lost never comes back to the pool.
 */
class Arena
{
public:
	Arena(uint64_t seed, int nthieves) : seed(seed), ps((size_t)nthieves + 1)
	{
		for (auto &pp : ps) {
			pp = std::make_unique<struct p>();
			store_rlx_u32(&pp->status, Prunning);
		}
		store_rlx_i32(&sched.gomaxprocs, nthieves + 1);
	}

	void run()
	{
		std::vector<std::thread> thieves;

		for (size_t i = 1; i < ps.size(); i++)
			thieves.emplace_back([this, i] { thief(i); });
		owner();
		for (std::thread &thread : thieves)
			thread.join();
		for (auto &pp : ps)
			empty(pp.get());
		while (from_global(ps[0].get(), 1) || from_ring(ps[0].get()))
			;
	}

	std::atomic<uint64_t> got{ 0 }, wrong{ 0 };
	uint64_t put = 0;

private:
	void take(const struct g *gp)
	{
		if (!marks[(size_t)(gp - gs.data())].exchange(false))
			wrong++;
		got++;
	}

	bool from_ring(struct p *pp, bool oldest = false)
	{
		bool inherit;
		struct g *gp = runqget(pp, oldest, &inherit);

		if (gp)
			take(gp);
		return gp != nullptr;
	}

	/* Up to max, all but one of them into the ring, where there must be room. */
	bool from_global(struct p *pp, uint32_t max)
	{
		struct g *gp;

		lock(&sched.lock);
		gp = globrunqget(pp, 0, max);
		unlock(&sched.lock);
		if (gp)
			take(gp);
		return gp != nullptr;
	}

	void empty(struct p *pp)
	{
		while (from_ring(pp))
			;
	}

	void owner()
	{
		Random random(seed);
		struct p *pp = ps[0].get();

		for (uint32_t i = 0; put < PUTS; i++) {
			if (!marks[i % POOL].exchange(true)) {
				gs[i % POOL].fresh =
					random.below(8) != 0; /* the newest is taken first */
				runqput(pp, &gs[i % POOL], random.below(4) == 0);
				put++;
			}
			if (random.below(3) == 0)
				from_ring(pp, random.below(8) == 0);
			if (random.below(50) == 0)
				from_global(pp, 1);
		}
		end = true;
	}

	void thief(size_t self)
	{
		Random random(seed + self);
		struct p *pp = ps[self].get();

		while (!end) {
			size_t victim = random.below((uint32_t)ps.size());
			struct g *gp;

			if (victim == self)
				continue;
			gp = runqsteal(pp, ps[victim].get(), random.below(8) == 0);
			if (gp)
				take(gp);
			for (uint32_t n = random.below(200); n > 0; n--)
				from_ring(pp);
			empty(pp); /* a thief steals when its own ring is empty */
			if (random.below(100) == 0)
				from_global(pp, RUNQ_SIZE);
			empty(pp);
		}
	}

	uint64_t seed;
	std::vector<std::unique_ptr<struct p>> ps;
	std::vector<struct g> gs = std::vector<struct g>(POOL);
	std::vector<std::atomic<bool>> marks = std::vector<std::atomic<bool>>(POOL);
	std::atomic<bool> end{ false };
};

TEST(RunqStress, OwnerAndThievesGetEachOneExactlyOnce)
{
	uint64_t seed = test_seed();

	for (int nthieves : { 1, 2, 4 }) {
		Arena arena(seed, nthieves);

		arena.run();
		EXPECT_EQ(0u, arena.wrong) << nthieves << " thieves";
		EXPECT_EQ(arena.put, arena.got) << nthieves << " thieves";
	}
}

TEST(RunqStress, NeverLooksEmptyWhileSomethingIsIn)
{
	struct g gs[3] = {};
	auto pp = std::make_unique<struct p>();
	std::atomic<bool> end{ false };
	std::atomic<uint64_t> looks{ 0 };
	uint64_t empty = 0;
	bool inherit;

	runqput(pp.get(), &gs[0], true);
	std::thread observer([&] {
		while (!end) {
			empty += runqempty(pp.get());
			looks++;
		}
	});
	/* There is always one in: next, or on its way from next to the ring, or in the ring. */
	for (uint64_t i = 0; i < PUTS || looks < 1000; i++) {
		runqput(pp.get(), &gs[(i + 1) % 3], i % 2);
		runqget(pp.get(), false, &inherit);
	}
	end = true;
	observer.join();
	EXPECT_EQ(0u, empty) << "of " << looks;
}
