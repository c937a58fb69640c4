/* SPDX-License-Identifier: MIT */
/*
 * Real libraries in goroutines that are preempted every 100 us: zlib, SQLite, OpenSSL's digests,
 * Lua, PCRE2. They are loaded if they are installed; no headers are needed, so the few functions
 * that are called are declared here. What each computes is what it computes in a plain run.
 */
#include "tests/programs/kinds.h"

#include <dlfcn.h>

/* A function of a library: declared with its type, found by its name. */
#define FUNCTION(result, name, ...) static result (*name)(__VA_ARGS__)
#define FIND(library, name) ((*(void **)&(name) = dlsym(library, #name)) != NULL)

/* Text that can be compressed, the same for the same n. */
static size_t make_text(char *text, size_t size, uint64_t n)
{
	uint64_t random = n * 2 + 1;
	size_t length = 0;

	while (length + 24 < size)
		length += (size_t)snprintf(text + length, size - length, "%llu urge %llu\n",
					   (unsigned long long)(random_next(&random) % 100),
					   (unsigned long long)n);
	return length;
}

/* ---- zlib ---------------------------------------------------------------------------------- */

FUNCTION(int, compress2, unsigned char *, unsigned long *, const void *, unsigned long, int);
FUNCTION(int, uncompress, void *, unsigned long *, const unsigned char *, unsigned long);
FUNCTION(unsigned long, crc32, unsigned long, const void *, unsigned);

static bool load_zlib(void)
{
	void *library = dlopen("libz.so.1", RTLD_NOW);

	return library && FIND(library, compress2) && FIND(library, uncompress) &&
	       FIND(library, crc32);
}

static uint64_t turn_zlib(uint64_t n)
{
	char text[6000], back[6000];
	unsigned char packed[8000];
	unsigned long packed_size = sizeof(packed), back_size = sizeof(back);
	size_t length = make_text(text, sizeof(text), n);

	CHECK(compress2(packed, &packed_size, text, length, 9) == 0, "");
	CHECK(uncompress(back, &back_size, packed, packed_size) == 0, "");
	CHECK(back_size == length && !memcmp(text, back, length), "%d", (int)n);
	return mix(mix_bytes(n, packed, packed_size), crc32(0, back, (unsigned)back_size));
}

/* ---- SQLite -------------------------------------------------------------------------------- */

FUNCTION(int, sqlite3_open, const char *, void **);
FUNCTION(int, sqlite3_exec, void *, const char *, int (*)(void *, int, char **, char **), void *,
	 char **);
FUNCTION(int, sqlite3_close, void *);

static bool load_sqlite(void)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW);

	return library && FIND(library, sqlite3_open) && FIND(library, sqlite3_exec) &&
	       FIND(library, sqlite3_close);
}

/* Called out of SQLite. */
static int add_row(void *sum, int columns, char **values, char **names)
{
	(void)names;
	for (int i = 0; i < columns; i++)
		*(uint64_t *)sum = mix_bytes(*(uint64_t *)sum, values[i], strlen(values[i]));
	return 0;
}

static uint64_t turn_sqlite(uint64_t n)
{
	static const char select[] = "SELECT b, count(*), sum(a) FROM t GROUP BY a % 17 ORDER BY b";
	uint64_t sum = n;
	char insert[200];
	void *db;
	int err;

	snprintf(insert, sizeof(insert),
		 "CREATE TABLE t (a INTEGER, b TEXT); WITH RECURSIVE c(x) AS (VALUES(%d) UNION ALL "
		 "SELECT x * 7 %% 1009 FROM c LIMIT 200) INSERT INTO t SELECT x, hex(x) FROM c",
		 (int)n + 1);
	err = sqlite3_open(":memory:", &db);
	CHECK(err == 0, "open: %d", err);
	err = sqlite3_exec(db, insert, NULL, NULL, NULL);
	CHECK(err == 0, "insert: %d", err);
	err = sqlite3_exec(db, select, add_row, &sum, NULL);
	CHECK(err == 0, "select: %d", err);
	err = sqlite3_close(db);
	CHECK(err == 0, "close: %d", err);
	return sum;
}

/* ---- OpenSSL ------------------------------------------------------------------------------- */

FUNCTION(unsigned char *, SHA256, const void *, size_t, unsigned char *);
FUNCTION(unsigned char *, SHA512, const void *, size_t, unsigned char *);

static bool load_openssl(void)
{
	void *library = dlopen("libcrypto.so.3", RTLD_NOW);

	return library && FIND(library, SHA256) && FIND(library, SHA512);
}

static uint64_t turn_openssl(uint64_t n)
{
	unsigned char digest[64];
	char text[3000];
	size_t length = make_text(text, sizeof(text), n);
	uint64_t sum = n;

	SHA256(text, length, digest);
	sum = mix_bytes(sum, digest, 32);
	SHA512(text, length, digest);
	return mix_bytes(sum, digest, 64);
}

