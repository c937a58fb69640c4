/* SPDX-License-Identifier: MIT */
/*
 * A buffered writer for dumps and fatal errors: text and numbers to a file descriptor, without
 * stdio, malloc, locks or errno. The buffer belongs to the caller, mostly on its stack:
 *
 *	struct fdprint out;
 *	fdp_init(&out, fd);
 *	fdp_str(&out, "goroutine ");
 *	fdp_u64(&out, goid);
 *	fdp_flush(&out);
 *
 * Everything here is async-signal-safe and may block in write(2). One struct fdprint belongs to one
 * thread at a time. A write that fails loses the buffered text; the dump goes on, since there is
 * nobody to tell but the reader of the very descriptor that failed; who has one looks at error.
 */
#ifndef URGE_KERNELSHIM_FDPRINT_H
#define URGE_KERNELSHIM_FDPRINT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fdprint {
	int fd;
	int error; /* of the first write that failed, as -errno; 0: none has */
	unsigned len;
	char buf[512];
};

void fdp_init(struct fdprint *out, int fd);

/* Append; a full buffer is written out. fdp_hex: "0x" and lower-case digits, no leading zeros. */
void fdp_char(struct fdprint *out, char c);
void fdp_str(struct fdprint *out, const char *s);
void fdp_u64(struct fdprint *out, uint64_t value);
void fdp_i64(struct fdprint *out, int64_t value);
void fdp_hex(struct fdprint *out, uint64_t value);

/*
 * Writes out what is buffered. Returns 0, or -errno of the write that failed; the buffer is empty
 * after either. A descriptor in non-blocking mode is waited for, at most a second for each
 * write: stderr is often such a pipe, made so by a process at its other end.
 */
int fdp_flush(struct fdprint *out);

#ifdef __cplusplus
}
#endif

#endif
