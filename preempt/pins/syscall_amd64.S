/* SPDX-License-Identifier: MIT */
/*
 * libc's syscall(), interposed like its locks. When a call has returned its number is gone from
 * rax, and libc's function keeps it nowhere, so a call that a preemption request ended with EINTR
 * right after it had begun could not be made again. This one leaves the number below the stack
 * pointer, in the last instruction before the call, where sigframe_repeat_syscall_sig looks for it.
 *
 * Nothing is pushed before the call: one that returns on another stack, or twice, works as with
 * libc's.
 */
	.text
	.globl	syscall
	.type	syscall, @function
	.p2align 4
syscall:
	.cfi_startproc
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	movq	8(%rsp), %r9
	movq	%rax, -8(%rsp)
	syscall
	cmpq	$-4095, %rax
	jae	1f
	ret
1:	negl	%eax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	call	*__errno_location@GOTPCREL(%rip)
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	movl	%ecx, (%rax)
	movq	$-1, %rax
	ret
	.cfi_endproc
	.size	syscall, . - syscall

	.section .note.GNU-stack, "", @progbits
