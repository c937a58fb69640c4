/* SPDX-License-Identifier: MIT */
/*
 * The state that an injected call must leave alone: loaded with patterns, held for a while, and
 * stored again for the caller to compare. rdi points to a struct regs (regs.h): the patterns are at
 * its beginning, and what is found goes SEEN bytes further. All are leaf functions.
 */
	.set	SEEN, 2176

	.macro	function name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	.endm
	.macro	end name
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.macro	save reg
	pushq	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %\reg, 0
	.endm
	.macro	restore reg
	popq	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore %\reg
	.endm

	/* About a microsecond, with a counter. */
	.macro	while_spinning
	movl	$2000, %ecx
0:	decl	%ecx
	jnz	0b
	.endm

	.text
/*
 * All general registers but rsp (words 0 to 14), the flags with DF (word 15), and the 128 bytes
 * below rsp (words 16 to 31).
 */
function regs_general
	save	rbx
	save	rbp
	save	r12
	save	r13
	save	r14
	save	r15
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	movq	%rdi, %rax
	pushq	120(%rax)
	popfq				/* from here to pushfq nothing changes a flag */
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	128 + 8 * \n(%rax), %rcx
	movq	%rcx, -128 + 8 * \n(%rsp)
	.endr
	movq	8(%rax), %rcx
	movq	16(%rax), %rdx
	movq	24(%rax), %rbx
	movq	32(%rax), %rbp
	movq	40(%rax), %rsi
	movq	48(%rax), %rdi
	movq	56(%rax), %r8
	movq	64(%rax), %r9
	movq	72(%rax), %r10
	movq	80(%rax), %r11
	movq	88(%rax), %r12
	movq	96(%rax), %r13
	movq	104(%rax), %r14
	movq	112(%rax), %r15
	movq	(%rax), %rax
	.rept	1500			/* a while, without a counter */
	movq	%rax, %rax
	leaq	(%rbx), %rbx
	xchgq	%r8, %r8
	nop
	.endr
	leaq	-128(%rsp), %rsp	/* lea: an instruction that leaves flags alone */
	pushfq
	cld
	pushq	%rax
	movq	144(%rsp), %rax
	movq	%rcx, SEEN + 8(%rax)
	movq	%rdx, SEEN + 16(%rax)
	movq	%rbx, SEEN + 24(%rax)
	movq	%rbp, SEEN + 32(%rax)
	movq	%rsi, SEEN + 40(%rax)
	movq	%rdi, SEEN + 48(%rax)
	movq	%r8, SEEN + 56(%rax)
	movq	%r9, SEEN + 64(%rax)
	movq	%r10, SEEN + 72(%rax)
	movq	%r11, SEEN + 80(%rax)
	movq	%r12, SEEN + 88(%rax)
	movq	%r13, SEEN + 96(%rax)
	movq	%r14, SEEN + 104(%rax)
	movq	%r15, SEEN + 112(%rax)
	popq	SEEN(%rax)
	popq	SEEN + 120(%rax)
	leaq	128(%rsp), %rsp
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	-128 + 8 * \n(%rsp), %rcx
	movq	%rcx, SEEN + 128 + 8 * \n(%rax)
	.endr
	popq	%rdi
	.cfi_adjust_cfa_offset -8
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	rbp
	restore	rbx
	ret
end regs_general

/*
 * CF and OF between the instruction that makes them and the one that uses them: sums over several
 * words whose carry runs on from turn to turn, and the number of overflows. Words 0 to 3 are what
 * it begins with, words 4 to 7 what must come out.
 */
function regs_carry
	movq	(%rdi), %rax
	movq	8(%rdi), %rdx
	movq	16(%rdi), %rsi
	movq	24(%rdi), %r8
	xorl	%r9d, %r9d		/* clears CF and OF */
	.rept	800
	adcq	%rax, %rdx
	leaq	1(%rax), %rax
	adcq	%rdx, %rsi
	leaq	(%rdx), %rdx
	seto	%r10b
	movzbl	%r10b, %r10d
	leaq	(%r9, %r10), %r9
	adcq	%rsi, %r8
	movq	%r8, -8(%rsp)
	movq	-8(%rsp), %rax
	.endr
	movq	%rdx, SEEN + 32(%rdi)
	movq	%rsi, SEEN + 40(%rdi)
	movq	%r8, SEEN + 48(%rdi)
	movq	%r9, SEEN + 56(%rdi)
	ret
end regs_carry

/*
 * The x87 stack (words 0 to 15: 8 values of 80 bits), its control and status words (16, 17) and
 * MXCSR (18). The caller gets the initial state back.
 */
function regs_x87
	fninit
	fldcw	128(%rdi)
	ldmxcsr	144(%rdi)
	.irp	n, 7, 6, 5, 4, 3, 2, 1, 0
	fldt	16 * \n(%rdi)
	.endr
	while_spinning
	fnstcw	SEEN + 128(%rdi)
	fnstsw	SEEN + 136(%rdi)
	stmxcsr	SEEN + 144(%rdi)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	fstpt	SEEN + 16 * \n(%rdi)
	.endr
	fninit
	ldmxcsr	initial_mxcsr(%rip)
	ret
end regs_x87

	.macro	load_vectors instruction, kind, numbers:vararg
	.irp	n, \numbers
	\instruction 64 * \n(%rdi), %\kind\n
	.endr
	.endm
	.macro	store_vectors instruction, kind, numbers:vararg
	.irp	n, \numbers
	\instruction %\kind\n, SEEN + 64 * \n(%rdi)
	.endr
	.endm

/* xmm0 to xmm15, each in the first 16 of 64 bytes. */
function regs_xmm
	load_vectors movdqu, xmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	while_spinning
	store_vectors movdqu, xmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ret
end regs_xmm

/* ymm0 to ymm15, each in the first 32 of 64 bytes. */
function regs_ymm
	load_vectors vmovdqu, ymm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	while_spinning
	store_vectors vmovdqu, ymm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vzeroupper
	ret
end regs_ymm

/* zmm0 to zmm31 (words 0 to 255) and k0 to k7 (words 256 to 263). */
function regs_zmm
	load_vectors vmovdqu64, zmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	load_vectors vmovdqu64, zmm, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	kmovq	2048 + 8 * \n(%rdi), %k\n
	.endr
	while_spinning
	store_vectors vmovdqu64, zmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	store_vectors vmovdqu64, zmm, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	kmovq	%k\n, SEEN + 2048 + 8 * \n(%rdi)
	.endr
	vzeroupper
	ret
end regs_zmm

/* What a function may rely on when it is called, or called back: DF clear, the initial modes. */
function regs_modes		/* (uint32_t modes[3]): flags, x87 control, MXCSR */
	pushfq
	.cfi_adjust_cfa_offset 8
	popq	%rax
	.cfi_adjust_cfa_offset -8
	movl	%eax, (%rdi)
	movl	$0, 4(%rdi)
	fnstcw	4(%rdi)
	stmxcsr	8(%rdi)
	cld				/* so that the caller can say what was wrong */
	ret
end regs_modes

	.section .rodata
	.p2align 2
initial_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
