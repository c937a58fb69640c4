/* SPDX-License-Identifier: MIT */
/*
 * Guards. An inaccessible page made by mprotect splits its mapping in three, and a process may have
 * 65,530 mappings by default: beyond that every mmap in it fails, malloc's and the loader's too.
 * MADV_GUARD_INSTALL marks the page-table entries and splits nothing. Where it is missing, guards
 * may use half of the limit, at two mappings each, and the rest of the program has the other half.
 *
 * Batches. process_madvise takes a vector of ranges, and from Linux 6.13 every advice for the
 * caller's own memory. The caller is named by PIDFD_SELF, or on kernels without it by a pidfd
 * opened for the one call: a descriptor kept for later would name the parent after a fork, and
 * this code would then guard and populate somebody else's memory.
 *
 * MAP_POPULATE or MADV_POPULATE_WRITE over the whole slab was rejected: of 256 KiB a stack the
 * first page is wanted.
 */
#include "kernelshim/vm.h"
#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "kernelshim/fault.h"
#include "kernelshim/procfs.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kernel interface that the C library's headers may be too old for. */
#define VM_MADV_POPULATE_WRITE 23
#define VM_MADV_DONTNEED_LOCKED 24
#define VM_MADV_GUARD_INSTALL 102
#define VM_MADV_GUARD_REMOVE 103
#define VM_MLOCK_ONFAULT 1
#define VM_PIDFD_SELF (-10000)

#define MAPPINGS_PER_GUARD 2
#define DEFAULT_MAX_MAP_COUNT 65530

/*
 * Facts about the kernel are found out on first use; 0 is "not asked yet", else the fact + 1. Two
 * threads may ask at once and find the same, and nothing else is published with it: relaxed.
 */
static struct atomic_u32 guard_kind;
static struct atomic_u32 batch_way;
static struct atomic_u64 max_guards;

/* Guards by mprotect that exist. */
static struct atomic_u64 mprotect_guards;

enum batch_way {
	BATCH_PIDFD_SELF,
	BATCH_PIDFD_OPEN,
	BATCH_NONE,
};

