/* SPDX-License-Identifier: MIT */
/*
 * The first frame of every goroutine. Its return address stands on the stack of every goroutine, so
 * it is in urge_entry: it does not keep an injected preemption away. The caller is marked undefined:
 * here unwinders stop.
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
	call	*%rax
	call	goexit_from_start
	ud2
	.cfi_endproc
	.size	gostart, . - gostart

	.section .note.GNU-stack, "", @progbits
