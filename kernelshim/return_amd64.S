/* SPDX-License-Identifier: MIT */
/*
 * __x86_return_thunk: how functions with the attribute function_return("thunk-extern") return: by
 * an indirect jump, which is predicted from its own past. For functions in which the stack was
 * switched: see sched/park.h. %rcx holds no result and is nobody's.
 */
	.text
	.globl	__x86_return_thunk
	.hidden	__x86_return_thunk
	.type	__x86_return_thunk, @function
	.p2align 4
__x86_return_thunk:
	.cfi_startproc
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	jmpq	*%rcx
	.cfi_endproc
	.size	__x86_return_thunk, . - __x86_return_thunk

	.section .note.GNU-stack, "", @progbits
