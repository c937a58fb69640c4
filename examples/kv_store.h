/* SPDX-License-Identifier: MIT */
/*
 * The key-value server's table: shards, each with a lock of its own and a chained hash table that
 * doubles when it is full. A value is shared and never changed, so that who sends it to a slow
 * peer holds no lock and needs no copy. What has expired is removed when it is met, and by a sweep.
 */
#ifndef URGE_EXAMPLES_KV_STORE_H
#define URGE_EXAMPLES_KV_STORE_H

#include <stdlib.h>
#include <string.h>
#include <urge.h>

enum { SHARDS = 256, BUCKETS_FIRST = 16 };

struct value {
	uint32_t users;
	size_t size;
	char data[];
};

struct entry {
	struct entry *next;
	uint64_t hash;
	struct value *value;
	int64_t expires; /* urge_now's clock; URGE_FOREVER: never */
	size_t size;
	char key[];
};

struct shard {
	urge_mutex lock;
	struct entry **buckets; /* lock, as all below */
	size_t nbuckets, n;
	uint64_t expiring; /* entries that have been given a time, at least */
};

static struct shard shards[SHARDS];

/* ---- values -------------------------------------------------------------------------------- */

static struct value *value_new(const char *data, size_t size)
{
	struct value *v = malloc(sizeof(*v) + size);

	if (v) {
		v->users = 1;
		v->size = size;
		memcpy(v->data, data, size);
	}
	return v;
}

static struct value *value_ref(struct value *v)
{
	__atomic_add_fetch(&v->users, 1, __ATOMIC_RELAXED);
	return v;
}

static void value_release(struct value *v)
{
	if (v && __atomic_sub_fetch(&v->users, 1, __ATOMIC_ACQ_REL) == 0)
		free(v);
}

/* ---- the table ----------------------------------------------------------------------------- */

static uint64_t hash_of(const char *key, size_t size)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

/* Locks the shard of a key. */
static struct shard *shard_lock(uint64_t hash)
{
	struct shard *s = &shards[hash % SHARDS];

	urge_mutex_lock(&s->lock);
	return s;
}

static void remove_at(struct shard *s, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	value_release(e->value);
	free(e);
	s->n--;
}

static struct entry **bucket_of(struct shard *s, uint64_t hash)
{
	return &s->buckets[hash / SHARDS % s->nbuckets];
}

/* Where the key's entry hangs, if it has not expired; NULL. Under the lock. */
static struct entry **find(struct shard *s, uint64_t hash, const char *key, size_t size)
{
	struct entry **at;

	if (!s->buckets)
		return NULL;
	for (at = bucket_of(s, hash); *at; at = &(*at)->next) {
		struct entry *e = *at;

		if (e->hash != hash || e->size != size || memcmp(e->key, key, size) != 0)
			continue;
		if (e->expires == URGE_FOREVER || e->expires > urge_now())
			return at;
		remove_at(s, at);
		return NULL;
	}
	return NULL;
}

static int grow(struct shard *s)
{
	size_t n = s->nbuckets ? 2 * s->nbuckets : BUCKETS_FIRST, old = s->nbuckets;
	struct entry **former = s->buckets, **buckets = calloc(n, sizeof(struct entry *));

	if (!buckets)
		return former ? 0 : -ENOMEM; /* longer chains do */
	s->buckets = buckets;
	s->nbuckets = n;
	for (size_t i = 0; i < old; i++)
		for (struct entry *e = former[i], *next; e; e = next) {
			struct entry **at = bucket_of(s, e->hash);

			next = e->next;
			e->next = *at;
			*at = e;
		}
	free(former);
	return 0;
}

/* Gives the key this value, which becomes the table's, and this time. Under the lock. 0, -ENOMEM. */
static int put(struct shard *s, uint64_t hash, const char *key, size_t size, struct value *v,
	       int64_t expires)
{
	struct entry **at = find(s, hash, key, size), *e;

	if (at) {
		value_release((*at)->value);
		(*at)->value = v;
		(*at)->expires = expires;
	} else {
		e = malloc(sizeof(*e) + size);
		if (!e || (s->n >= s->nbuckets && grow(s) != 0)) {
			free(e);
			value_release(v);
			return -ENOMEM;
		}
		at = bucket_of(s, hash);
		*e = (struct entry){ *at, hash, v, expires, size };
		memcpy(e->key, key, size);
		*at = e;
		s->n++;
	}
	s->expiring += expires != URGE_FOREVER;
	return 0;
}

/* Removes what has expired: a look at each entry of the shards that have such. */
static void sweep(void)
{
	for (struct shard *s = shards; s < shards + SHARDS; s++) {
		int64_t now = urge_now();

		urge_mutex_lock(&s->lock);
		if (s->expiring > 0) {
			s->expiring = 0;
			for (size_t i = 0; i < s->nbuckets; i++)
				for (struct entry **at = &s->buckets[i]; *at;) {
					if ((*at)->expires <= now) {
						remove_at(s, at);
						continue;
					}
					s->expiring += (*at)->expires != URGE_FOREVER;
					at = &(*at)->next;
				}
		}
		urge_mutex_unlock(&s->lock);
	}
}

static size_t count_keys(void)
{
	size_t n = 0;

	for (struct shard *s = shards; s < shards + SHARDS; s++) {
		urge_mutex_lock(&s->lock);
		n += s->n;
		urge_mutex_unlock(&s->lock);
	}
	return n;
}

static void remove_all(void)
{
	for (struct shard *s = shards; s < shards + SHARDS; s++) {
		urge_mutex_lock(&s->lock);
		for (size_t i = 0; i < s->nbuckets; i++)
			while (s->buckets[i])
				remove_at(s, &s->buckets[i]);
		urge_mutex_unlock(&s->lock);
	}
}

#endif
