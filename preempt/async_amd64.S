/* SPDX-License-Identifier: MIT */
/*
 * The injected call. The handler has put the interrupted pc at the top of the stack, below the red
 * zone, and the thread continues here as if the interrupted instruction had called asyncpreempt:
 *
 *	sp + 136	the interrupted stack pointer
 *	sp + 8 ..	its red zone
 *	sp		the interrupted pc
 *
 * Everything the interrupted code can see is saved: flags (and DF cleared, as the ABI wants for
 * calls), all general registers, and the extended state by XSAVEC, whose set of components is the
 * mask chosen at boot: what a goroutine owns; not AMX (refused earlier), not PKRU (the thread's).
 *
 * The way back is `ret $128`, in user mode: no sigreturn, so the goroutine may resume on any thread
 * (rt_sigreturn on another thread would install the first one's alternate stack).
 */
	.text

	.macro	save_reg reg
	pushq	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %\reg, 0
	.endm
	.macro	restore_reg reg
	popq	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore %\reg
	.endm

	.globl	asyncpreempt
	.hidden	asyncpreempt
	.type	asyncpreempt, @function
	.p2align 4
asyncpreempt:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 136
	.cfi_offset %rip, -136
	pushfq
	.cfi_adjust_cfa_offset 8
	cld
	save_reg rax
	save_reg rcx
	save_reg rdx
	save_reg rbx
	save_reg rbp
	save_reg rsi
	save_reg rdi
	save_reg r8
	save_reg r9
	save_reg r10
	save_reg r11
	save_reg r12
	save_reg r13
	save_reg r14
	save_reg r15
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	subq	xstate_area(%rip), %rsp
	andq	$-64, %rsp
	/* XSAVEC leaves the reserved part of its header alone, and XRSTOR faults unless it is 0. */
	xorl	%eax, %eax
	movq	%rax, 512(%rsp)
	movq	%rax, 520(%rsp)
	movq	%rax, 528(%rsp)
	movq	%rax, 536(%rsp)
	movq	%rax, 544(%rsp)
	movq	%rax, 552(%rsp)
	movq	%rax, 560(%rsp)
	movq	%rax, 568(%rsp)
	movl	xstate_mask(%rip), %eax
	xorl	%edx, %edx
	cmpl	$1, xstate_kind(%rip)
	je	1f
	jb	2f
	xsavec64 (%rsp)
	jmp	3f
1:	xsave64	(%rsp)
	jmp	3f
2:	fxsave64 (%rsp)
3:	fninit
	ldmxcsr	default_mxcsr(%rip)
	call	asyncpreempt2
	cmpl	$0, xstate_kind(%rip)
	je	4f
	movl	xstate_mask(%rip), %eax
	xorl	%edx, %edx
	xrstor64 (%rsp)
	jmp	5f
4:	fxrstor64 (%rsp)
5:	movq	%rbp, %rsp
	.cfi_def_cfa_register %rsp
	restore_reg r15
	restore_reg r14
	restore_reg r13
	restore_reg r12
	restore_reg r11
	restore_reg r10
	restore_reg r9
	restore_reg r8
	restore_reg rdi
	restore_reg rsi
	restore_reg rbp
	restore_reg rbx
	restore_reg rdx
	restore_reg rcx
	restore_reg rax
	popfq
	.cfi_adjust_cfa_offset -8
	ret	$128
	.cfi_endproc
	.size	asyncpreempt, . - asyncpreempt

	/* Never resumes: nothing is saved. */
	.globl	asyncabandon
	.hidden	asyncabandon
	.type	asyncabandon, @function
	.p2align 4
asyncabandon:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 136
	.cfi_offset %rip, -136
	cld
	andq	$-16, %rsp
	call	asyncabandon2
	ud2
	.cfi_endproc
	.size	asyncabandon, . - asyncabandon

	.section .rodata
	.p2align 2
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
