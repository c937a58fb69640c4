/* SPDX-License-Identifier: MIT */
/*
 * Tests of what ends a process, of what a process prints, and of preemption, which is refused in a
 * googletest program: a function in a forked child, or a C program of tests/programs or examples.
 * Both end by a deadline; one that passes it is asked for its goroutines by SIGQUIT, then killed.
 */
#ifndef URGE_TESTS_UNIT_CHILD_H
#define URGE_TESTS_UNIT_CHILD_H

#include "sched/urge.h"
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <ostream>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

/* Sanitizers take address space, memory and the deadly signals for themselves. */
static inline bool sanitized()
{
	return IS_ENABLED(CONFIG_ASAN) || IS_ENABLED(CONFIG_TSAN);
}

/* In a test whose thread blocks in the kernel and has to hear of the world's end. */
#define SKIP_WHERE_SIGNALS_WAIT()                                                                  \
	do {                                                                                       \
		if (IS_ENABLED(CONFIG_TSAN))                                                       \
			GTEST_SKIP() << "ThreadSanitizer keeps signals until a call is over";      \
	} while (0)

/* In a test that ends with all goroutines asleep. */
#define SKIP_WHERE_OTHERS_MIGHT_WAKE()                                                             \
	do {                                                                                       \
		if (IS_ENABLED(CONFIG_TSAN))                                                       \
			GTEST_SKIP() << "ThreadSanitizer has a thread of its own, "                \
					"which might wake somebody";                               \
	} while (0)

/* How a child ended, and what it printed. */
struct Outcome {
	int status = 0;
	bool late = false;
	std::string out, err;

	bool exited(int code) const
	{
		return !late && WIFEXITED(status) && WEXITSTATUS(status) == code;
	}
	bool killed(int sig) const
	{
		return !late && WIFSIGNALED(status) && WTERMSIG(status) == sig;
	}
};

static inline std::ostream &operator<<(std::ostream &os, const Outcome &outcome)
{
	if (outcome.late)
		os << "deadline passed";
	else if (WIFEXITED(outcome.status))
		os << "exit status " << WEXITSTATUS(outcome.status);
	else
		os << "killed by signal " << WTERMSIG(outcome.status);
	return os << "\nstdout:\n" << outcome.out << "\nstderr:\n" << outcome.err;
}

/* How often words occur in text. */
static inline int occurrences(const std::string &text, const std::string &words)
{
	int n = 0;

	for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
		n++;
	return n;
}

/*
 * Whether an extended regular expression fits somewhere in text, or all of it. std::regex takes
 * long to compile, and gcc warns about its inside when a sanitizer is on.
 */
static inline bool found(const std::string &text, const std::string &expression)
{
	return testing::Matcher<std::string>(testing::ContainsRegex(expression)).Matches(text);
}

static inline bool fits(const std::string &text, const std::string &expression)
{
	return testing::Matcher<std::string>(testing::MatchesRegex(expression)).Matches(text);
}

/* A running child. Its output is read by finish(), so it must fit in a pipe until then. */
class Child
{
public:
	explicit Child(const std::function<void()> &body)
	{
		int fds[2][2];

		if (pipe2(fds[0], O_CLOEXEC) != 0 || pipe2(fds[1], O_CLOEXEC) != 0)
			abort();
		fflush(nullptr);
		pid = fork();
		if (pid == 0) {
			dup2(fds[0][1], 1);
			dup2(fds[1][1], 2);
			for (auto &fd : fds) {
				close(fd[0]);
				close(fd[1]);
			}
			signal(SIGQUIT, SIG_DFL); /* a shell's background job inherits SIG_IGN */
			body();
			fflush(nullptr);
			_exit(testing::Test::HasFailure() ? 1 : 0);
		}
		for (int i = 0; i < 2; i++) {
			close(fds[i][1]);
			ends[i] = fds[i][0];
		}
	}

	/*
	 * Wait until its stdout, or stderr, holds words so many times; false at its end, or after a
	 * minute.
	 */
	bool said(const std::string &words, int times = 1) { return heard(0, words, times); }
	bool complained(const std::string &words, int times = 1) { return heard(1, words, times); }

	void send(int sig) const { kill(pid, sig); }

