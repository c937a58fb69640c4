/* SPDX-License-Identifier: MIT */
/*
 * context_switch for arm64, AAPCS64; struct context_frame is its frame.
 *
 * It leaves by ret, though the return predictor is wrong after every switch: a branch to a return
 * address by br faults where the caller's pages are guarded by BTI, for there is no landing pad.
 *
 * FPCR's control bits are callee-saved in the ABI, so a rounding mode travels with its goroutine. It
 * is written only when the two differ: that drains the pipeline.
 */
	.text
	.globl	context_switch
	.hidden	context_switch
	.type	context_switch, %function
	.p2align 5
context_switch:			/* (void **save: x0, void *load: x1) */
	.cfi_startproc
	sub	sp, sp, #176
	.cfi_def_cfa_offset 176
	stp	d8, d9, [sp]
	.cfi_offset d8, -176
	.cfi_offset d9, -168
	stp	d10, d11, [sp, #16]
	.cfi_offset d10, -160
	.cfi_offset d11, -152
	stp	d12, d13, [sp, #32]
	.cfi_offset d12, -144
	.cfi_offset d13, -136
	stp	d14, d15, [sp, #48]
	.cfi_offset d14, -128
	.cfi_offset d15, -120
	stp	x19, x20, [sp, #64]
	.cfi_offset x19, -112
	.cfi_offset x20, -104
	stp	x21, x22, [sp, #80]
	.cfi_offset x21, -96
	.cfi_offset x22, -88
	stp	x23, x24, [sp, #96]
	.cfi_offset x23, -80
	.cfi_offset x24, -72
	stp	x25, x26, [sp, #112]
	.cfi_offset x25, -64
	.cfi_offset x26, -56
	stp	x27, x28, [sp, #128]
	.cfi_offset x27, -48
	.cfi_offset x28, -40
	stp	x29, x30, [sp, #144]
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x10, sp
	str	x10, [x0]
	mov	sp, x1
	.cfi_remember_state
	ldr	x10, [sp, #160]
	cmp	x9, x10
	b.ne	2f
1:	ldp	d8, d9, [sp]
	.cfi_restore d8
	.cfi_restore d9
	ldp	d10, d11, [sp, #16]
	.cfi_restore d10
	.cfi_restore d11
	ldp	d12, d13, [sp, #32]
	.cfi_restore d12
	.cfi_restore d13
	ldp	d14, d15, [sp, #48]
	.cfi_restore d14
	.cfi_restore d15
	ldp	x19, x20, [sp, #64]
	.cfi_restore x19
	.cfi_restore x20
	ldp	x21, x22, [sp, #80]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x23, x24, [sp, #96]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x25, x26, [sp, #112]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x27, x28, [sp, #128]
	.cfi_restore x27
	.cfi_restore x28
	ldp	x29, x30, [sp, #144]
	.cfi_restore x29
	.cfi_restore x30
	add	sp, sp, #176
	.cfi_def_cfa_offset 0
	ret
	.cfi_restore_state
2:	msr	fpcr, x10
	b	1b
	.cfi_endproc
	.size	context_switch, . - context_switch

	.globl	context_load
	.hidden	context_load
	.type	context_load, %function
	.p2align 4
context_load:			/* (void *load: x0) */
	.cfi_startproc
	mov	sp, x0
	.cfi_def_cfa sp, 176
	.cfi_offset x30, -24
	ldr	x10, [sp, #160]
	b	2b
	.cfi_endproc
	.size	context_load, . - context_load

	.section .note.GNU-stack, "", %progbits