static long map_anon(size_t len, int prot)
{
	long addr = sys_call6(SYS_mmap, 0, (long)len, prot,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	sanitizer_acquire(
		(void *)vm_release); /* it had been given up before: pairs with vm_release */
	return addr;
}

static int advise(void *addr, size_t len, int advice)
{
	return (int)sys_call3(SYS_madvise, sys_ptr(addr), (long)len, advice);
}

static int protect(void *addr, size_t len, int prot)
{
	return (int)sys_call3(SYS_mprotect, sys_ptr(addr), (long)len, prot);
}

size_t vm_page_size(void)
{
	return (size_t)getpagesize();
}

/*
 * Under mlockall(MCL_FUTURE) a new mapping is locked, and making it accessible would populate it
 * whole. Nothing tells beforehand, but locked memory refuses MADV_DONTNEED; an inaccessible mapping
 * can then be changed to "lock what is touched" in time.
 */
static int make_accessible(void *addr, size_t len)
{
	if (advise(addr, len, MADV_DONTNEED) == -EINVAL)
		sys_call3(SYS_mlock2, sys_ptr(addr), (long)len, VM_MLOCK_ONFAULT);
	return protect(addr, len, PROT_READ | PROT_WRITE);
}

void *vm_reserve(size_t len, size_t align)
{
	size_t slack = align - vm_page_size();
	long low = fault(FAULT_MAP) ? -ENOMEM : map_anon(len + slack, PROT_NONE);
	char *start;
	size_t before;

	if (sys_is_error(low))
		return NULL;
	start = (char *)round_up((uintptr_t)low, align);
	before = (size_t)(start - (char *)low);
	if (before)
		vm_release((char *)low, before);
	if (slack - before)
		vm_release(start + len, slack - before);
	if (make_accessible(start, len) != 0) {
		vm_release(start, len);
		return NULL;
	}
	return start;
}

int vm_release(void *addr, size_t len)
{
	sanitizer_release((void *)vm_release); /* pairs with map_anon and altstack_install */
	return (int)sys_call2(SYS_munmap, sys_ptr(addr), (long)len);
}

int vm_nohugepage(void *addr, size_t len)
{
	int err = advise(addr, len, MADV_NOHUGEPAGE);

	/* a kernel built without huge pages does not know the advice, and needs none */
	return err == -EINVAL ? 0 : err;
}

int vm_dontneed(void *addr, size_t len)
{
	int err = advise(addr, len, MADV_DONTNEED);

	return err == -EINVAL ? advise(addr, len, VM_MADV_DONTNEED_LOCKED) : err;
}

static enum vm_guard_kind find_guard_kind(void)
{
	size_t page = vm_page_size();
	long addr = map_anon(page, PROT_READ | PROT_WRITE);
	int err;

	if (sys_is_error(addr))
		return VM_GUARD_MPROTECT;
	err = advise((void *)addr, page, VM_MADV_GUARD_INSTALL);
	vm_release((void *)addr, page);
	return err ? VM_GUARD_MPROTECT : VM_GUARD_MADVISE;
}

enum vm_guard_kind vm_guard_probe(void)
{
	uint32_t known = load_rlx_u32(&guard_kind);

	if (!known) {
		known = find_guard_kind() + 1;
		store_rlx_u32(&guard_kind, known);
	}
	return (enum vm_guard_kind)(known - 1);
}

void vm_guard_force(enum vm_guard_kind kind)
{
	store_rlx_u32(&guard_kind, kind + 1);
}

static uint64_t guard_limit(void)
{
	uint64_t limit = load_rlx_u64(&max_guards);

	if (!limit) {
		uint64_t mappings;

		if (procfs_read_u64("/proc/sys/vm/max_map_count", &mappings) != 0)
			mappings = DEFAULT_MAX_MAP_COUNT;
		limit = mappings / 2 / MAPPINGS_PER_GUARD + 1;
		store_rlx_u64(&max_guards, limit);
	}
	return limit - 1;
}

static int guard_by_mprotect(void *addr, size_t len)
{
	int err = -ENOMEM;

	if (add_u64(&mprotect_guards, 1) <= guard_limit()) {
		vm_dontneed(addr, len);
		err = protect(addr, len, PROT_NONE);
	}
	if (err)
		sub_u64(&mprotect_guards, 1);
	/* -ENOMEM: the rest of the program needs more than half of the mappings */
	return err == -ENOMEM ? -ENOSPC : err;
}

int vm_guard(void *addr, size_t len)
{
	switch (vm_guard_probe()) {
	case VM_GUARD_MADVISE:
		return advise(addr, len, VM_MADV_GUARD_INSTALL);
	case VM_GUARD_MPROTECT:
		return guard_by_mprotect(addr, len);
	case VM_GUARD_NONE:
		break;
	}
	return -ENOSPC;
}

int vm_unguard(void *addr, size_t len)
{
	int err;

	if (vm_guard_probe() == VM_GUARD_MADVISE)
		return advise(addr, len, VM_MADV_GUARD_REMOVE);
	err = protect(addr, len, PROT_READ | PROT_WRITE);
	if (!err)
		sub_u64(&mprotect_guards, 1);
	return err;
}

/* An empty vector: kernels that allow the advice for ourselves say 0, older ones refuse it first. */
static enum batch_way find_batch_way(void)
{
	long fd = VM_PIDFD_SELF;
	long err = sys_call5(SYS_process_madvise, fd, 0, 0, VM_MADV_POPULATE_WRITE, 0);

	if (!err)
		return BATCH_PIDFD_SELF;
	fd = sys_call2(SYS_pidfd_open, sys_call0(SYS_getpid), 0);
	if (fd < 0)
		return BATCH_NONE;
	err = sys_call5(SYS_process_madvise, fd, 0, 0, VM_MADV_POPULATE_WRITE, 0);
	sys_call1(SYS_close, fd);
	return err ? BATCH_NONE : BATCH_PIDFD_OPEN;
}

static enum batch_way get_batch_way(void)
{
	uint32_t known = load_rlx_u32(&batch_way);

	if (!known) {
		known = find_batch_way() + 1;
		store_rlx_u32(&batch_way, known);
	}
	return (enum batch_way)(known - 1);
}

/* Bytes advised, perhaps less than asked for when a later range failed, or -errno. */
static long advise_vector(const struct iovec *ranges, size_t n, int advice)
{
	long fd = VM_PIDFD_SELF;
	long done;

	switch (get_batch_way()) {
	case BATCH_PIDFD_SELF:
		return sys_call5(SYS_process_madvise, fd, sys_ptr(ranges), (long)n, advice, 0);
	case BATCH_PIDFD_OPEN:
		fd = sys_call2(SYS_pidfd_open, sys_call0(SYS_getpid), 0);
		if (fd < 0)
			return -EOPNOTSUPP;
		done = sys_call5(SYS_process_madvise, fd, sys_ptr(ranges), (long)n, advice, 0);
		sys_call1(SYS_close, fd);
		return done;
	case BATCH_NONE:
		break;
	}
	return -EOPNOTSUPP;
}

/* Advises the ranges in order until one fails; returns how many are done, *err says why not all. */
static size_t advise_batch(void *const *addrs, size_t n, size_t len, int advice, int *err)
{
	struct iovec ranges[VM_BATCH];
	size_t done = 0;

	*err = 0;
	while (done < n) {
		size_t count = n - done < VM_BATCH ? n - done : VM_BATCH;
		long bytes;

		for (size_t i = 0; i < count; i++)
			ranges[i] = (struct iovec){ .iov_base = addrs[done + i], .iov_len = len };
		bytes = advise_vector(ranges, count, advice);
		if (bytes == -EINTR)
			continue;
		if (bytes < (long)len) {
			*err = bytes < 0 ? (int)bytes : -ENOMEM;
			break;
		}
		done += (size_t)bytes / len;
	}
	return done;
}

ssize_t vm_guard_batch(void *const *addrs, size_t n, size_t len)
{
	size_t done = 0;
	int err = 0;

	if (vm_guard_probe() == VM_GUARD_MADVISE)
		done = advise_batch(addrs, n, len, VM_MADV_GUARD_INSTALL, &err);
	/* the rest one by one: a batch that can't be, or a range that failed and will say why */
	for (err = 0; done < n && !err; done += !err)
		err = vm_guard(addrs[done], len);
	return done ? (ssize_t)done : err;
}

int vm_populate_write_batch(void *const *addrs, size_t n, size_t len)
{
	int err;

	advise_batch(addrs, n, len, VM_MADV_POPULATE_WRITE, &err);
	return err;
}
