/* SPDX-License-Identifier: MIT */
/*
 * PRIVATE_EXPEDITED, not GLOBAL: that one waits for a scheduler grace period, milliseconds.
 */
#include "kernelshim/membarrier.h"
#include "kernelshim/fault.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <linux/membarrier.h>

int membarrier_init(void)
{
	if (fault(FAULT_MEMBARRIER))
		return -EPERM;
	return (int)sys_call2(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0);
}

int membarrier_expedited(void)
{
	return (int)sys_call2(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
}
