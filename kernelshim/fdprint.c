/* SPDX-License-Identifier: MIT */
#include "kernelshim/fdprint.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "kernelshim/sys.h"

static int wait_writable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	struct timespec second = { .tv_sec = 1 };
	long n = sys_call5(SYS_ppoll, sys_ptr(&pfd), 1, sys_ptr(&second), 0, 0);

	if (n == 0)
		return -EAGAIN;
	return n < 0 && n != -EINTR ? (int)n : 0;
}

void fdp_init(struct fdprint *out, int fd)
{
	out->fd = fd;
	out->error = 0;
	out->len = 0;
}

int fdp_flush(struct fdprint *out)
{
	const char *p = out->buf;
	unsigned left = out->len;
	int error = 0;

	out->len = 0;
	while (left > 0 && error == 0) {
		long n = sys_call3(SYS_write, out->fd, sys_ptr(p), left);

		if (n > 0) {
			p += n;
			left -= (unsigned)n;
		} else if (n == -EAGAIN) {
			error = wait_writable(out->fd);
		} else if (n != -EINTR) {
			error = n < 0 ? (int)n : -EIO;
		}
	}
	if (out->error == 0)
		out->error = error;
	return error;
}

void fdp_char(struct fdprint *out, char c)
{
	if (out->len == sizeof(out->buf))
		fdp_flush(out);
	out->buf[out->len++] = c;
}

void fdp_str(struct fdprint *out, const char *s)
{
	for (; *s != '\0'; s++)
		fdp_char(out, *s);
}

static void put_digits(struct fdprint *out, uint64_t value, unsigned base)
{
	char digits[20]; /* 2^64 - 1 in decimal */
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (n > 0)
		fdp_char(out, digits[--n]);
}

void fdp_u64(struct fdprint *out, uint64_t value)
{
	put_digits(out, value, 10);
}

void fdp_i64(struct fdprint *out, int64_t value)
{
	if (value < 0)
		fdp_char(out, '-');
	put_digits(out, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

void fdp_hex(struct fdprint *out, uint64_t value)
{
	fdp_str(out, "0x");
	put_digits(out, value, 16);
}
