/* SPDX-License-Identifier: MIT */
/* Stacks of goroutines: sizes, guards, what an overflow says, and older kernels. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <fstream>
#include <sys/mman.h>

/* What a child finds out before it dies: shared memory. */
struct Seen {
	uintptr_t first, lowest;
};

static Seen *seen_page()
{
	static void *page =
		mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*(Seen *)page = {};
	return (Seen *)page;
}

/* Writes its way down the stack in small steps, until something stops it. */
noinline static void descend(volatile Seen *seen)
{
	volatile char step[128];

	step[0] = 1;
	seen->lowest = (uintptr_t)&step[0];
	if (seen->first) /* always */
		descend(seen);
	step[1] = 1;
}

static void fall(void *seen)
{
	((Seen *)seen)->first = (uintptr_t)__builtin_frame_address(0);
	descend((Seen *)seen);
}

static Outcome overflow(size_t stack_size, Seen *seen, vm_guard_kind guards)
{
	return in_child([=] {
		vm_guard_force(guards);
		run_main([=] {
			struct urge_attr attr = URGE_ATTR_INIT;

			attr.stack_size = stack_size;
			attr.name = "faller";
			EXPECT_EQ(0, urge_go_attr(&attr, fall, seen));
			urge_sleep(3600 * URGE_S);
			return 0;
		});
	});
}

TEST(Stack, OverflowNamesTheGoroutineItsReserveAndTheAttribute)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers handle SIGSEGV";
	for (size_t size : { 0, 4096, 65536, 256 << 10, 1 << 20 }) {
		Seen *seen = seen_page();
		Outcome fell = overflow(size, seen, vm_guard_probe());
		size_t reserve = size ? size : CONFIG_DEFAULT_STACK_SIZE;
		const std::string words =
			"stack overflow: goroutine 2 (faller) exceeded its reserve of ";
		size_t at = fell.err.find(words);
		size_t said = 0;
		int end = 0;

		EXPECT_TRUE(fell.killed(SIGSEGV)) << fell;
		ASSERT_NE(std::string::npos, at) << fell;
		sscanf(&fell.err[at + words.size()],
		       "%zu bytes; raise stack_size in its struct urge_attr%n", &said, &end);
		EXPECT_GT(end, 0) << fell;
		EXPECT_NEAR((double)reserve, (double)said, 12288) << size;
		/* the guard is where it was asked for */
		EXPECT_GE(seen->first - seen->lowest + 1024, size) << size;
		EXPECT_LE(seen->first - seen->lowest, reserve + 4096) << size;
	}
}

TEST(Stack, AFaultElsewhereIsNoOverflow)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers handle SIGSEGV";
	Outcome fault = in_child([] {
		run_main([] {
			*(volatile int *)8 = 0;
			return 0;
		});
	});

	EXPECT_TRUE(fault.killed(SIGSEGV)) << fault;
	EXPECT_EQ(0, occurrences(fault.err, "overflow")) << fault;
}

/* Touches a stack of n usable bytes from its top to its bottom. */
static void use_stack(size_t n)
{
	struct urge_attr attr = URGE_ATTR_INIT;
	urge_waitgroup wg = {};
	int err;

	attr.stack_size = n;
	urge_waitgroup_add(&wg, 1);
	err = go(
		[&, n] {
			volatile char *top = (char *)__builtin_frame_address(0);

			for (size_t below = 1024; below + 512 < n;
			     below += n < 1 << 20 ? 64 : 1 << 20)
				top[-(ptrdiff_t)below] = 1;
			if (n > 8192)
				top[-(ptrdiff_t)(n - 2048)] = 1;
			urge_yield();
			urge_waitgroup_done(&wg);
		},
		&attr);
	if (n >= (size_t)1 << 30 && err == -ENOMEM)
		return; /* an address space that is too small */
	ASSERT_EQ(0, err) << n;
	urge_waitgroup_wait(&wg);
}

TEST(Stack, EverySizeFromOneByteToOneGibibyteIsUsable)
{
	EXPECT_EQ(0, run_main([] {
			  for (int round = 0; round < 3; round++) /* used again in another size */
				  for (size_t size :
				       { 1ul, 4096ul, 4097ul, 10000ul, 57344ul, 57345ul, 65536ul,
					 1000000ul, 1ul << 20, 5ul << 20, 64ul << 20, 1ul << 30 }) {
					  use_stack(size);
					  use_stack(0);
				  }
			  return 0;
		  }));
}

TEST(Stack, SizesMayMixInOneClass)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> done{ 0 };
			  int n = 0;

			  for (int i = 0; i < 300; i++) {
				  struct urge_attr attr = URGE_ATTR_INIT;

				  attr.stack_size = (size_t)(1 + i % 13) * 4096;
				  EXPECT_EQ(0,
					    go(
						    [&, size = attr.stack_size] {
							    volatile char *top =
								    (char *)__builtin_frame_address(
									    0);

							    urge_sleep(URGE_MS);
							    for (size_t below = 1024;
								 below + 512 < size; below += 512)
								    top[-(ptrdiff_t)below] = 1;
							    done++;
						    },
						    &attr));
				  n++;
				  if (i % 7 == 0)
					  urge_sleep(URGE_MS);
			  }
			  EXPECT_TRUE(eventually([&] { return done == n; }));
			  return 0;
		  }));
}

