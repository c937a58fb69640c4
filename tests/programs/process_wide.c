/* SPDX-License-Identifier: MIT */
/*
 * Calls that act on the whole process, or reach every thread of it, from goroutines while others
 * are preempted every 50 us, some of them parked in the signal handler.
 *
 * Run with the name of one: see calls. PLUGIN is the path of tools/plugin.c as a shared library,
 * for those of the loader.
 */
#define _GNU_SOURCE
#include "tests/programs/load.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

extern char **environ;

enum { CALLERS = 3 };

static urge_waitgroup callers;

/* fn in CALLERS goroutines at once. */
static void in_each(urge_fn fn)
{
	for (uintptr_t i = 0; i < CALLERS; i++)
		spawn(&callers, fn, (void *)i);
	urge_waitgroup_wait(&callers);
}

/* ---- programs ------------------------------------------------------------------------------- */

static void ends_with(pid_t pid, int expected)
{
	int fd = pidfd_open(pid, 0), status = -1;

	CHECK(fd >= 0, "");
	CHECK(urge_fd_wait(fd, POLLIN, URGE_FOREVER) >= 0, "");
	urge_close(fd);
	CHECK(waitpid(pid, &status, WNOHANG) == pid, "");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected, "0x%x", (unsigned)status);
}

static void spawn_some(void *unused)
{
	char *argv[] = { "sh", "-c", "exit 5", NULL };

	(void)unused;
	for (int i = 0; i < 30; i++) {
		pid_t pid = -1;
		int err = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);

		CHECK(err == 0, "%d", err);
		if (!err)
			ends_with(pid, 5);
	}
	urge_waitgroup_done(&callers);
}

/* In a function of its own, which has nothing that the child could change. */
__attribute__((noinline)) static pid_t vfork_and_exec(void)
{
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
		_exit(1);
	}
	return pid;
}

static void vfork_some(void *unused)
{
	(void)unused;
	for (int i = 0; i < 30; i++) {
		pid_t pid = vfork_and_exec();

		CHECK(pid > 0, "");
		if (pid > 0)
			ends_with(pid, 6);
	}
	urge_waitgroup_done(&callers);
}

static void programs(void)
{
	in_each(spawn_some);
	in_each(vfork_some);
}

/* ---- ids: libc signals every thread, and waits for all ----------------------------------------- */

static void set_same(void *unused)
{
	(void)unused;
	for (int i = 0; i < 60; i++)
		CHECK(setresuid((uid_t)-1, geteuid(), (uid_t)-1) == 0, "");
	urge_waitgroup_done(&callers);
}

/* How many threads of this process have the effective user id, or another one. */
static void count_threads(uid_t uid, int *same, int *other)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;

	*same = *other = 0;
	while (tasks && (task = readdir(tasks)) != NULL) {
		char path[300], line[200];
		unsigned real, effective;
		FILE *status;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		status = fopen(path, "r");
		while (status && fgets(line, sizeof(line), status))
			if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
				++*(effective == uid ? same : other);
		if (status)
			fclose(status);
	}
	if (tasks)
		closedir(tasks);
}

static void ids(void)
{
	struct urge_stats before, now;
	int same, other;

	urge_stats_read(&before);
	in_each(set_same);
	urge_stats_read(&now);
	printf("180 calls, %llu threads parked meanwhile\n",
	       (unsigned long long)(now.preempt_parked - before.preempt_parked));
	if (geteuid() != 0) {
		printf("not root: the ids stay the same\n");
		return;
	}
	CHECK(seteuid(65534) == 0, "");
	for (;;) { /* libc leaves out those that are about to end, which then do */
		count_threads(65534, &same, &other);
		if (other == 0)
			break;
		urge_sleep(URGE_MS);
	}
	CHECK(same > 3, "%d threads", same);
	in_each(set_same); /* and the state of threads can no longer be read */
	CHECK(seteuid(0) == 0, "");
}

/* ---- the loader ----------------------------------------------------------------------------- */

static uint64_t called_back;

static uint64_t call_back(uint64_t n)
{
	for (volatile int i = 0; i < 20000; i++)
		;
	ADD(called_back, 1);
	return n + 1;
}

/* Loads, computes in there, is called back from there, and unloads. */
static void load_and_unload(void *arg)
{
	for (uint64_t i = 0; i < 150; i++) {
		void *plugin = dlopen(getenv("PLUGIN"), RTLD_NOW | RTLD_LOCAL);
		uint64_t (*plugin_sum)(uint64_t, uint64_t(*)(uint64_t));

		if (!plugin) {
			fail("dlopen: %s", dlerror());
			break;
		}
		*(void **)&plugin_sum = dlsym(plugin, "plugin_sum");
		if (arg) /* it may be moved while it is in there */
			CHECK(urge_preempt_text((const void *)(uintptr_t)plugin_sum, true) == 0,
			      "");
		CHECK(plugin_sum(i, call_back) == 50000 + i + 1, "");
		if (arg)
			CHECK(urge_preempt_text((const void *)(uintptr_t)plugin_sum, false) == 0,
			      "");
		dlclose(plugin);
	}
	urge_waitgroup_done(&callers);
}

/* Backtraces meanwhile: of goroutines in what is being unloaded. */
static void dump_some(void *unused)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)unused;
	for (int i = 0; i < 20; i++) {
		urge_stop_the_world("dump");
		urge_dump(null);
		urge_start_the_world();
		urge_sleep(5 * URGE_MS);
	}
	close(null);
	urge_waitgroup_done(&callers);
}

static void loader(void)
{
	CHECK(getenv("PLUGIN"), "no path");
	spawn(&callers, dump_some, NULL);
	in_each(load_and_unload);
	CHECK(called_back > 0, "");
}

/* ---- cancellation --------------------------------------------------------------------------- */

/* Asks for its own thread's end, and comes to points where that would happen. */
static void cancel_me(void *unused)
{
	(void)unused;
	for (int i = 0; i < 50; i++) {
		pthread_cancel(pthread_self());
		doze(20 * URGE_US);
		pthread_testcancel();
		urge_yield();
	}
	urge_waitgroup_done(&callers);
}

static void cancellation(void)
{
	in_each(cancel_me);
}

/* ---- all ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*fn)(void);
} calls[] = {
	{ "programs", programs },
	{ "ids", ids },
	{ "loader", loader },
	{ "cancellation", cancellation },
};

static int start(void *call)
{
	load_begin();
	(*(void (**)(void))call)();
	load_end();
	return 0;
}

static bool came_back;

/* It was asked to end meanwhile, perhaps, and does so when it is a thread of the program's again. */
static void *run_cancelled(void *call)
{
	CHECK(urge_main(start, call) == 0, "");
	came_back = true;
	pthread_cancel(pthread_self());
	pthread_testcancel();
	fail("it can no longer be cancelled");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *result;

	begin(200);
	for (unsigned i = 0; argc > 1 && i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(argv[1], calls[i].name)) {
			CHECK(pthread_create(&thread, NULL, run_cancelled, (void *)&calls[i].fn) ==
				      0,
			      "");
			pthread_join(thread, &result);
			CHECK(came_back, "it ended inside urge_main");
			CHECK(result == PTHREAD_CANCELED, "");
			return finish();
		}
	printf("no such call\n");
	return 1;
}
