/* SPDX-License-Identifier: MIT */
/* Reading, writing, waiting and closing: pipes, sockets, files. */
#include "kernelshim/epoll.h"
#include "tests/unit/child.h"
#include "tests/unit/resources.h"
#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <numeric>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <thread>
#include <utility>

namespace
{

int64_t in_ms(int64_t ms)
{
	return urge_now() + ms * URGE_MS;
}

/* A pipe or a pair of sockets, closed at the end by urge_close, unless the test has done it. */
struct Pair {
	explicit Pair(int domain = AF_UNIX, int type = SOCK_STREAM)
	{
		EXPECT_EQ(0, domain ? socketpair(domain, type, 0, fd) : pipe2(fd, 0));
	}
	~Pair()
	{
		for (int end : fd)
			if (end >= 0) {
				EXPECT_EQ(0, urge_close(end));
			}
	}
	int close(int end)
	{
		int was = fd[end];

		fd[end] = -1;
		return urge_close(was);
	}
	int fd[2] = { -1, -1 };
};

struct Pipe : Pair {
	Pipe() : Pair(0) {}
	int r() const { return fd[0]; }
	int w() const { return fd[1]; }
};

/* A listening socket on the loopback interface. */
int listen_tcp(struct sockaddr_in *addr, int backlog = 128)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*addr);

	*addr = {};
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	EXPECT_EQ(0, bind(fd, (struct sockaddr *)addr, len));
	EXPECT_EQ(0, listen(fd, backlog));
	EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)addr, &len));
	return fd;
}