	Outcome finish(int64_t limit = 60 * URGE_S)
	{
		int64_t deadline = urge_now() + limit;
		int quits = 0;

		for (;;) {
			struct pollfd fds[2] = { { ends[0], POLLIN, 0 }, { ends[1], POLLIN, 0 } };
			int64_t left = deadline - urge_now();

			if (ends[0] < 0 && ends[1] < 0)
				break;
			if (left <= 0) {
				outcome.late = true;
				kill(pid, quits++ ? SIGKILL : SIGQUIT);
				deadline = urge_now() + 2 * URGE_S;
				continue;
			}
			poll(fds, 2, (int)(left / URGE_MS) + 1);
			for (int i = 0; i < 2; i++)
				if (fds[i].revents)
					take(i);
		}
		waitpid(pid, &outcome.status, 0);
		return outcome;
	}

	pid_t pid;

private:
	bool heard(int i, const std::string &words, int times)
	{
		struct pollfd end = { ends[i], POLLIN, 0 };
		int64_t deadline = urge_now() + 60 * URGE_S;

		while (occurrences(i ? outcome.err : outcome.out, words) < times) {
			poll(&end, 1, 1000);
			if (end.revents ? !take(i) : urge_now() > deadline)
				return false;
		}
		return true;
	}

	bool take(int i)
	{
		char buf[4096];
		ssize_t n = read(ends[i], buf, sizeof(buf));

		if (n > 0) {
			(i ? outcome.err : outcome.out).append(buf, (size_t)n);
			return true;
		}
		close(ends[i]);
		ends[i] = -1;
		return false;
	}

	int ends[2];
	Outcome outcome;
};

/* body in a child; failed expectations in it are printed to its stdout and make its status 1. */
static inline Outcome in_child(const std::function<void()> &body, int64_t limit = 60 * URGE_S)
{
	return Child(body).finish(limit);
}

/* A program below the build directory, with "NAME=value" added to its environment. */
static inline std::function<void()> program(const std::string &name,
					    const std::vector<std::string> &args = {},
					    const std::vector<std::string> &env = {})
{
	return [=] {
		const char *build = getenv("URGE_BUILD");
		std::string path = std::string(build ? build : "build") + "/" + name;
		std::vector<char *> argv = { (char *)path.c_str() };

		for (const std::string &arg : args)
			argv.push_back((char *)arg.c_str());
		argv.push_back(nullptr);
		for (const std::string &variable : env)
			putenv((char *)variable.c_str());
		execv(path.c_str(), argv.data());
		perror(path.c_str());
		_exit(127);
	};
}

/* A googletest assertion: child ended with this status, else everything it said is shown. */
#define EXPECT_EXITED(code, outcome)                                                               \
	do {                                                                                       \
		const Outcome &outcome_ = (outcome);                                               \
		EXPECT_TRUE(outcome_.exited(code)) << outcome_;                                    \
	} while (0)

/* That one of its outputs holds a text. */
#define EXPECT_SAYS(words, text) EXPECT_NE(std::string::npos, (text).find(words)) << (text)

/* urge_main with a C++ function. */
static inline int run_main(const std::function<int()> &body)
{
	return urge_main(
		[](void *arg) { return (*static_cast<const std::function<int()> *>(arg))(); },
		(void *)&body);
}

/* A goroutine with a C++ function; returns urge_go's result. */
static inline int go(std::function<void()> body, const struct urge_attr *attr = nullptr)
{
	auto *copy = new std::function<void()>(std::move(body));
	int err = urge_go_attr(
		attr,
		[](void *arg) {
			auto *fn = static_cast<std::function<void()> *>(arg);
			(*fn)();
			delete fn;
		},
		copy);

	if (err)
		delete copy;
	return err;
}

/* On a goroutine: sleeps until the condition holds; false when 30 s did not bring it. */
static inline bool eventually(const std::function<bool()> &condition, int64_t limit = 30 * URGE_S)
{
	int64_t deadline = urge_now() + limit;

	while (!condition()) {
		if (urge_now() > deadline)
			return false;
		if (urge_sleep(URGE_MS) == -EPERM)
			usleep(1000);
	}
	return true;
}

#endif
