/* SPDX-License-Identifier: MIT */
/*
 * file: reads of 4 KiB from a regular file of 16 MiB, by goroutines in declared sections, as
 * urge_read makes them, and by a thread with an io_uring: the figures behind the decision in
 * docs/design.md.
 *	cached		one reader, one read at a time, the file in the page cache: 200,000 reads
 *	direct32	O_DIRECT, past the cache, 32 at a time, scattered: 10,000 reads
 *	.uring		the same with io_uring: as many reads in flight, submitted and awaited together
 *
 * No twin. What the system does not allow is left out, with a line on stderr.
 */
#include "bench/workloads.h"
#include "kernelshim/atomic.h"
#include "urge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BLOCK = 4096,
	BLOCKS = 4096,
	CACHED_READS = 200000,
	DIRECT_READS = 10000,
	DIRECT_DEPTH = 32,
};

static _Alignas(BLOCK) char buffers[DIRECT_DEPTH][BLOCK];

/* Where read number i is; every block is as likely. */
static off_t place(uint64_t i)
{
	return (off_t)((i * UINT64_C(0x9E3779B97F4A7C15) >> 40) % BLOCKS * BLOCK);
}

static int check(long result, const char *what)
{
	bench_check(result < 0 ? -errno : 0, what);
	return (int)result;
}

/* A file that is opened twice, and has no name any more; *direct is -1 where that can't be. */
static void make_file(int *cached, int *direct)
{
	char name[] = "/tmp/urge-bench-XXXXXX";

	*cached = check(mkostemp(name, O_CLOEXEC), "mkstemp");
	for (int i = 0; i < BLOCKS; i++)
		check(write(*cached, buffers[0], BLOCK) == BLOCK ? 0 : -1, "write");
	check(fsync(*cached), "fsync");
	*direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (*direct < 0)
		perror("file.direct32 is left out: O_DIRECT");
	unlink(name);
}

/* ---- goroutines ---------------------------------------------------------------------------- */

struct readers {
	int fd;
	uint64_t reads;
	struct atomic_u64 next, numbers;
	urge_waitgroup done;
};

static void reader(void *arg)
{
	struct readers *all = arg;
	char *buffer = buffers[add_u64(&all->numbers, 1)];
	uint64_t i;

	while ((i = add_u64(&all->next, 1)) < all->reads) {
		urge_entersyscall();
		ssize_t n = pread(all->fd, buffer, BLOCK, place(i));
		urge_exitsyscall();
		check(n == BLOCK ? 0 : -1, "pread");
	}
	urge_waitgroup_done(&all->done);
}

static void by_goroutines(const struct bench_run *run, const char *stem, int fd, uint64_t reads,
			  int depth)
{
	struct readers all = { .fd = fd, .reads = reads };
	struct bench_section section = bench_start();

	urge_waitgroup_add(&all.done, depth);
	for (int i = 0; i < depth; i++)
		bench_check(urge_go(reader, &all), "urge_go");
	urge_waitgroup_wait(&all.done);
	bench_end(run, section, stem, (double)reads, "ns/read");
}

/* ---- io_uring ------------------------------------------------------------------------------ */

struct ring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array;
	uint32_t *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *map(const struct ring *ring, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			offset);

	check(at == MAP_FAILED ? -1 : 0, "mmap of an io_uring");
	return at;
}

/* False: the kernel has none for us. */
static bool ring_open(struct ring *ring)
{
	struct io_uring_params p = { .flags = IORING_SETUP_CLAMP };

	ring->fd = (int)syscall(SYS_io_uring_setup, DIRECT_DEPTH, &p);
	if (ring->fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP)) {
		perror("file.*.uring is left out: io_uring_setup");
		return false;
	}
	size_t sq = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *base = map(ring, sq > cq ? sq : cq, IORING_OFF_SQ_RING);
	ring->sq_tail = (uint32_t *)(base + p.sq_off.tail);
	ring->sq_mask = (uint32_t *)(base + p.sq_off.ring_mask);
	ring->sq_array = (uint32_t *)(base + p.sq_off.array);
	ring->cq_head = (uint32_t *)(base + p.cq_off.head);
	ring->cq_tail = (uint32_t *)(base + p.cq_off.tail);
	ring->cq_mask = (uint32_t *)(base + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + p.cq_off.cqes);
	ring->sqes = map(ring, p.sq_entries * sizeof(*ring->sqes), IORING_OFF_SQES);
	return true;
}

/* The kernel takes it at the next io_uring_enter, on this thread: no order is needed. */
static void ring_read(struct ring *ring, int fd, uint64_t buffer, off_t offset)
{
	uint32_t at = *ring->sq_tail & *ring->sq_mask;

	ring->sqes[at] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.fd = fd,
		.addr = (uintptr_t)buffers[buffer],
		.len = BLOCK,
		.off = (uint64_t)offset,
		.user_data = buffer,
	};
	ring->sq_array[at] = at;
	++*ring->sq_tail;
}

static void by_uring(const struct bench_run *run, const char *stem, struct ring *ring, int fd,
		     uint64_t reads, uint64_t depth)
{
	struct bench_section section = bench_start();
	uint64_t begun = 0, done = 0;
	unsigned submit;

	for (submit = 0; begun < depth; submit++, begun++)
		ring_read(ring, fd, begun, place(begun));
	while (done < reads) {
		check(syscall(SYS_io_uring_enter, ring->fd, submit, 1, IORING_ENTER_GETEVENTS, NULL,
			      0),
		      "io_uring_enter");
		/* pairs with the kernel's release: the entries before it are there */
		uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
		uint32_t head = *ring->cq_head;
		for (submit = 0; head != tail; head++, done++) {
			const struct io_uring_cqe *cqe = &ring->cqes[head & *ring->cq_mask];

			bench_check(cqe->res == BLOCK ? 0 : -EIO, "a read by io_uring");
			if (begun < reads) {
				ring_read(ring, fd, cqe->user_data, place(begun++));
				submit++;
			}
		}
		__atomic_store_n(ring->cq_head, head,
				 __ATOMIC_RELEASE); /* the kernel may reuse them */
	}
	bench_end(run, section, stem, (double)reads, "ns/read");
}

static int file(const struct bench_run *run)
{
	struct ring ring;
	bool uring = ring_open(&ring);
	int cached, direct;

	make_file(&cached, &direct);
	for (unsigned i = 0; i < run->reps; i++) {
		by_goroutines(run, "file.cached", cached, CACHED_READS, 1);
		if (uring)
			by_uring(run, "file.cached.uring", &ring, cached, CACHED_READS, 1);
		if (direct >= 0)
			by_goroutines(run, "file.direct32", direct, DIRECT_READS, DIRECT_DEPTH);
		if (direct >= 0 && uring)
			by_uring(run, "file.direct32.uring", &ring, direct, DIRECT_READS,
				 DIRECT_DEPTH);
	}
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("file.cached"),
	BENCH_SECTION("file.cached.uring"),
	BENCH_SECTION("file.direct32"),
	BENCH_SECTION("file.direct32.uring"),
	NULL,
};

const struct workload file_workload = {
	.name = "file",
	.what = "4 KiB from a regular file, by goroutines and by io_uring",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = file,
};
