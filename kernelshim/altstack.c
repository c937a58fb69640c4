/* SPDX-License-Identifier: MIT */
/*
 * The guard page is an inaccessible mapping of its own rather than a vm_guard: there is one a
 * thread, not one a goroutine, and it must exist whatever the kernel can do.
 */
#include "kernelshim/altstack.h"
#include "kernelshim/compiler.h"
#include "kernelshim/fault.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/sys.h"
#include "kernelshim/vm.h"
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALTSTACK_SIZE (64 * 1024)
#define HANDLER_SIZE (16 * 1024)

/*
 * Room for the frame of a handler and of one that interrupts it (the kernel's frame alone is near
 * 12 KiB where AMX exists), and for the handler's own calls.
 */
static size_t altstack_size(void)
{
	/* sysconf, not getauxval: that writes errno where the kernel does not give the value */
	size_t need = (size_t)sysconf(_SC_MINSIGSTKSZ) * 2 + HANDLER_SIZE;

	return round_up(need > ALTSTACK_SIZE ? need : (size_t)ALTSTACK_SIZE, vm_page_size());
}

static long set_altstack(const stack_t *set, stack_t *old)
{
	return sys_call2(SYS_sigaltstack, sys_ptr(set), sys_ptr(old));
}

/* base is cleared first: a process that is forked meanwhile does not unmap it again. */
static void unmap(struct altstack *stack)
{
	size_t page = vm_page_size();
	char *base = stack->base;

	__atomic_store_n(&stack->base, NULL, __ATOMIC_RELEASE); /* pairs with altstack_forget */
	sanitizer_release((void *)vm_release); /* pairs with altstack_install and vm_reserve */
	sys_call2(SYS_munmap, sys_ptr(base - page), (long)(stack->size + page));
}

int altstack_install(struct altstack *stack)
{
	size_t page = vm_page_size();
	size_t size = altstack_size();
	long low, err;

	if (fault(FAULT_ALTSTACK))
		return -ENOMEM;
	low = sys_call6(SYS_mmap, 0, (long)(size + page), PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (sys_is_error(low))
		return (int)low;
	sanitizer_acquire((void *)vm_release); /* pairs with unmap and vm_release */
	stack->base = (char *)low + page;
	stack->size = size;
	err = sys_call3(SYS_mprotect, sys_ptr(stack->base), (long)size, PROT_READ | PROT_WRITE);
	if (!err) {
		for (size_t at = 0; at < size; at += page)
			((volatile char *)stack->base)[at] = 0;
		err = set_altstack(&(stack_t){ .ss_sp = stack->base, .ss_size = size },
				   &stack->prev);
	}
	if (err)
		unmap(stack);
	return (int)err;
}

void altstack_remove(struct altstack *stack)
{
	stack_t now;

	set_altstack(NULL, &now);
	if (now.ss_sp == stack->base && !(now.ss_flags & SS_DISABLE))
		set_altstack(&stack->prev, NULL);
	unmap(stack);
}

void altstack_forget(struct altstack *stack)
{
	if (__atomic_load_n(&stack->base, __ATOMIC_ACQUIRE)) /* pairs with unmap */
		unmap(stack);
}
