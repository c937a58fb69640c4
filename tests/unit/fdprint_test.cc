/* SPDX-License-Identifier: MIT */
#include "kernelshim/fdprint.h"
#include "tests/unit/errno_kept.h"
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace
{

class Fdprint : public testing::Test
{
protected:
	void SetUp() override
	{
		ASSERT_EQ(0, pipe(ends));
		fdp_init(&out, ends[1]);
	}

	void TearDown() override
	{
		close(ends[0]);
		close(ends[1]);
	}

	/* Closes the writing end and reads to the end. */
	std::string text()
	{
		std::string all;
		char buf[4096];
		ssize_t n;

		close(ends[1]);
		ends[1] = -1;
		while ((n = read(ends[0], buf, sizeof(buf))) > 0)
			all.append(buf, (size_t)n);
		return all;
	}

	/* Fills the pipe, as a reader that does not come would. */
	size_t fill()
	{
		const std::string page(4096, 'f');
		size_t filled = 0;
		ssize_t n;

		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		while ((n = write(ends[1], page.data(), page.size())) > 0)
			filled += (size_t)n;
		return filled;
	}

	int ends[2];
	struct fdprint out;
};

TEST_F(Fdprint, FormatsTheExtremes)
{
	{
		ErrnoKept kept;

		fdp_str(&out, "");
		fdp_u64(&out, 0);
		fdp_char(&out, ' ');
		fdp_u64(&out, UINT64_MAX);
		fdp_char(&out, ' ');
		fdp_i64(&out, INT64_MIN);
		fdp_char(&out, ' ');
		fdp_i64(&out, INT64_MAX);
		fdp_char(&out, ' ');
		fdp_i64(&out, -1);
		fdp_char(&out, ' ');
		fdp_hex(&out, 0);
		fdp_char(&out, ' ');
		fdp_hex(&out, UINT64_MAX);
		EXPECT_EQ(0, fdp_flush(&out));
		EXPECT_EQ(0, fdp_flush(&out));
	}
	EXPECT_EQ("0 18446744073709551615 -9223372036854775808 9223372036854775807 -1 0x0 "
		  "0xffffffffffffffff",
		  text());
}

TEST_F(Fdprint, TextLongerThanTheBufferArrivesInOrder)
{
	std::string expected;

	for (unsigned i = 0; i < 3000; i++) {
		fdp_u64(&out, i);
		expected += std::to_string(i);
	}
	EXPECT_EQ(0, fdp_flush(&out));
	EXPECT_EQ(expected, text());
}

TEST_F(Fdprint, ReportsAFailedWriteAndGoesOn)
{
	ErrnoKept kept;
	struct fdprint closed;

	fdp_init(&closed, -1);
	fdp_str(&closed, "lost");
	EXPECT_EQ(-EBADF, fdp_flush(&closed));
	EXPECT_EQ(0, fdp_flush(&closed));
}

TEST_F(Fdprint, WaitsForARoomInANonBlockingPipe)
{
	const size_t filled = fill();
	std::string read_back;
	std::thread reader([&] {
		usleep(20000);
		char buf[4096];
		while (read_back.size() < filled + 5) {
			ssize_t n = read(ends[0], buf, sizeof(buf));

			if (n <= 0)
				break;
			read_back.append(buf, (size_t)n);
		}
	});

	fdp_str(&out, "after");
	EXPECT_EQ(0, fdp_flush(&out));
	reader.join();
	EXPECT_EQ("after", read_back.substr(filled));
}

TEST_F(Fdprint, GivesUpWhenNobodyReads)
{
	fill();
	fdp_str(&out, "lost");
	EXPECT_EQ(-EAGAIN, fdp_flush(&out));
}

TEST_F(Fdprint, ContinuesAWriteThatASignalBrokeOff)
{
	const size_t filled = fill();
	struct sigaction interrupt = {}, old;
	const pthread_t writer = pthread_self();
	std::string read_back;

	fcntl(ends[1], F_SETFL, 0);
	interrupt.sa_handler = [](int) {};
	sigaction(SIGUSR1, &interrupt, &old); /* without SA_RESTART */
	std::thread reader([&] {
		char buf[4096];

		for (int i = 0; i < 5; i++) {
			usleep(5000);
			pthread_kill(writer, SIGUSR1);
		}
		while (read_back.size() < filled + 5) {
			ssize_t n = read(ends[0], buf, sizeof(buf));

			if (n <= 0)
				break;
			read_back.append(buf, (size_t)n);
		}
	});
	fdp_str(&out, "after");
	EXPECT_EQ(0, fdp_flush(&out));
	reader.join();
	sigaction(SIGUSR1, &old, nullptr);
	EXPECT_EQ("after", read_back.substr(filled));
}

} // namespace
