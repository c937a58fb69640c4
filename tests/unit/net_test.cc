/* SPDX-License-Identifier: MIT */
/* Sockets by address: TCP, UDP, Unix; names. */
#include "tests/unit/child.h"
#include <arpa/inet.h>
#include <atomic>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace
{

int64_t in_ms(int64_t ms)
{
	return urge_now() + ms * URGE_MS;
}

/* The port that a socket is bound to. */
std::string port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
	return std::to_string(ntohs(addr.ss_family == AF_INET6
					    ? ((struct sockaddr_in6 *)&addr)->sin6_port
					    : ((struct sockaddr_in *)&addr)->sin_port));
}

/* Sends a word each way between two connected sockets, then closes both. */
void talk(int a, int b)
{
	char buf[8];

	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	EXPECT_EQ(5, urge_write(a, "there", 5));
	EXPECT_EQ(5, urge_read_until(b, buf, sizeof(buf), in_ms(30000)));
	EXPECT_EQ(4, urge_write(b, "back", 4));
	EXPECT_EQ(4, urge_read_until(a, buf, sizeof(buf), in_ms(30000)));
	EXPECT_EQ(0, urge_close(a));
	EXPECT_EQ(-0, urge_close(b));
}

int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, name, &value, &len);
	return value;
}

} // namespace

