/* SPDX-License-Identifier: MIT */
/*
 * The first frame of every goroutine. Its return address stands on the stack of every goroutine, so
 * it is in urge_entry: it does not keep an injected preemption away. The caller is marked
 * undefined: here unwinders stop.
 */
	.section urge_entry, "ax", @progbits
	.globl	gostart
	.hidden	gostart
	.type	gostart, @function
	.p2align 4
gostart:
	.cfi_startproc
	.cfi_undefined %rip
	subq	$8, %rsp		/* entered as by a call, so that the stack is aligned for the next */
	call	gostart_arrive		/* returns fn in rax, arg in rdx */
	call	vector_clear		/* changes neither */
	movq	%rdx, %rdi
	/*
	 * What the runtime left in the others may be an address of the thread's, and a function
	 * that does not use them would carry it along and never be moved.
	 */
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	call	*%rax
	call	goexit_from_start
	ud2
	.cfi_endproc
	.size	gostart, . - gostart

	.section .note.GNU-stack, "", @progbits
