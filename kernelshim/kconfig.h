/* SPDX-License-Identifier: MIT */
/*
 * The configuration, seen by every file: the build includes this header ahead of each source.
 *
 * A bool symbol that is on is the macro CONFIG_X with value 1; one that is off is no macro at all.
 * Prefer `if (IS_ENABLED(CONFIG_X))` to #ifdef: the compiler checks the branch that is off as well,
 * then drops it. #if stays for what does not compile there, such as a missing header.
 */
#ifndef KERNELSHIM_KCONFIG_H
#define KERNELSHIM_KCONFIG_H

#include "generated/autoconf.h"

/*
 * 1 if the symbol is on, else 0; for C and for #if. An enabled symbol expands to 1, so that the
 * pasted name below is KCONFIG_COMMA_1, which brings one more argument and moves the 1 into second
 * place; any other name is a single odd token, and second place holds the 0.
 */
#define IS_ENABLED(symbol) KCONFIG_PASTE(symbol)
#define KCONFIG_PASTE(value) KCONFIG_SECOND_OF(KCONFIG_COMMA_##value)
#define KCONFIG_COMMA_1 unused,
#define KCONFIG_SECOND_OF(expansion) KCONFIG_SECOND(expansion 1, 0, unused)
#define KCONFIG_SECOND(first, second, ...) second

/* Kconfig knows ranges only; these few numbers inside the range cannot work. */
#if CONFIG_PREEMPT_SIGNAL == 9 || CONFIG_PREEMPT_SIGNAL == 19
#error "CONFIG_PREEMPT_SIGNAL: SIGKILL and SIGSTOP cannot be handled; 23 (SIGURG) is the default"
#elif CONFIG_PREEMPT_SIGNAL == 4 || CONFIG_PREEMPT_SIGNAL == 5 || CONFIG_PREEMPT_SIGNAL == 7 ||    \
	CONFIG_PREEMPT_SIGNAL == 8 || CONFIG_PREEMPT_SIGNAL == 11
#error "CONFIG_PREEMPT_SIGNAL: the processor raises this one; 23 (SIGURG) is the default"
#elif CONFIG_PREEMPT_SIGNAL == 32 || CONFIG_PREEMPT_SIGNAL == 33
#error "CONFIG_PREEMPT_SIGNAL: 32 and 33 belong to glibc; 23 (SIGURG) is the default"
#endif

#endif