/* ---- Lua ----------------------------------------------------------------------------------- */

FUNCTION(void *, luaL_newstate, void);
FUNCTION(void, luaL_openlibs, void *);
FUNCTION(int, luaL_loadstring, void *, const char *);
FUNCTION(int, lua_pcallk, void *, int, int, int, intptr_t, void *);
FUNCTION(void, lua_pushinteger, void *, long long);
FUNCTION(const char *, lua_tolstring, void *, int, size_t *);
FUNCTION(void, lua_close, void *);

static bool load_lua(void)
{
	void *library = dlopen("liblua5.4.so.0", RTLD_NOW);

	return library && FIND(library, luaL_newstate) && FIND(library, luaL_openlibs) &&
	       FIND(library, luaL_loadstring) && FIND(library, lua_pcallk) &&
	       FIND(library, lua_pushinteger) && FIND(library, lua_tolstring) &&
	       FIND(library, lua_close);
}

static uint64_t turn_lua(uint64_t n)
{
	static const char program[] =
		"local n, t = ..., {} "
		"for i = 1, 60 do t[i] = (i * 7919 + n) % 1000 .. '' end "
		"table.sort(t) "
		"local ok = pcall(error, 'thrown') "
		"return table.concat(t, ',') .. tostring(ok) .. ('%.14g'):format(n / 7)";
	void *state = luaL_newstate();
	const char *text;
	uint64_t sum = n;
	size_t length;

	luaL_openlibs(state);
	CHECK(luaL_loadstring(state, program) == 0, "");
	lua_pushinteger(state, (long long)n);
	CHECK(lua_pcallk(state, 1, 1, 0, 0, NULL) == 0, "");
	text = lua_tolstring(state, -1, &length);
	if (text)
		sum = mix_bytes(sum, text, length);
	lua_close(state);
	return sum;
}

/* ---- PCRE2 --------------------------------------------------------------------------------- */

FUNCTION(void *, pcre2_compile_8, const char *, size_t, uint32_t, int *, size_t *, void *);
FUNCTION(void *, pcre2_match_data_create_from_pattern_8, void *, void *);
FUNCTION(int, pcre2_match_8, void *, const char *, size_t, size_t, uint32_t, void *, void *);
FUNCTION(size_t *, pcre2_get_ovector_pointer_8, void *);
FUNCTION(void, pcre2_match_data_free_8, void *);
FUNCTION(void, pcre2_code_free_8, void *);

static bool load_pcre2(void)
{
	void *library = dlopen("libpcre2-8.so.0", RTLD_NOW);

	return library && FIND(library, pcre2_compile_8) &&
	       FIND(library, pcre2_match_data_create_from_pattern_8) &&
	       FIND(library, pcre2_match_8) && FIND(library, pcre2_get_ovector_pointer_8) &&
	       FIND(library, pcre2_match_data_free_8) && FIND(library, pcre2_code_free_8);
}

static uint64_t turn_pcre2(uint64_t n)
{
	static const char pattern[] = "(\\d+) (u(?:r|x)ge)\\s+(?=\\d)";
	char text[2000];
	size_t length = make_text(text, sizeof(text), n), at = 0, where;
	uint64_t sum = n;
	int error;
	void *code = pcre2_compile_8(pattern, sizeof(pattern) - 1, 0, &error, &where, NULL);
	void *match = pcre2_match_data_create_from_pattern_8(code, NULL);

	while (pcre2_match_8(code, text, length, at, 0, match, NULL) > 0) {
		const size_t *found = pcre2_get_ovector_pointer_8(match);

		sum = mix(mix(sum, found[0]), found[3]);
		at = found[1];
	}
	CHECK(at > 0, "nothing matches");
	pcre2_match_data_free_8(match);
	pcre2_code_free_8(code);
	return sum;
}

/* -------------------------------------------------------------------------------------------- */

int main(void)
{
	static const struct {
		struct kind kind;
		bool (*load)(void);
		const char *package;
	} all[] = {
		{ { "zlib", turn_zlib, 0 }, load_zlib, "zlib1g" },
		{ { "SQLite", turn_sqlite, 0 }, load_sqlite, "libsqlite3-0" },
		{ { "OpenSSL", turn_openssl, 0 }, load_openssl, "libssl3" },
		{ { "Lua", turn_lua, 0 }, load_lua, "liblua5.4-0" },
		{ { "PCRE2", turn_pcre2, 0 }, load_pcre2, "libpcre2-8-0" },
	};
	static struct kind table[KINDS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].load())
			table[n++] = all[i].kind;
		else
			printf("skipped: %s (%s is not installed)\n", all[i].kind.name,
			       all[i].package);
	if (n == 0)
		return SKIPPED;
	return run_kinds(table, n);
}
