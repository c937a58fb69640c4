/* SPDX-License-Identifier: MIT */
/* The first frame of a context, and the offsets that context_*.S counts on. */
#include "kernelshim/context.h"

#if defined(__x86_64__)

_Static_assert(sizeof(struct context_frame) == 64, "context_amd64.S");
_Static_assert(offsetof(struct context_frame, x87_cw) == 4, "context_amd64.S");

void *context_make(void *top, void (*entry)(void))
{
	/* One word above the frame: the stack pointer at entry is where a call would have left it. */
	uint64_t *end = (uint64_t *)top - 1;
	struct context_frame *frame = (struct context_frame *)end - 1;

	*end = 0;
	*frame = (struct context_frame){
		.mxcsr = 0x1f80,
		.x87_cw = 0x37f,
		.pc = (uint64_t)(uintptr_t)entry,
	};
	return frame;
}

#elif defined(__aarch64__)

_Static_assert(offsetof(struct context_frame, x) == 64, "context_arm64.S");
_Static_assert(offsetof(struct context_frame, fp) == 144, "context_arm64.S");
_Static_assert(offsetof(struct context_frame, fpcr) == 160, "context_arm64.S");
_Static_assert(sizeof(struct context_frame) == 176, "context_arm64.S");

/* FPCR 0 rounds to nearest and traps nothing; frame pointer 0 ends the chain. */
void *context_make(void *top, void (*entry)(void))
{
	struct context_frame *frame = (struct context_frame *)top - 1;

	*frame = (struct context_frame){ .pc = (uint64_t)(uintptr_t)entry };
	return frame;
}

#endif
