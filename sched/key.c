/* SPDX-License-Identifier: MIT */
/*
 * Goroutine-local storage: what pthread_setspecific is to a thread.
 *
 * A goroutine that sets a value gets a table with room for all keys, which malloc gives and its end
 * frees; the others pay one pointer at the top of their stack. Keys are never deleted, as with
 * threads in practice: who creates one does so once, for the life of the process.
 *
 * The table is its goroutine's alone, so nothing here needs a lock but the creation of keys. The
 * goroutine is asked for by functions in urge_text, where nobody is moved to another thread between
 * two loads; the destructors, which may run for long, are called from urge_entry.
 */
#define URGE_KEEP_ERRNO
#include "sched/key.h"

#include "sched/proc.h"
#include "sched/urge.h"

#include <errno.h>
#include <stdlib.h>

enum { DESTRUCTOR_ROUNDS = 4 }; /* POSIX's for threads */

typedef void (*destructor)(void *);

static struct atomic_u32 nkeys;
static struct atomic_ptr destructors[URGE_KEYS_MAX];

int urge_key_create(urge_key *key, void (*dtor)(void *))
{
	uint32_t n;

	if (!key)
		return -EINVAL;
	do {
		n = load_rlx_u32(&nkeys);
		if (n >= URGE_KEYS_MAX)
			return -EAGAIN;
	} while (!cas_u32(&nkeys, n, n + 1));
	/* nobody has a value under the key before this function has returned it */
	store_rlx_ptr(&destructors[n], (void *)dtor);
	*key = n;
	return 0;
}

/* The calling goroutine's slot for its table; NULL on other threads. */
noinline static void ***own_table(void)
{
	const struct m *mp = getm();

	return mp && mp->curg ? &mp->curg->top->keys : NULL;
}

int urge_setspecific(urge_key key, void *value)
{
	void ***table = own_table();

	if (!table)
		return -EPERM;
	if (key >= load_rlx_u32(&nkeys))
		return -EINVAL;
	if (!*table) {
		if (!value)
			return 0;
		/* outside the runtime: malloc's lock may be held by a goroutine that does not run */
		*table = calloc(URGE_KEYS_MAX, sizeof(void *));
		if (!*table)
			return -ENOMEM;
	}
	(*table)[key] = value;
	return 0;
}

void *urge_getspecific(urge_key key)
{
	void ***table = own_table();

	return table && *table && key < URGE_KEYS_MAX ? (*table)[key] : NULL;
}

/* A value that is to be destroyed, taken out of the table; NULL: none is left. */
noinline static void *take_value(void **values, destructor *dtor)
{
	uint32_t n = load_rlx_u32(&nkeys);

	for (uint32_t key = 0; key < n; key++) {
		void *value = values[key];

		*dtor = (destructor)load_rlx_ptr(&destructors[key]);
		values[key] = NULL;
		if (value && *dtor)
			return value;
	}
	return NULL;
}

/* The user's destructors may set values again: after some rounds these are forgotten. */
noinline static void forget_table(void ***table)
{
	void **values = *table;

	*table = NULL;
	free(values);
}

in_urge_entry void keys_destroy(void)
{
	void ***table = own_table();

	if (!table || !*table)
		return;
	for (int n = 0; n < DESTRUCTOR_ROUNDS * URGE_KEYS_MAX; n++) {
		destructor dtor;
		void *value = take_value(*table, &dtor);

		if (!value)
			break;
		dtor(value);
	}
	forget_table(table);
}