/* ---- kernels without MADV_GUARD_INSTALL ---------------------------------------------------- */

static void ordinary_work(vm_guard_kind guards)
{
	vm_guard_force(guards);
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> done{ 0 };

			  for (int i = 0; i < 2000; i++)
				  EXPECT_EQ(0, go([&] {
						    urge_sleep(URGE_MS);
						    done++;
					    }));
			  for (size_t size : { 4096, 100000, 1 << 20 })
				  use_stack(size);
			  EXPECT_TRUE(eventually([&] { return done == 2000; }));
			  return 0;
		  }));
}

TEST(Stack, OlderKernelsGuardByMprotect)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers handle SIGSEGV";
	EXPECT_EXITED(0, in_child([] { ordinary_work(VM_GUARD_MPROTECT); }));
	for (size_t size : { 0, 4096 }) {
		Outcome fell = overflow(size, seen_page(), VM_GUARD_MPROTECT);

		EXPECT_TRUE(fell.killed(SIGSEGV)) << fell;
		EXPECT_SAYS("stack overflow: goroutine 2 (faller) ", fell.err);
	}
}

/* Overruns its stack by a little, then reaches a switch. */
static void trespass(void *size)
{
	volatile char *top = (char *)__builtin_frame_address(0);

	for (size_t below = 1024; below < (size_t)size + 1024; below += 32)
		top[-(ptrdiff_t)below] = 1;
	urge_yield();
}

TEST(Stack, WithoutGuardsTheCanaryFindsOverflows)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers see the write itself";
	Outcome warned = in_child([] { ordinary_work(VM_GUARD_NONE); });
	EXPECT_EXITED(0, warned);
	EXPECT_EQ(1, occurrences(warned.err, "urge: out of guard pages")) << warned;
	for (size_t size : { 8192, 1 << 20 }) {
		Outcome fell = in_child([=] {
			vm_guard_force(VM_GUARD_NONE);
			run_main([=] {
				struct urge_attr attr = URGE_ATTR_INIT;

				attr.stack_size = size;
				attr.name = "trespasser";
				EXPECT_EQ(0, urge_go_attr(&attr, trespass, (void *)size));
				urge_sleep(URGE_S);
				return 0;
			});
		});

		EXPECT_EXITED(2, fell);
		EXPECT_SAYS("stack overflow: goroutine 2 (trespasser) exceeded its reserve of ",
			    fell.err);
		EXPECT_SAYS("fatal error: stack overflow\n", fell.err);
	}
}

/* ---- pages --------------------------------------------------------------------------------- */

/* A field of /proc/self/smaps, of each mapping that holds one of these addresses. */
static std::vector<std::string> smaps(const std::vector<uintptr_t> &addresses,
				      const std::string &field)
{
	std::ifstream file("/proc/self/smaps");
	std::vector<std::string> values;
	bool inside = false;

	for (std::string line; std::getline(file, line);) {
		uintptr_t lo, hi;
		char perms;

		if (sscanf(line.c_str(), "%lx-%lx %c", &lo, &hi, &perms) == 3) {
			inside = false;
			for (uintptr_t address : addresses)
				inside |= address >= lo && address < hi;
		} else if (inside && line.compare(0, field.size() + 1, field + ":") == 0) {
			values.push_back(line.substr(field.size() + 1));
		}
	}
	return values;
}

static long smaps_kb(const std::vector<uintptr_t> &addresses, const std::string &field)
{
	long sum = 0;

	for (const std::string &value : smaps(addresses, field))
		sum += std::stol(value);
	return sum;
}

TEST(Stack, NoHugePagesAndOnePageAParkedGoroutine)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers take more stack";
	EXPECT_EQ(0, run_main([] {
			  enum { N = 2000 };
			  static std::vector<uintptr_t> addresses(N);
			  std::atomic<int> parked{ 0 };
			  urge_waitgroup gate = {};

			  urge_waitgroup_add(&gate, 1);
			  for (int i = 0; i < N; i++)
				  EXPECT_EQ(0, go([&, i] {
						    addresses[(size_t)i] =
							    (uintptr_t)__builtin_frame_address(0);
						    parked++;
						    urge_waitgroup_wait(&gate);
					    }));
			  EXPECT_TRUE(eventually([&] { return parked == N; }));
			  EXPECT_EQ(0, smaps_kb(addresses, "AnonHugePages"));
			  for (const std::string &flags : smaps(addresses, "VmFlags"))
				  EXPECT_SAYS(" nh", flags); /* never, whatever the system's way */
			  EXPECT_GE(smaps_kb(addresses, "Rss"), N * 4);
			  EXPECT_LE(smaps_kb(addresses, "Rss"), N * 4 * 11 / 10 + 1024);
			  urge_waitgroup_done(&gate);
			  return 0;
		  }));
}
