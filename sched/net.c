/* SPDX-License-Identifier: MIT */
/*
 * Sockets by address: listen and dial. What io.c does with descriptors that the program has made,
 * this does with names; the sockets are non-blocking, close-on-exec, and TCP's without delay, as in
 * Go (an accepted socket has that from its listener).
 *
 * A name with several addresses is dialled one address after the other, in the order of the system
 * (RFC 6724), each with its share of the time that is left, so that one which swallows packets does
 * not use it all up. Go also tries IPv4 beside IPv6 after 300 ms; here the shares do.
 */
#define URGE_KEEP_ERRNO
#include "sched/io.h"

#include "kernelshim/clock.h"
#include "kernelshim/sys.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>

#define SHARE_MIN (2 * URGE_S)

static int new_socket(int family, int type)
{
	return (int)sys_call3(SYS_socket, family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int set_option(int fd, int level, int option, int value)
{
	return (int)sys_call5(SYS_setsockopt, fd, level, option, sys_ptr(&value), sizeof(value));
}

static int bind_to(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sys_call3(SYS_bind, fd, sys_ptr(addr), (long)len);
}

static int connect_to(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sys_call3(SYS_connect, fd, sys_ptr(addr), (long)len);
}

static int listen_on(int fd, int backlog)
{
	return (int)sys_call2(SYS_listen, fd, backlog > 0 ? backlog : SOMAXCONN);
}

/* A new socket is watched from here on, if err is 0; else it is closed. Returns it, or -errno. */
static int finish(int fd, bool stream, int err)
{
	if (fd < 0)
		return fd;
	if (!err) {
		enter();
		err = fdadopt(fd, stream);
		leave();
	}
	if (!err)
		return fd;
	urge_close(fd);
	return err;
}

/* ---- addresses ----------------------------------------------------------------------------- */

static int resolve(const char *host, const char *port, int type, int flags, int64_t deadline,
		   struct addrinfo **list)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = type,
		.ai_flags = flags,
	};

	if (urge_goid() == 0)
		return -EPERM;
	return urge_getaddrinfo(host, port, &hints, list, deadline);
}

/* What open_one returns for an address that is not to be tried. */
enum { NOT_THIS = -ENOENT };

/* open_one for each address until one succeeds; the first error if none does. */
static int first_of(const struct addrinfo *list, int (*open_one)(const struct addrinfo *, void *),
		    void *arg)
{
	int first_err = NOT_THIS;

	for (const struct addrinfo *at = list; at; at = at->ai_next) {
		int fd = open_one(at, arg);

		if (fd >= 0)
			return fd;
		if (first_err == NOT_THIS)
			first_err = fd;
		if (fd == -ECANCELED)
			break;
	}
	return first_err;
}

struct listener {
	int backlog;
	bool any;       /* no host was named: IPv6's any address serves IPv4 too */
	bool ipv6_only; /* of any: the first round */
};

