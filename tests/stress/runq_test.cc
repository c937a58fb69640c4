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

static void put_somewhere(struct p *pp, struct g *gp, bool next)
{
	if (next)
		runqput_next(pp, gp);
	else
		runqput(pp, gp);
}

/*
 * One owner puts goroutines of a pool, thieves and the owner take them out, and the ring overflows
 * into the global queue. Each goroutine carries a mark, set when it is put and cleared when it is
 * got: a goroutine got twice finds its mark cleared, one that got lost never comes back to the
 * pool.
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
		store_rlx_u32(&sched.sharing, 1);
	}

	~Arena() { store_rlx_u32(&sched.sharing, 0); }

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

	/*
	 * Other Ps come and go: thieves are there in turns, between two changes of sharing, until
	 * they have stolen in so many visits. Where others need the processors too many visits end
	 * before.
	 */
	void run_with_visits(int visits)
	{
		std::thread visitors([this, visits] {
			Random random(seed + 1);
			uint64_t before;

			for (int i = 0; i < 4 * visits && visited < visits; i++) {
				store_rel_u32(&sched.sharing, 2 * (uint32_t)i + 1);
				before = stolen;
				for (int looks = 0; looks < 20000 && stolen < before + 3; looks++)
					visit(random);
				visited += stolen > before;
				store_rel_u32(&sched.sharing, 2 * (uint32_t)i + 2);
				for (uint32_t n = random.below(2000); n > 0; n--)
					cpu_relax();
			}
			end = true;
		});

		while (!end)
			owner_turn(own_random, own_turn++);
		visitors.join();
		for (auto &pp : ps)
			empty(pp.get());
		while (from_global(ps[0].get(), 1) || from_ring(ps[0].get()))
			;
	}

	std::atomic<uint64_t> got{ 0 }, wrong{ 0 }, stolen{ 0 };
	int visited = 0;
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

	void owner_turn(Random &random, uint32_t i)
	{
		struct p *pp = ps[0].get();

		if (!marks[i % POOL].exchange(true)) {
			gs[i % POOL].fresh = random.below(8) != 0; /* the newest is taken first */
			put_somewhere(pp, &gs[i % POOL], random.below(4) == 0);
			put++;
		}
		if (random.below(3) == 0)
			from_ring(pp, random.below(8) == 0);
		if (random.below(50) == 0)
			from_global(pp, 1);
	}

	void owner()
	{
		while (put < PUTS)
			owner_turn(own_random, own_turn++);
		end = true;
	}

	void visit(Random &random)
	{
		struct p *pp = ps[1].get();
		struct g *gp = runqsteal(pp, ps[0].get(), random.below(8) == 0);

		if (gp) {
			take(gp);
			stolen++;
		}
		empty(pp);
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
	Random own_random{ seed };
	uint32_t own_turn = 0;
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

TEST(RunqStress, OtherPsComeAndGo)
{
	Arena arena(test_seed(), 1);

	arena.run_with_visits(5000);
	EXPECT_EQ(0u, arena.wrong);
	EXPECT_EQ(arena.put, arena.got);
	EXPECT_GT(arena.visited, 1000) << "visits that stole";
}

TEST(RunqStress, NeverLooksEmptyWhileSomethingIsIn)
{
	struct g gs[3] = {};
	auto pp = std::make_unique<struct p>();
	std::atomic<bool> end{ false };
	std::atomic<uint64_t> looks{ 0 };
	uint64_t empty = 0;
	bool inherit;

	runqput_next(pp.get(), &gs[0]);
	std::thread observer([&] {
		while (!end) {
			empty += runqempty(pp.get());
			looks++;
		}
	});
	/* There is always one in: next, or on its way from next to the ring, or in the ring. */
	for (uint64_t i = 0; i < PUTS || looks < 1000; i++) {
		put_somewhere(pp.get(), &gs[(i + 1) % 3], i % 2);
		runqget(pp.get(), false, &inherit);
	}
	end = true;
	observer.join();
	EXPECT_EQ(0u, empty) << "of " << looks;
}