TEST(Net, TcpByAddressAndByName)
{
	EXPECT_EQ(0, run_main([] {
			  int listener = urge_listen_tcp("127.0.0.1", "0", 0);
			  std::string port = port_of(listener);

			  for (const char *host : { "127.0.0.1", "localhost" }) {
				  int fd = urge_dial_tcp(host, port.c_str(), in_ms(30000));
				  int peer = urge_accept_until(listener, nullptr, nullptr,
							       in_ms(30000));

				  EXPECT_EQ(1, option(fd, IPPROTO_TCP, TCP_NODELAY));
				  EXPECT_EQ(1, option(peer, IPPROTO_TCP, TCP_NODELAY));
				  EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
				  EXPECT_EQ(FD_CLOEXEC, fcntl(peer, F_GETFD));
				  talk(fd, peer);
			  }
			  EXPECT_EQ(-EADDRINUSE, urge_listen_tcp("127.0.0.1", port.c_str(), 0));
			  EXPECT_EQ(0, urge_close(listener));
			  EXPECT_EQ(-ECONNREFUSED,
				    urge_dial_tcp("127.0.0.1", port.c_str(), in_ms(30000)));
			  /* the address can be used again at once */
			  listener = urge_listen_tcp("127.0.0.1", port.c_str(), 0);
			  EXPECT_GE(listener, 0);
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

TEST(Net, AListenerWithoutHostServesBothFamilies)
{
	EXPECT_EQ(0, run_main([] {
			  int listener = urge_listen_tcp(nullptr, "0", 10);
			  std::string port = port_of(listener);
			  int fd = urge_dial_tcp("127.0.0.1", port.c_str(), in_ms(30000));

			  talk(fd, urge_accept(listener, nullptr, nullptr));
			  fd = urge_dial_tcp("::1", port.c_str(), in_ms(30000));
			  if (fd >= 0)
				  talk(fd, urge_accept(listener, nullptr, nullptr));
			  else
				  printf("no IPv6: %d\n", fd);
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

/* A listener whose queue is full swallows the handshake, as a host that does not answer does. */
TEST(Net, DialEndsByItsDeadline)
{
	EXPECT_EQ(0, run_main([] {
			  int listener = urge_listen_tcp("127.0.0.1", "0", 1), fd;
			  std::string port = port_of(listener);
			  std::vector<int> fds;
			  int64_t before = 0;

			  do {
				  before = urge_now();
				  fd = urge_dial_tcp("127.0.0.1", port.c_str(), in_ms(100));
				  fds.push_back(fd);
			  } while (fd >= 0 && fds.size() < 20);
			  EXPECT_EQ(-ETIMEDOUT, fd);
			  EXPECT_GE(urge_now() - before, 100 * URGE_MS);
			  fds.pop_back();
			  for (int each : fds)
				  EXPECT_EQ(0, urge_close(each));
			  EXPECT_EQ(0, urge_close(listener));
			  return 0;
		  }));
}

TEST(Net, UdpBothWays)
{
	EXPECT_EQ(0, run_main([] {
			  int server = urge_listen_udp("127.0.0.1", "0");
			  int client = urge_dial_udp("127.0.0.1", port_of(server).c_str());
			  struct sockaddr_storage from;
			  char buf[100];
			  struct iovec iov = { buf, sizeof(buf) };
			  struct msghdr msg = {};

			  EXPECT_EQ(0, go([&] {
					    urge_sleep(URGE_MS);
					    EXPECT_EQ(4, urge_write(client, "ping", 4));
				    }));
			  msg.msg_name = &from;
			  msg.msg_namelen = sizeof(from);
			  msg.msg_iov = &iov;
			  msg.msg_iovlen = 1;
			  EXPECT_EQ(4, urge_recvmsg_until(server, &msg, 0, in_ms(30000)));
			  iov.iov_len = 4;
			  EXPECT_EQ(4, urge_sendmsg(server, &msg, 0));
			  EXPECT_EQ(4, urge_read_until(client, buf, sizeof(buf), in_ms(30000)));
			  EXPECT_EQ(-ETIMEDOUT,
				    urge_read_until(client, buf, sizeof(buf), in_ms(5)));
			  EXPECT_EQ(0, urge_close(server));
			  EXPECT_EQ(0, urge_close(client));
			  return 0;
		  }));
}

TEST(Net, UnixStreamsAndDatagrams)
{
	EXPECT_EQ(0, run_main([] {
			  std::string file = "/tmp/urge-net-" + std::to_string(getpid());
			  std::string abstract = "@urge-net-" + std::to_string(getpid());
			  char buf[10];

			  for (const std::string &path : { file, abstract }) {
				  int listener = urge_listen_unix(path.c_str(), 5);
				  int fd = urge_dial_unix(path.c_str(), in_ms(30000));

				  EXPECT_GE(listener, 0);
				  talk(fd, urge_accept(listener, nullptr, nullptr));
				  EXPECT_EQ(-EADDRINUSE, urge_listen_unix(path.c_str(), 5));
				  EXPECT_EQ(0, urge_close(listener));
				  EXPECT_EQ(-ECONNREFUSED,
					    urge_dial_unix(path.c_str(), in_ms(30000)));
			  }
			  unlink(file.c_str());
			  int to = urge_listen_unixgram(file.c_str());
			  int from = urge_dial_unixgram(file.c_str());
			  EXPECT_EQ(3, urge_write(from, "abc", 3));
			  EXPECT_EQ(3, urge_read(to, buf, sizeof(buf)));
			  EXPECT_EQ(0, urge_close(to));
			  EXPECT_EQ(0, urge_close(from));
			  unlink(file.c_str());
			  EXPECT_EQ(-ENOENT, urge_dial_unix(file.c_str(), in_ms(30000)));
			  EXPECT_EQ(-ENAMETOOLONG,
				    urge_dial_unix(std::string(200, 'x').c_str(), 0));
			  EXPECT_EQ(-EINVAL, urge_listen_unix("", 5));
			  return 0;
		  }));
}

TEST(Net, NamesAreLookedUp)
{
	EXPECT_EQ(0, run_main([] {
			  struct addrinfo *res;

			  EXPECT_EQ(0, urge_getaddrinfo("192.0.2.1", "80", nullptr, &res, 0));
			  EXPECT_EQ(htonl(0xc0000201),
				    ((struct sockaddr_in *)res->ai_addr)->sin_addr.s_addr);
			  freeaddrinfo(res);
			  EXPECT_EQ(0, urge_getaddrinfo("localhost", nullptr, nullptr, &res,
							in_ms(30000)));
			  freeaddrinfo(res);
			  EXPECT_EQ(-EAGAIN,
				    urge_getaddrinfo("localhost", nullptr, nullptr, &res, 0));
			  EXPECT_EQ(nullptr, res);
			  EXPECT_EQ(-ENOENT,
				    urge_dial_tcp("localhost", "no-such-service", in_ms(30000)));
			  struct addrinfo hints = {};
			  hints.ai_family = 12345;
			  EXPECT_EQ(-EINVAL, urge_getaddrinfo("localhost", "80", &hints, &res,
							      in_ms(30000)));
			  return 0;
		  }));
	struct addrinfo *res;
	EXPECT_EQ(-EPERM, urge_getaddrinfo("127.0.0.1", "80", nullptr, &res, URGE_FOREVER));
	EXPECT_EQ(-EPERM, urge_listen_tcp("127.0.0.1", "0", 0));
	EXPECT_EQ(-EPERM, urge_dial_unix("/nowhere", 0));
}

TEST(Net, ManyLookupsUseFewThreads)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> found{ 0 };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 300);
			  for (int i = 0; i < 300; i++)
				  EXPECT_EQ(0, go([&] {
						    struct addrinfo *res;

						    if (urge_getaddrinfo("localhost", "80", nullptr,
									 &res, in_ms(60000)) == 0) {
							    found++;
							    freeaddrinfo(res);
						    }
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ(300, found);
			  struct urge_stats stats;
			  urge_stats_read(&stats);
			  EXPECT_LT(stats.threads, 60u);
			  return 0;
		  }));
}