int dial(const struct sockaddr_in &addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT_GE(fd, 0);
	EXPECT_EQ(0, urge_connect(fd, (const struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

std::string pattern(size_t size)
{
	std::string text(size, '\0');

	for (size_t i = 0; i < size; i++)
		text[i] = (char)(i * 31 + i / 251);
	return text;
}

/* Reads until the end of the file. */
std::string read_all(int fd, size_t chunk = 4096)
{
	std::string text, buf(chunk, '\0');
	ssize_t n;

	while ((n = urge_read(fd, buf.data(), chunk)) > 0)
		text.append(buf, 0, (size_t)n);
	EXPECT_EQ(0, n);
	return text;
}

} // namespace

TEST(Io, APipeCarriesMoreThanItHolds)
{
	EXPECT_EQ(0, run_main([] {
			  Pipe p;
			  std::string sent = pattern(1 << 20), got;
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 1);
			  EXPECT_EQ(0, go([&] {
					    got = read_all(p.r());
					    urge_waitgroup_done(&wg);
				    }));
			  EXPECT_EQ((ssize_t)sent.size(),
				    urge_write(p.w(), sent.data(), sent.size()));
			  EXPECT_EQ(0, p.close(1));
			  urge_waitgroup_wait(&wg);
			  EXPECT_TRUE(sent == got);
			  return 0;
		  }));
}

TEST(Io, OneByteAtATimeArrivesWhole)
{
	EXPECT_EQ(0, run_main([] {
			  struct sockaddr_in addr;
			  int listener = listen_tcp(&addr);
			  std::string sent = pattern(2000), got;
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 1);
			  EXPECT_EQ(0, go([&] {
					    int fd = urge_accept(listener, nullptr, nullptr);

					    EXPECT_GE(fd, 0);
					    got = read_all(fd);
					    EXPECT_EQ(0, urge_close(fd));
					    urge_waitgroup_done(&wg);
				    }));
			  int fd = dial(addr);
			  for (char c : sent)
				  EXPECT_EQ(1, urge_write(fd, &c, 1));
			  EXPECT_EQ(0, urge_close(fd));
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ(sent, got);
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

/* The end of the stream may come in one event with the last bytes, or in one of its own. */
TEST(Io, TheEndOfAStreamIsSeenAfterShortReads)
{
	EXPECT_EQ(
		0, run_main([] {
			struct sockaddr_in addr;
			int listener = listen_tcp(&addr);

			for (int i = 0; i < 300; i++) {
				int fd = dial(addr);
				int peer = urge_accept(listener, nullptr, nullptr);
				char buf[100];
				urge_waitgroup wg = {};

				EXPECT_GE(peer, 0);
				urge_waitgroup_add(&wg, 1);
				EXPECT_EQ(0, go([&] {
						  EXPECT_EQ(5, urge_write(fd, "hello", 5));
						  if (i % 3 == 1)
							  urge_yield();
						  if (i % 3 == 2)
							  urge_sleep(100 * URGE_US);
						  EXPECT_EQ(0, shutdown(fd, SHUT_WR));
						  urge_waitgroup_done(&wg);
					  }));
				EXPECT_EQ(5, urge_read_until(peer, buf, sizeof(buf), in_ms(30000)));
				EXPECT_EQ(0, urge_read_until(peer, buf, sizeof(buf), in_ms(30000)));
				/* the other direction is still open */
				EXPECT_EQ(3, urge_write(peer, "bye", 3));
				EXPECT_EQ(3, urge_read_until(fd, buf, sizeof(buf), in_ms(30000)));
				urge_waitgroup_wait(&wg);
				EXPECT_EQ(0, urge_close(fd));
				EXPECT_EQ(0, urge_close(peer));
			}
			EXPECT_EQ(0, urge_close(listener));
			return 0;
		}));
}

TEST(Io, ReadFindsWhatCameBehindAShortRead)
{
	EXPECT_EQ(0, run_main([] {
			  struct sockaddr_in addr;
			  int listener = listen_tcp(&addr);
			  int fd = dial(addr), peer = urge_accept(listener, nullptr, nullptr);
			  char buf[100];

			  for (int i = 0; i < 1000; i++) {
				  EXPECT_EQ(2, urge_write(fd, "ab", 2));
				  EXPECT_EQ(2, urge_read_until(peer, buf, 100, in_ms(30000))) << i;
				  EXPECT_EQ(1, urge_write(fd, "c", 1));
				  /* deadline 0 asks the kernel, whatever the runtime thinks */
				  EXPECT_EQ(1, urge_read_until(peer, buf, 100, 0)) << i;
				  EXPECT_EQ(-EAGAIN, urge_read_until(peer, buf, 100, 0));
				  EXPECT_EQ(1, urge_write(fd, "d", 1));
				  /* a deadline that is past matters only to a call that would block */
				  EXPECT_EQ(1, urge_read_until(peer, buf, 100, 1)) << i;
				  EXPECT_EQ(-ETIMEDOUT, urge_read_until(peer, buf, 100, 1));
			  }
			  EXPECT_EQ(0, urge_close(fd));
			  EXPECT_EQ(0, urge_close(peer));
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

TEST(Io, DeadlinesEndReadsAndWrites)
{
	EXPECT_EQ(0, run_main([] {
			  Pair s;
			  std::string much = pattern(4 << 20);
			  char buf[10];
			  int64_t before = urge_now();

			  EXPECT_EQ(-EAGAIN, urge_read_until(s.fd[0], buf, sizeof(buf), 0));
			  EXPECT_EQ(-ETIMEDOUT,
				    urge_read_until(s.fd[0], buf, sizeof(buf), in_ms(20)));
			  EXPECT_GE(urge_now() - before, 20 * URGE_MS);
			  EXPECT_EQ(-ETIMEDOUT,
				    urge_write_until(s.fd[0], much.data(), much.size(), in_ms(20)));
			  size_t written = urge_written();
			  EXPECT_GT(written, 0u);
			  EXPECT_LT(written, much.size());
			  /* what was reported is what the peer gets */
			  EXPECT_EQ(0, s.close(0));
			  EXPECT_TRUE(much.substr(0, written) == read_all(s.fd[1], 65536));
			  return 0;
		  }));
}

TEST(Io, AnEventBeforeTheDeadlineIsServedAndTheDeadlineForgotten)
{
	EXPECT_EQ(0, run_main([] {
			  Pair s;
			  char c;

			  for (int i = 0; i < 500; i++) {
				  EXPECT_EQ(0,
					    go([&] { EXPECT_EQ(1, urge_write(s.fd[1], "x", 1)); }));
				  EXPECT_EQ(1, urge_read_until(s.fd[0], &c, 1, in_ms(30000)));
			  }
			  EXPECT_EQ(-ETIMEDOUT, urge_read_until(s.fd[0], &c, 1, in_ms(5)));
			  return 0;
		  }));
}

TEST(Io, DeadlinesAndEventsRace)
{
	EXPECT_EQ(0, run_main([] {
			  Pair s;
			  std::atomic<int> sent{ 0 };
			  std::atomic<bool> stop{ false };
			  urge_waitgroup wg = {};
			  int got = 0, late = 0;
			  char buf[64];

			  urge_waitgroup_add(&wg, 1);
			  EXPECT_EQ(0, go([&] {
					    while (!stop) {
						    EXPECT_EQ(1, urge_write(s.fd[1], "x", 1));
						    sent++;
						    urge_sleep(50 * URGE_US);
					    }
					    urge_waitgroup_done(&wg);
				    }));
			  for (int i = 0; i < 5000; i++) {
				  ssize_t n = urge_read_until(s.fd[0], buf, sizeof(buf),
							      urge_now() + 50 * URGE_US);

				  if (n > 0)
					  got += (int)n;
				  else if (n == -ETIMEDOUT)
					  late++;
				  else
					  ADD_FAILURE() << n;
			  }
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  while (got < sent) {
				  ssize_t n =
					  urge_read_until(s.fd[0], buf, sizeof(buf), in_ms(30000));

				  if (n <= 0) {
					  ADD_FAILURE() << n;
					  break;
				  }
				  got += (int)n;
			  }
			  EXPECT_EQ(sent, got);
			  printf("%d received, %d deadlines\n", got, late);
			  return 0;
		  }));
}

TEST(Io, VectorsAreCompleted)
{
	EXPECT_EQ(0, run_main([] {
			  for (int kind = 0; kind < 2; kind++) {
				  Pair s(kind ? AF_UNIX : 0);
				  std::string a = pattern(300000), b = "", c = pattern(7),
					      d = pattern(500000), got;
				  struct iovec out[] = { { a.data(), a.size() },
							 { b.data(), b.size() },
							 { c.data(), c.size() },
							 { d.data(), d.size() } };
				  urge_waitgroup wg = {};

				  urge_waitgroup_add(&wg, 1);
				  EXPECT_EQ(0, go([&] {
						    char x[1000], y[77];
						    struct iovec in[] = { { x, sizeof(x) },
									  { y, sizeof(y) } };
						    ssize_t n;

						    while ((n = urge_readv(s.fd[0], in, 2)) > 0) {
							    size_t first = (size_t)n < sizeof(x)
										   ? (size_t)n
										   : sizeof(x);

							    got.append(x, first);
							    got.append(y, (size_t)n - first);
						    }
						    EXPECT_EQ(0, n);
						    urge_waitgroup_done(&wg);
					    }));
				  EXPECT_EQ((ssize_t)(a + b + c + d).size(),
					    urge_writev(s.fd[1], out, 4));
				  EXPECT_EQ(0, s.close(1));
				  urge_waitgroup_wait(&wg);
				  EXPECT_TRUE(got == a + b + c + d) << kind;
			  }
			  return 0;
		  }));
}

TEST(Io, DatagramsAndDescriptorsTravelInMessages)
{
	EXPECT_EQ(0, run_main([] {
			  Pair s(AF_UNIX, SOCK_DGRAM);
			  Pipe sent;
			  char text[16] = "datagram", got[16] = "", c;
			  struct iovec iov = { text, 9 }, in = { got, sizeof(got) };
			  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
			  struct msghdr msg = {};

			  msg.msg_iov = &iov;
			  msg.msg_iovlen = 1;
			  msg.msg_control = control;
			  msg.msg_controllen = sizeof(control);
			  struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
			  header->cmsg_level = SOL_SOCKET;
			  header->cmsg_type = SCM_RIGHTS;
			  header->cmsg_len = CMSG_LEN(sizeof(int));
			  int fd = sent.w();
			  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
			  EXPECT_EQ(0, go([&] {
					    urge_sleep(URGE_MS);
					    EXPECT_EQ(9, urge_sendmsg(s.fd[0], &msg, 0));
				    }));
			  struct msghdr back = {};
			  alignas(struct cmsghdr) char control2[CMSG_SPACE(sizeof(int))];
			  back.msg_iov = &in;
			  back.msg_iovlen = 1;
			  back.msg_control = control2;
			  back.msg_controllen = sizeof(control2);
			  EXPECT_EQ(9, urge_recvmsg_until(s.fd[1], &back, 0, in_ms(30000)));
			  EXPECT_STREQ("datagram", got);
			  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&back)), sizeof(fd));
			  EXPECT_EQ(1, urge_write(fd, "!", 1));
			  EXPECT_EQ(1, urge_read(sent.r(), &c, 1));
			  EXPECT_EQ(0, urge_close(fd));
			  return 0;
		  }));
}

TEST(Io, FilesAreReadAndWrittenToo)
{
	EXPECT_EQ(0, run_main([] {
			  char name[] = "/tmp/urge-io-XXXXXX";
			  int fd = mkstemp(name);
			  std::string text = pattern(100000), got(200000, '\0');

			  unlink(name);
			  EXPECT_EQ((ssize_t)text.size(), urge_write(fd, text.data(), text.size()));
			  EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
			  EXPECT_EQ((ssize_t)text.size(), urge_read(fd, got.data(), got.size()));
			  EXPECT_EQ(0, urge_read_until(fd, got.data(), 1, in_ms(1)));
			  EXPECT_EQ(POLLIN, urge_fd_wait(fd, POLLIN, 0));
			  got.resize(text.size());
			  EXPECT_TRUE(text == got);
			  EXPECT_EQ(0, urge_close(fd));
			  return 0;
		  }));
}

TEST(Io, WhatIsNoDescriptorIsRefused)
{
	char c;

	EXPECT_EQ(-EPERM, urge_read(0, &c, 1));
	EXPECT_EQ(-EPERM, urge_write(1, "", 1));
	EXPECT_EQ(-EPERM, urge_close(0));
	EXPECT_EQ(0, run_main([] {
			  char x;

			  for (int fd : { -1, 1000, INT32_MAX, INT32_MIN }) {
				  EXPECT_EQ(-EBADF, urge_read(fd, &x, 1)) << fd;
				  EXPECT_EQ(-EBADF, urge_write(fd, &x, 1)) << fd;
				  EXPECT_EQ(-EBADF, urge_fd_wait(fd, POLLIN, 0)) << fd;
				  EXPECT_EQ(-EBADF, urge_close(fd)) << fd;
			  }
			  Pipe p;
			  EXPECT_EQ(-EBADF, urge_write(p.r(), "x", 1));
			  EXPECT_EQ(-EBADF, urge_read(p.w(), &x, 1));
			  EXPECT_EQ(-ENOTSOCK, urge_accept(p.r(), nullptr, nullptr));
			  EXPECT_EQ(-EFAULT, urge_write(p.w(), (void *)16, 1));
			  std::thread([&] { EXPECT_EQ(-EPERM, urge_read(p.r(), &x, 1)); }).join();
			  return 0;
		  }));
}

TEST(Io, FirstUseMakesItNonBlocking)
{
	EXPECT_EQ(0, run_main([] {
			  Pipe p;

			  EXPECT_EQ(0, fcntl(p.w(), F_GETFL) & O_NONBLOCK);
			  EXPECT_EQ(1, urge_write(p.w(), "x", 1));
			  EXPECT_EQ(O_NONBLOCK, fcntl(p.w(), F_GETFL) & O_NONBLOCK);
			  return 0;
		  }));
}

TEST(Io, APeerThatIsGoneIsAnErrorAndNoSignal)
{
	Outcome outcome = in_child([] {
		signal(SIGPIPE, SIG_DFL);
		EXPECT_EQ(0, run_main([] {
				  Pipe p;
				  Pair s;
				  struct iovec iov = { (void *)"xy", 2 };
				  struct msghdr msg = {};

				  msg.msg_iov = &iov;
				  msg.msg_iovlen = 1;
				  EXPECT_EQ(0, p.close(0));
				  EXPECT_EQ(0, s.close(0));
				  for (int fd : { p.w(), s.fd[1] }) {
					  EXPECT_EQ(-EPIPE, urge_write(fd, "x", 1));
					  EXPECT_EQ(-EPIPE, urge_writev(fd, &iov, 1));
				  }
				  EXPECT_EQ(-EPIPE, urge_sendmsg(s.fd[1], &msg, 0));
				  return 0;
			  }));
		/* nothing was left pending, and the program's own write still has its signal */
		sigset_t pending;
		sigpending(&pending);
		EXPECT_FALSE(sigismember(&pending, SIGPIPE));
		int fd[2];
		EXPECT_EQ(0, pipe(fd));
		close(fd[0]);
		if (!testing::Test::HasFailure() && write(fd[1], "x", 1) > 0)
			_exit(1);
	});

	EXPECT_TRUE(outcome.killed(SIGPIPE)) << outcome;
}

TEST(Io, FdWaitTellsWhatIsThere)
{
	EXPECT_EQ(0, run_main([] {
			  Pair s;
			  int fd = eventfd(0, EFD_NONBLOCK);
			  uint64_t one = 1;

			  EXPECT_EQ(-EAGAIN, urge_fd_wait(fd, POLLIN, 0));
			  EXPECT_EQ(POLLOUT, urge_fd_wait(fd, POLLIN | POLLOUT, URGE_FOREVER));
			  EXPECT_EQ(-ETIMEDOUT, urge_fd_wait(fd, POLLIN, in_ms(5)));
			  EXPECT_EQ(0, go([&] { EXPECT_EQ(8, write(fd, &one, sizeof(one))); }));
			  EXPECT_EQ(POLLIN, urge_fd_wait(fd, POLLIN, in_ms(30000)));
			  /* it is the state that counts, not its change */
			  EXPECT_EQ(POLLIN, urge_fd_wait(fd, POLLIN, in_ms(30000)));
			  EXPECT_EQ(0, go([end = std::exchange(s.fd[1], -1)] { urge_close(end); }));
			  EXPECT_EQ(POLLIN | POLLHUP, urge_fd_wait(s.fd[0], POLLIN, in_ms(30000)));
			  EXPECT_EQ(POLLHUP, urge_fd_wait(s.fd[0], 0, in_ms(30000)));
			  EXPECT_EQ(0, urge_close(fd));
			  return 0;
		  }));
}

/* To a number that nobody else gets when it is closed: the runtime opens files in /proc now and then. */
static void move_up(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, FD_HIGH / 2);

	EXPECT_GE(high, FD_HIGH / 2);
	close(*fd);
	*fd = high;
}

TEST(Io, CloseWakesAllWhoWait)
{
	EXPECT_EQ(0, run_main([] {
			  struct sockaddr_in addr;
			  int listener = listen_tcp(&addr);
			  Pair s;

			  move_up(&listener);
			  move_up(&s.fd[0]);
			  std::atomic<int> woken{ 0 };
			  urge_waitgroup wg = {};
			  std::string much(8 << 20, 'x');

			  urge_waitgroup_add(&wg, 21);
			  for (int i = 0; i < 10; i++) {
				  EXPECT_EQ(0, go([&] {
						    EXPECT_EQ(-EBADF, urge_accept(listener, nullptr,
										  nullptr));
						    woken++;
						    urge_waitgroup_done(&wg);
					    }));
				  EXPECT_EQ(0, go([&, i] {
						    char c;

						    EXPECT_EQ(-EBADF,
							      i % 2 ? urge_read(s.fd[0], &c, 1)
								    : urge_fd_wait(s.fd[0], POLLIN,
										   in_ms(60000)));
						    woken++;
						    urge_waitgroup_done(&wg);
					    }));
			  }
			  EXPECT_EQ(0, go([&] {
					    EXPECT_EQ(-EBADF, urge_write(s.fd[0], much.data(),
									 much.size()));
					    urge_waitgroup_done(&wg);
				    }));
			  urge_sleep(20 * URGE_MS);
			  EXPECT_EQ(0, woken);
			  int reader = s.fd[0];
			  EXPECT_EQ(0, urge_close(listener));
			  EXPECT_EQ(0, s.close(0));
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ(-EBADF, urge_close(listener));
			  EXPECT_EQ(-EBADF, urge_close(reader));
			  return 0;
		  }));
}

TEST(Io, NumbersThatAreUsedAgainServeTheirNewFile)
{
	EXPECT_EQ(0, run_main([] {
			  int before = open_fds(FD_HIGH);

			  for (int i = 0; i < 500; i++) {
				  Pipe p;
				  char c;

				  EXPECT_EQ(-EAGAIN, urge_read_until(p.r(), &c, 1, 0));
				  EXPECT_EQ(0,
					    go([&] { EXPECT_EQ(1, urge_write(p.w(), "x", 1)); }));
				  EXPECT_EQ(1, urge_read_until(p.r(), &c, 1, in_ms(30000)));
			  }
			  /* closed behind our back, and accepted again: sockets of ours are always new */
			  struct sockaddr_in addr;
			  int listener = listen_tcp(&addr);
			  for (int i = 0; i < 100; i++) {
				  int fd = socket(AF_INET, SOCK_STREAM, 0), peer;
				  urge_waitgroup sent = {};
				  char c;

				  EXPECT_EQ(0, connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
				  peer = urge_accept(listener, nullptr, nullptr);
				  urge_waitgroup_add(&sent, 1);
				  EXPECT_EQ(0, go([&] {
						    EXPECT_EQ(1, write(fd, "y", 1));
						    urge_waitgroup_done(&sent);
					    }));
				  EXPECT_EQ(1, urge_read_until(peer, &c, 1, in_ms(30000)));
				  urge_waitgroup_wait(&sent);
				  close(peer);
				  close(fd);
			  }
			  EXPECT_EQ(0, urge_close(listener));
			  EXPECT_EQ(before, open_fds(FD_HIGH));
			  return 0;
		  }));
}

TEST(Io, AnotherWorldStartsAfresh)
{
	Pair *s = nullptr;

	for (int world = 0; world < 3; world++)
		EXPECT_EQ(0, run_main([&] {
				  static int fd[2];
				  char c;

				  if (!s) {
					  s = new Pair;
					  fd[0] = s->fd[0];
					  fd[1] = s->fd[1];
				  }
				  EXPECT_EQ(0, go([] {
						    char x;

						    urge_read(fd[1], &x, 1); /* left behind */
					    }));
				  EXPECT_EQ(-ETIMEDOUT, urge_read_until(fd[0], &c, 1, in_ms(10)));
				  EXPECT_EQ(0, go([] { EXPECT_EQ(1, urge_write(fd[1], "x", 1)); }));
				  EXPECT_EQ(1, urge_read_until(fd[0], &c, 1, in_ms(30000)));
				  return 0;
			  }));
	EXPECT_EQ(0, run_main([&] {
			  delete s;
			  return 0;
		  }));
}

TEST(Io, AcceptWithoutDescriptorsFailsAndServesLater)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  struct sockaddr_in addr;
				  int listener = listen_tcp(&addr);
				  int client = socket(AF_INET, SOCK_STREAM, 0);
				  std::vector<int> fill;

				  limit(RLIMIT_NOFILE, 700);
				  EXPECT_EQ(0, urge_connect(client, (struct sockaddr *)&addr,
							    sizeof(addr)));
				  for (int fd; (fd = dup(0)) >= 0;)
					  fill.push_back(fd);
				  EXPECT_EQ(-EMFILE, urge_accept(listener, nullptr, nullptr));
				  EXPECT_EQ(-EMFILE, urge_accept(listener, nullptr, nullptr));
				  for (int fd : fill)
					  close(fd);
				  int fd = urge_accept_until(listener, nullptr, nullptr,
							     in_ms(30000));
				  EXPECT_GE(fd, 0);
				  EXPECT_EQ(2, urge_write(fd, "hi", 2));
				  char buf[2];
				  EXPECT_EQ(2, urge_read_until(client, buf, 2, in_ms(30000)));
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

TEST(Io, ARefusedConnectionIsAnError)
{
	EXPECT_EQ(0, run_main([] {
			  struct sockaddr_in addr;
			  int listener = listen_tcp(&addr);
			  int fd = socket(AF_INET, SOCK_STREAM, 0);

			  EXPECT_EQ(0, urge_close(listener));
			  EXPECT_EQ(-ECONNREFUSED,
				    urge_connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
			  EXPECT_EQ(0, urge_close(fd));
			  return 0;
		  }));
}

/* A Unix listener whose queue is full refuses with EAGAIN, without an event when there is room. */
TEST(Io, AConnectWaitsForRoomInAUnixQueue)
{
	EXPECT_EQ(0, run_main([] {
			  struct sockaddr_un addr = { AF_UNIX, {} };
			  socklen_t len = sizeof(addr);
			  int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[3];

			  EXPECT_EQ(0, bind(listener, (struct sockaddr *)&addr,
					    sizeof(addr.sun_family)));
			  EXPECT_EQ(0, listen(listener, 0));
			  EXPECT_EQ(0, getsockname(listener, (struct sockaddr *)&addr, &len));
			  for (int &fd : fds)
				  fd = socket(AF_UNIX, SOCK_STREAM, 0);
			  EXPECT_EQ(0, urge_connect(fds[0], (struct sockaddr *)&addr, len));
			  EXPECT_EQ(-EAGAIN,
				    urge_connect_until(fds[1], (struct sockaddr *)&addr, len, 0));
			  EXPECT_EQ(-ETIMEDOUT, urge_connect_until(fds[1], (struct sockaddr *)&addr,
								   len, in_ms(5)));
			  EXPECT_EQ(0, go([&] {
					    urge_sleep(5 * URGE_MS);
					    int fd = urge_accept(listener, nullptr, nullptr);
					    EXPECT_EQ(0, urge_close(fd));
				    }));
			  EXPECT_EQ(0, urge_connect_until(fds[2], (struct sockaddr *)&addr, len,
							  in_ms(30000)));
			  for (int fd : fds)
				  EXPECT_EQ(0, urge_close(fd));
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

TEST(Io, AWaitForADescriptorIsNoDeadlock)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Pipe p;
				  char c;
				  pid_t pid = fork();

				  if (pid == 0) {
					  usleep(300000);
					  _exit(write(p.w(), "x", 1) != 1);
				  }
				  EXPECT_EQ(1, urge_read(p.r(), &c, 1));
				  waitpid(pid, nullptr, 0);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

/* An M sleeps in netpoll for a descriptor that nobody waits for any more. */
TEST(Io, ADeadlockIsSeenBesideIdleDescriptors)
{
	Outcome outcome = in_child([] {
		run_main([] {
			Pair s;
			urge_waitgroup never = {};

			urge_waitgroup_add(&never, 1);
			EXPECT_EQ(0, go([&] {
					  char c;

					  EXPECT_EQ(-EBADF, urge_read(s.fd[0], &c, 1));
					  urge_waitgroup_wait(&never);
				  }));
			urge_sleep(10 * URGE_MS);
			EXPECT_EQ(0, s.close(0));
			urge_waitgroup_wait(&never);
			return 0;
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("all goroutines are asleep - deadlock!", outcome.err);
}

TEST(Io, ManyDescriptorsManyGoroutines)
{
	EXPECT_EQ(
		0, run_main([] {
			enum { N = 200, ROUNDS = 50 };
			int before = open_fds(FD_HIGH);
			std::atomic<int> done{ 0 };
			urge_waitgroup wg = {};

			{
				std::vector<Pair> pairs(N);

				urge_waitgroup_add(&wg, 2 * N);
				for (Pair &s : pairs)
					for (int end = 0; end < 2; end++)
						EXPECT_EQ(
							0, go([&, end] {
								char buf[8];

								for (int i = 0; i < ROUNDS; i++) {
									if (i % 2 == end)
										EXPECT_EQ(
											4,
											urge_write(
												s.fd[end],
												"ping",
												4));
									else
										EXPECT_EQ(
											4,
											urge_read_until(
												s.fd[end],
												buf,
												4,
												in_ms(60000)));
								}
								done++;
								urge_waitgroup_done(&wg);
							}));
				urge_waitgroup_wait(&wg);
			}
			EXPECT_EQ(2 * N, done);
			EXPECT_EQ(before, open_fds(FD_HIGH));
			return 0;
		}));
}