static int listen_one(const struct addrinfo *at, void *arg)
{
	const struct listener *l = arg;
	int fd, err = 0;

	if (l->ipv6_only && at->ai_family != AF_INET6)
		return NOT_THIS;
	fd = new_socket(at->ai_family, at->ai_socktype);
	if (fd < 0)
		return fd;
	if (at->ai_socktype == SOCK_STREAM) {
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (l->any && at->ai_family == AF_INET6)
		err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (!err)
		err = bind_to(fd, at->ai_addr, at->ai_addrlen);
	if (!err && at->ai_socktype == SOCK_STREAM)
		err = listen_on(fd, l->backlog);
	return finish(fd, at->ai_socktype == SOCK_STREAM, err);
}

static int listen_at(const char *host, const char *port, int type, int backlog)
{
	struct listener l = { backlog, !host, !host };
	struct addrinfo *list;
	int fd = resolve(host, port, type, AI_PASSIVE, URGE_FOREVER, &list);

	if (fd < 0)
		return fd;
	fd = first_of(list, listen_one, &l);
	if (l.ipv6_only && fd < 0 && fd != -EADDRINUSE && fd != -EACCES) {
		l.ipv6_only = false;
		fd = first_of(list, listen_one, &l);
	}
	freeaddrinfo(list);
	return fd;
}

int urge_listen_tcp(const char *host, const char *port, int backlog)
{
	return listen_at(host, port, SOCK_STREAM, backlog);
}

int urge_listen_udp(const char *host, const char *port)
{
	return listen_at(host, port, SOCK_DGRAM, 0);
}

/* ---- dialling ------------------------------------------------------------------------------ */

/* The deadline of this address: an equal share of what is left for it and those behind it. */
static int64_t share(const struct addrinfo *at, int64_t deadline)
{
	int64_t left = deadline - nanotime(), n = 0;

	if (deadline == URGE_FOREVER || left <= 0)
		return deadline;
	for (; at; at = at->ai_next)
		n++;
	if (left / n >= SHARE_MIN)
		left /= n;
	else if (left > SHARE_MIN)
		left = SHARE_MIN;
	return nanotime() + left;
}

static int dial_one(const struct addrinfo *at, void *arg)
{
	int64_t deadline = share(at, *(const int64_t *)arg);
	int fd = new_socket(at->ai_family, at->ai_socktype), err;
	bool pending;

	if (fd < 0)
		return fd;
	if (at->ai_socktype == SOCK_STREAM)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* before it is watched: an unconnected socket's hang-up would be its first event */
	err = connect_to(fd, at->ai_addr, at->ai_addrlen);
	pending = err == -EINPROGRESS;
	fd = finish(fd, at->ai_socktype == SOCK_STREAM, pending ? 0 : err);
	if (fd < 0 || !pending)
		return fd;
	enter();
	err = connect_finish(&polldescs[fd], deadline);
	leave();
	if (!err)
		return fd;
	urge_close(fd);
	return err;
}

static int dial_at(const char *host, const char *port, int type, int64_t deadline)
{
	struct addrinfo *list;
	int fd = resolve(host, port, type, 0, deadline, &list);

	if (fd < 0)
		return fd;
	fd = first_of(list, dial_one, &deadline);
	freeaddrinfo(list);
	return fd;
}

int urge_dial_tcp(const char *host, const char *port, int64_t deadline)
{
	return dial_at(host, port, SOCK_STREAM, deadline);
}

int urge_dial_udp(const char *host, const char *port)
{
	return dial_at(host, port, SOCK_DGRAM, URGE_FOREVER);
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

/* An address's length; "@name" is a name that is no file. */
static int unix_address(const char *path, struct sockaddr_un *addr)
{
	size_t n = strlen(path);

	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(addr->sun_path, path, n);
	n += offsetof(struct sockaddr_un, sun_path);
	if (path[0] != '@')
		return (int)n + 1;
	addr->sun_path[0] = '\0';
	return (int)n;
}

static int listen_unix(const char *path, int type, int backlog)
{
	struct sockaddr_un addr;
	int len = unix_address(path, &addr), fd, err;

	if (urge_goid() == 0)
		return -EPERM;
	if (len < 0)
		return len;
	fd = new_socket(AF_UNIX, type);
	if (fd < 0)
		return fd;
	err = bind_to(fd, (const struct sockaddr *)&addr, (socklen_t)len);
	if (!err && type == SOCK_STREAM)
		err = listen_on(fd, backlog);
	return finish(fd, false, err);
}

int urge_listen_unix(const char *path, int backlog)
{
	return listen_unix(path, SOCK_STREAM, backlog);
}

int urge_listen_unixgram(const char *path)
{
	return listen_unix(path, SOCK_DGRAM, 0);
}

static int dial_unix(const char *path, int type, int64_t deadline)
{
	struct sockaddr_un addr;
	int len = unix_address(path, &addr), fd, err;

	if (urge_goid() == 0)
		return -EPERM;
	if (len < 0)
		return len;
	fd = finish(new_socket(AF_UNIX, type), false, 0);
	if (fd < 0)
		return fd;
	err = urge_connect_until(fd, (const struct sockaddr *)&addr, (socklen_t)len, deadline);
	if (!err)
		return fd;
	urge_close(fd);
	return err;
}

int urge_dial_unix(const char *path, int64_t deadline)
{
	return dial_unix(path, SOCK_STREAM, deadline);
}

int urge_dial_unixgram(const char *path)
{
	return dial_unix(path, SOCK_DGRAM, URGE_FOREVER);
}
