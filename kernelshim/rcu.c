/* SPDX-License-Identifier: MIT */
#include "kernelshim/rcu.h"

char rcu_order;
bool rcu_lost;
