/* SPDX-License-Identifier: MIT */
/*
 * The injected call, on arm64. The handler has copied the kernel's signal frame to the interrupted
 * stack (kernelshim/sigframe_arm64_sig.c), and the thread continues here with sp at the copy:
 *
 *	sp		siginfo, 128 bytes
 *	sp + 128	ucontext: all registers, flags, and the records with the extended state
 *
 * So everything is saved already, and the way back is the kernel's, rt_sigreturn, which every
 * thread may call with a frame on any stack. It sets the thread's signal mask as well, to the one
 * of the thread that was interrupted: those of all Ms are equal, unless the program changes one.
 *
 * There are no unwind tables on purpose. The return address of the call below stands at the two
 * instructions by which unwinders know the kernel's trampoline, with sp where it has it: they find
 * the interrupted registers in the copy by themselves.
 */
	.text
	.globl	asyncpreempt
	.hidden	asyncpreempt
	.type	asyncpreempt, @function
	.p2align 4
asyncpreempt:
	msr	fpcr, xzr		/* the modes that C code expects; the copy has the others */
	bl	asyncpreempt2
	mov	x8, #139		/* rt_sigreturn */
	svc	#0
	brk	#0
	.size	asyncpreempt, . - asyncpreempt

	/* Never resumes. */
	.globl	asyncabandon
	.hidden	asyncabandon
	.type	asyncabandon, @function
	.p2align 4
asyncabandon:
	bl	asyncabandon2
	mov	x8, #139		/* not reached: shows unwinders the frame, as above */
	svc	#0
	brk	#0
	.size	asyncabandon, . - asyncabandon

	.section .note.GNU-stack, "", @progbits
