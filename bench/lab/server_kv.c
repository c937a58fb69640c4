/* SPDX-License-Identifier: MIT */
/* The server of examples/kv.c without its main: what serves a connection. */
#include "bench/lab/maxprocs_load.h"

#define main kv_main
#include "examples/kv.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

void kv_connection(int fd)
{
	serve(fd);
}
