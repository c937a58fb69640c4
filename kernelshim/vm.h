/* SPDX-License-Identifier: MIT */
/*
 * Mappings and guard pages. No call touches errno, allocates or takes a lock in user space (the
 * kernel's mmap lock it does: not from a signal handler that must be quick). Addresses and lengths
 * are multiples of the page size. Errors are -errno.
 */
#ifndef URGE_KERNELSHIM_VM_H
#define URGE_KERNELSHIM_VM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

size_t vm_page_size(void);

/*
 * Maps len bytes of private zeroed memory, readable and writable, aligned to align (a power of two,
 * at least a page). Pages are committed when touched, under mlockall(MCL_FUTURE) too. NULL when
 * there is no memory, address space, mapping or RLIMIT_MEMLOCK left.
 */
void *vm_reserve(size_t len, size_t align);

/*
 * Unmaps. Guards inside go with the memory, but those of the kind VM_GUARD_MPROTECT are counted:
 * vm_unguard them first.
 */
int vm_release(void *addr, size_t len);

/* Never back this with huge pages: one touched byte would commit 2 MiB. */
int vm_nohugepage(void *addr, size_t len);

/*
 * Gives the pages back at once; they read as zeros again. Guards stay, and locked memory is given
 * back as well.
 */
int vm_dontneed(void *addr, size_t len);

/* How guards are made; in the order of preference. */
enum vm_guard_kind {
	VM_GUARD_MADVISE,  /* MADV_GUARD_INSTALL, Linux 6.13: costs no mapping */
	VM_GUARD_MPROTECT, /* PROT_NONE: splits its mapping, so there can't be many */
	VM_GUARD_NONE,     /* every vm_guard is -ENOSPC */
};

/*
 * What this kernel can do; asked once. Locked memory takes no VM_GUARD_MADVISE, so a program that
 * called mlockall(MCL_FUTURE) before gets VM_GUARD_MPROTECT.
 */
enum vm_guard_kind vm_guard_probe(void);

/* For tests: from now on guards are of this kind. While there are none of another. */
void vm_guard_force(enum vm_guard_kind kind);

/*
 * Makes every access to the range fault (SIGSEGV; EFAULT from system calls) and drops its pages.
 * -ENOSPC when VM_GUARD_MPROTECT has used up its share of the process's mappings (the limit
 * vm.max_map_count), or at once for VM_GUARD_NONE: the caller must do without a guard.
 */
int vm_guard(void *addr, size_t len);

/* Makes the range usable again; it reads as zeros. Only where vm_guard succeeded. */
int vm_unguard(void *addr, size_t len);

/* The two calls on batches need 8 KiB of stack for the vector. */
#define VM_BATCH 512

/*
 * vm_guard for n ranges of len bytes each, with one system call for up to VM_BATCH of them where
 * the kernel can. Returns how many were made, counted from addrs[0]; -errno when not even one.
 */
ssize_t vm_guard_batch(void *const *addrs, size_t n, size_t len);

/*
 * Commits n ranges of len bytes each, with one system call for up to VM_BATCH of them, as if each
 * page had been written. -EOPNOTSUPP when the kernel can't (before 6.13): let them fault instead;
 * -EFAULT at a guard, -ENOMEM; some ranges may be populated then.
 */
int vm_populate_write_batch(void *const *addrs, size_t n, size_t len);

#ifdef __cplusplus
}
#endif

#endif
