/* SPDX-License-Identifier: MIT */
/* Descriptors under stress: closed while others use them, deadlines that race with data, many peers. */
#include "kernelshim/epoll.h"
#include "tests/stress/seed.h"
#include "tests/unit/child.h"
#include "tests/unit/resources.h"
#include <atomic>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace
{

int64_t in_us(int64_t us)
{
	return urge_now() + us * URGE_US;
}

/* A socket that listens, and its port. */
std::pair<int, std::string> listener()
{
	int fd = urge_listen_tcp("127.0.0.1", "0", 0);
	struct sockaddr_in addr = {};
	socklen_t len = sizeof(addr);

	EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
	return { fd, std::to_string(ntohs(addr.sin_port)) };
}

/*
 * sysmon opens files in /proc, each for a moment at the lowest free number. Tests that use numbers
 * after they were closed leave a lower one free, lest they find that file there.
 */
template <typename Opens> void above_a_free_number(const Opens &opens)
{
	int low = dup(STDERR_FILENO);

	opens();
	EXPECT_EQ(0, close(low));
}

} // namespace

/* Talks on one end of a pair, in the pair's own byte, until the descriptor is closed. */
struct Talk {
	std::atomic<int> strange{ 0 }, closed{ 0 }, carried{ 0 };

	void read(int fd, char mine, int64_t patience)
	{
		char buf[16];
		ssize_t n;

		do {
			n = urge_read_until(fd, buf, sizeof(buf),
					    patience ? in_us(patience) : URGE_FOREVER);
			for (ssize_t k = 0; k < n; k++)
				strange += buf[k] != mine;
			carried += n > 0;
		} while (n > 0 || n == -ETIMEDOUT);
		ended(n);
	}

	void write(int fd, char mine)
	{
		ssize_t n;

		while ((n = urge_write(fd, &mine, 1)) == 1)
			;
		ended(n);
	}

	void ended(ssize_t n)
	{
		if (n == -EBADF)
			closed++;
		else if (n != 0 && n != -EPIPE && n != -ECONNRESET) /* the peer was first */
			ADD_FAILURE() << n;
	}
};

/*
 * Pairs of sockets are closed at any moment of what others do with them, and opened again with the
 * same numbers. Each pair talks in its own byte: nobody reads another pair's, and nobody waits for
 * ever. (A number is used again only when all know that it was closed: the program's part.)
 */
TEST(IoStress, ClosedAtAnyMoment)
{
	uint64_t seed = test_seed();
	int before = open_fds(FD_HIGH);

	EXPECT_EQ(0, run_main([=] {
			  enum { PAIRS = 8, ROUNDS = 150 };
			  Random random(seed);
			  Talk talk;

			  urge_gomaxprocs(4);
			  for (int round = 0; round < ROUNDS; round++) {
				  int fd[PAIRS][2];
				  urge_waitgroup wg = {};

				  urge_waitgroup_add(&wg, 5 * PAIRS);
				  above_a_free_number([&] {
					  for (auto &pair : fd)
						  EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0,
									  pair));
				  });
				  for (int p = 0; p < PAIRS; p++) {
					  char mine = (char)(random.below(200) + 1);
					  int64_t pause = random.below(2000) * URGE_US;

					  for (int i = 0; i < 4; i++)
						  EXPECT_EQ(0, go([&, p, i, mine] {
								    if (i % 2)
									    talk.write(fd[p][0],
										       mine);
								    else
									    talk.read(fd[p][1],
										      mine, i * 20);
								    urge_waitgroup_done(&wg);
							    }));
					  EXPECT_EQ(0, go([&, p, pause, first = random.below(2)] {
							    urge_sleep(pause);
							    EXPECT_EQ(0, urge_close(fd[p][first]));
							    EXPECT_EQ(0, urge_close(fd[p][!first]));
							    urge_waitgroup_done(&wg);
						    }));
				  }
				  urge_waitgroup_wait(&wg);
			  }
			  EXPECT_EQ(0, talk.strange);
			  printf("%d reads, %d found their descriptor closed\n", (int)talk.carried,
				 (int)talk.closed);
			  return 0;
		  }));
	EXPECT_EQ(before, open_fds(FD_HIGH));
}

/* Whoever closes is one of several: exactly one of them succeeds. */
TEST(IoStress, OneOfManyClosesSucceeds)
{
	EXPECT_EQ(0, run_main([] {
			  int before = open_fds(FD_HIGH);

			  urge_gomaxprocs(4);
			  for (int round = 0; round < 1000; round++) {
				  std::atomic<int> closed{ 0 }, others{ 0 };
				  urge_waitgroup wg = {};
				  int fd[2];

				  above_a_free_number([&] { EXPECT_EQ(0, pipe(fd)); });
				  urge_waitgroup_add(&wg, 6);
				  for (int i = 0; i < 6; i++)
					  EXPECT_EQ(0, go([&, i] {
							    char c;

							    if (i % 3 == 0) {
								    int err = urge_close(fd[0]);

								    closed += err == 0;
								    others += err == -EBADF;
							    } else {
								    EXPECT_EQ(-EBADF,
									      urge_read(fd[0], &c,
											1));
							    }
							    urge_waitgroup_done(&wg);
						    }));
				  urge_waitgroup_wait(&wg);
				  EXPECT_EQ(1, closed);
				  EXPECT_EQ(1, others);
				  EXPECT_EQ(0, urge_close(fd[1]));
			  }
			  EXPECT_EQ(before, open_fds(FD_HIGH));
			  return 0;
		  }));
}

