/* SPDX-License-Identifier: MIT */
/* The server of examples/echo.c without its main: what serves a connection. */
#include "bench/lab/maxprocs_load.h"

#define main echo_main
#include "examples/echo.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

void echo_connection(int fd)
{
	echo(fd);
}
