/* SPDX-License-Identifier: MIT */
/* The first frame of every goroutine: see gostart_amd64.S. */
	.section urge_entry, "ax", @progbits
	.globl	gostart
	.hidden	gostart
	.type	gostart, @function
	.p2align 4
gostart:
	.cfi_startproc
	.cfi_undefined x30
	hint	#34			/* bti c: entered by a branch */
	sub	sp, sp, #16		/* of a leaf, too, sp is inside the stack */
	.cfi_adjust_cfa_offset 16
	bl	gostart_arrive		/* returns fn in x0, arg in x1 */
	mov	x9, x0
	mov	x0, x1
	/* what the runtime left in the others may be an address of the thread's */
	.irp	n, 1,2,3,4,5,6,7,8,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26,27,28,29,30
	mov	x\n, xzr
	.endr
	blr	x9
	bl	goexit_from_start
	brk	#0
	.cfi_endproc
	.size	gostart, . - gostart

	.section .note.GNU-stack, "", @progbits