/* Thousands of reads whose deadlines pass together, again and again, while some are served. */
TEST(IoStress, StormsOfDeadlines)
{
	uint64_t seed = test_seed();

	EXPECT_EQ(0, run_main([=] {
			  enum { N = 500, ROUNDS = 20 };
			  std::vector<std::pair<int, int>> pipes(N);
			  std::atomic<int> late{ 0 }, served{ 0 }, sent{ 0 };
			  Random random(seed);

			  for (auto &p : pipes) {
				  int fd[2];

				  EXPECT_EQ(0, pipe(fd));
				  p = { fd[0], fd[1] };
			  }
			  for (int round = 0; round < ROUNDS; round++) {
				  urge_waitgroup wg = {};
				  int64_t deadline = in_us(2000 + random.below(3000));

				  urge_waitgroup_add(&wg, N);
				  for (auto &p : pipes)
					  EXPECT_EQ(0, go([&] {
							    char c;
							    ssize_t n = urge_read_until(
								    p.first, &c, 1, deadline);

							    if (n == 1)
								    served++;
							    else if (n == -ETIMEDOUT)
								    late++;
							    else
								    ADD_FAILURE() << n;
							    urge_waitgroup_done(&wg);
						    }));
				  for (int i = 0; i < N / 4; i++) {
					  EXPECT_EQ(1, urge_write(pipes[random.below(N)].second,
								  "x", 1));
					  sent++;
				  }
				  urge_waitgroup_wait(&wg);
			  }
			  /* nothing was lost: what was not read is still there */
			  for (auto &p : pipes) {
				  char c;

				  while (urge_read_until(p.first, &c, 1, 0) == 1)
					  served++;
				  EXPECT_EQ(0, urge_close(p.first));
				  EXPECT_EQ(0, urge_close(p.second));
			  }
			  EXPECT_EQ(sent, served);
			  EXPECT_GT(late, 0);
			  return 0;
		  }));
}

/* Clients come and go by TCP, some without a word, some in the middle of one. */
TEST(IoStress, ConnectionsComeAndGo)
{
	uint64_t seed = test_seed();
	int before = open_fds(FD_HIGH);

	EXPECT_EQ(
		0, run_main([=] {
			enum { CLIENTS = 16, ROUNDS = 60, ACCEPTORS = 3 };
			auto [server, port] = listener();
			std::atomic<int> served{ 0 }, asked{ 0 };
			urge_waitgroup acceptors = {}, handlers = {}, clients = {};

			urge_gomaxprocs(4);
			urge_waitgroup_add(&acceptors, ACCEPTORS);
			for (int i = 0; i < ACCEPTORS; i++)
				EXPECT_EQ(
					0, go([&, fd = server] {
						int peer;

						while ((peer = urge_accept(fd, nullptr, nullptr)) >=
						       0) {
							urge_waitgroup_add(&handlers, 1);
							EXPECT_EQ(
								0, go([&, peer] {
									char buf[64];
									ssize_t n;

									while ((n = urge_read(
											peer, buf,
											sizeof(buf))) >
									       0)
										if (urge_write(
											    peer,
											    buf,
											    (size_t)n) <
										    0)
											break;
									EXPECT_EQ(0,
										  urge_close(peer));
									served++;
									urge_waitgroup_done(
										&handlers);
								}));
						}
						EXPECT_EQ(-EBADF, peer);
						urge_waitgroup_done(&acceptors);
					}));
			urge_waitgroup_add(&clients, CLIENTS);
			for (int i = 0; i < CLIENTS; i++)
				EXPECT_EQ(
					0, go([&, i, name = port] {
						Random random(seed + (unsigned)i);

						for (int round = 0; round < ROUNDS; round++) {
							int fd = urge_dial_tcp("127.0.0.1",
									       name.c_str(),
									       in_us(60000000));
							unsigned words = random.below(5);
							char buf[64];

							EXPECT_GE(fd, 0);
							for (unsigned w = 0; w < words; w++) {
								EXPECT_EQ(5, urge_write(fd, "hello",
											5));
								size_t got = 0;
								while (got < 5 && (w + 1 < words ||
										   round % 2)) {
									ssize_t n = urge_read_until(
										fd, buf + got,
										5 - got,
										in_us(60000000));

									EXPECT_GT(n, 0);
									if (n <= 0)
										break;
									got += (size_t)n;
								}
							}
							if (random.below(4) ==
							    0) { /* a reset instead of an end */
								struct linger linger = { 1, 0 };

								setsockopt(fd, SOL_SOCKET,
									   SO_LINGER, &linger,
									   sizeof(linger));
							}
							EXPECT_EQ(0, urge_close(fd));
							asked++;
						}
						urge_waitgroup_done(&clients);
					}));
			urge_waitgroup_wait(&clients);
			EXPECT_TRUE(eventually([&] { return served == asked; }));
			EXPECT_EQ(0, urge_close(server));
			urge_waitgroup_wait(&acceptors);
			urge_waitgroup_wait(&handlers);
			EXPECT_EQ(CLIENTS * ROUNDS, served);
			return 0;
		}));
	EXPECT_EQ(before, open_fds(FD_HIGH));
}
