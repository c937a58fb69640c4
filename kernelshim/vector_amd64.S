/* SPDX-License-Identifier: MIT */
/*
 * void vector_clear(void): zeroes all vector registers, and changes nothing else but the flags.
 *
 * A goroutine that computes with integers never overwrites what the C library's vector code left in
 * them before it started; if that is an address of thread-local storage, the preemption's decision
 * has to take it for the goroutine's own and can't move it, ever.
 */
	.text
	.globl	vector_clear
	.hidden	vector_clear
	.type	vector_clear, @function
	.p2align 4
vector_clear:
	.cfi_startproc
	testl	$4, xstate_mask(%rip)		/* AVX */
	jz	1f
	/* zeroing idioms, which cost a rename each; vzeroall is microcode */
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vpxor	%xmm\n, %xmm\n, %xmm\n
	.endr
	testl	$0x80, xstate_mask(%rip)	/* the upper sixteen of AVX-512 */
	jnz	2f
	ret
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pxor	%xmm\n, %xmm\n
	.endr
	ret
2:
	.irp	n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	vpxord	%zmm\n, %zmm\n, %zmm\n
	.endr
	ret
	.cfi_endproc
	.size	vector_clear, . - vector_clear

	.section .note.GNU-stack, "", @progbits
