/* SPDX-License-Identifier: MIT */
#include "kernelshim/elf_image.h"
#include "kernelshim/module.h"
#include "kernelshim/symtab.h"
#include "tests/unit/errno_kept.h"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <sys/auxv.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {

/* Without .type and .size, as much hand-written assembly is; then one with a label inside. */
void symtab_test_bare(void);
void symtab_test_bare_last(void);
void symtab_test_outer(void);
void symtab_test_label(void);
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl symtab_test_bare, symtab_test_bare_last, symtab_test_outer, symtab_test_label\n"
	".hidden symtab_test_bare, symtab_test_bare_last, symtab_test_outer, symtab_test_label\n"
	"symtab_test_bare:\n"
	"	nop\n	nop\n	nop\n	nop\n"
	"symtab_test_bare_last:\n"
	"	nop\n	nop\n	nop\n	nop\n"
	".type symtab_test_outer, %function\n"
	"symtab_test_outer:\n"
	"	nop\n	nop\n	nop\n	nop\n"
	"symtab_test_label:\n"
	"	nop\n	nop\n	nop\n	nop\n"
	".size symtab_test_outer, . - symtab_test_outer\n"
	".popsection\n");

__attribute__((visibility("hidden"), noinline)) int symtab_test_hidden(int x)
{
	__asm__ volatile("");
	return x + 1;
}

/* One address with three names. */
__attribute__((noinline)) int __symtab_test_alias(int x)
{
	__asm__ volatile("");
	return x + 2;
}
int symtab_test_alias(int x) __attribute__((nothrow, alias("__symtab_test_alias")));
int _symtab_test_alias(int x) __attribute__((nothrow, weak, alias("__symtab_test_alias")));

static int symtab_test_chosen(int x)
{
	__asm__ volatile("");
	return x + 3;
}

/* Runs in the loader, before a sanitizer is ready. */
__attribute__((no_sanitize("address", "thread"))) int (*symtab_test_resolver(void))(int)
{
	return symtab_test_chosen;
}
int symtab_test_ifunc(int x) __attribute__((ifunc("symtab_test_resolver")));

__attribute__((noinline)) static int symtab_test_static(int x)
{
	__asm__ volatile("");
	return x + 4;
}

} // extern "C"; a static function is mangled all the same by clang

namespace
{

class Symtab : public testing::Test
{
protected:
	static void SetUpTestSuite() { ASSERT_EQ(0, symtab_init()); }

	static struct symtab_symbol lookup(uintptr_t pc)
	{
		struct symtab_symbol symbol;
		ErrnoKept kept;

		const bool found = symtab_lookup(pc, &symbol);

		EXPECT_EQ(found, symbol.name[0] != '\0');
		return symbol;
	}

	template <typename T> static uintptr_t address(T *function) { return (uintptr_t)function; }
};

TEST_F(Symtab, NamesFunctionsOfEveryBinding)
{
	const struct symtab_symbol symbol = lookup(address(symtab_test_hidden) + 1);

	EXPECT_STREQ("symtab_test_hidden", symbol.name);
	EXPECT_EQ(1u, symbol.offset);
	EXPECT_STREQ(program_invocation_short_name, symbol.module);
	EXPECT_TRUE(strstr(lookup(address(symtab_test_static)).name, "symtab_test_static"));
}

TEST_F(Symtab, PrefersTheAliasThatProgrammersKnow)
{
	EXPECT_STREQ("symtab_test_alias", lookup(address(__symtab_test_alias)).name);
}

TEST_F(Symtab, NamesAnIfuncAndItsChoice)
{
	EXPECT_EQ(8, symtab_test_ifunc(5));
	EXPECT_TRUE(strstr(lookup(address(symtab_test_chosen)).name, "symtab_test_chosen"));
	EXPECT_STREQ("symtab_test_ifunc", lookup(address(symtab_test_resolver)).name);
}

TEST_F(Symtab, ASymbolWithoutSizeReachesToTheNext)
{
	const uintptr_t bare = address(symtab_test_bare);

	EXPECT_STREQ("symtab_test_bare", lookup(bare).name);
	EXPECT_STREQ("symtab_test_bare", lookup(address(symtab_test_bare_last) - 1).name);
	EXPECT_STREQ("symtab_test_bare_last", lookup(address(symtab_test_bare_last)).name);
	EXPECT_STREQ("symtab_test_bare_last", lookup(address(symtab_test_outer) - 1).name);
}

TEST_F(Symtab, ALabelDoesNotHideTheFunctionAroundIt)
{
	const struct symtab_symbol symbol = lookup(address(symtab_test_label) + 1);

	EXPECT_STREQ("symtab_test_outer", symbol.name);
	EXPECT_EQ(address(symtab_test_label) + 1 - address(symtab_test_outer), symbol.offset);
}

TEST_F(Symtab, KnowsNothingWhereNothingIsMapped)
{
	const struct symtab_symbol symbol = lookup(16);

	EXPECT_STREQ("", symbol.name);
	EXPECT_STREQ("", symbol.module);
	EXPECT_EQ(16u, symbol.offset);
}

/* A file read by the test itself, to ask for everything that is in it. */
class Image
{
public:
	explicit Image(const char *path) { EXPECT_EQ(0, elf_image_map(&image, path)); }
	~Image() { elf_image_unmap(&image); }

	std::vector<const Elf64_Sym *> sized_functions() const
	{
		std::vector<const Elf64_Sym *> found;

		for (uint32_t i = 0; i < image.nsymbols; i++) {
			const Elf64_Sym *symbol = &image.symbols[i];

			if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
			    symbol->st_shndx != SHN_UNDEF && symbol->st_size != 0)
				found.push_back(symbol);
		}
		return found;
	}

	bool has(const char *name, uint64_t start) const
	{
		for (uint32_t i = 0; i < image.nsymbols; i++) {
			if (image.symbols[i].st_value == start &&
			    strcmp(image.strings + image.symbols[i].st_name, name) == 0)
				return true;
		}
		return false;
	}

	struct elf_image image;
};

static void expect_every_function_named(const char *path, uintptr_t inside)
{
	Image file(path);
	struct module module;
	struct symtab_symbol symbol;
	const auto functions = file.sized_functions();

	ASSERT_TRUE(module_find(inside, &module));
	ASSERT_GT(functions.size(), 100u);
	for (size_t i = 0; i < functions.size(); i += 1 + functions.size() / 300) {
		const uint64_t address = functions[i]->st_value + functions[i]->st_size / 2;

		ASSERT_TRUE(symtab_lookup(module.bias + address, &symbol))
			<< file.image.strings + functions[i]->st_name;
		if (strlen(symbol.name) == sizeof(symbol.name) - 1)
			continue; /* cut */
		ASSERT_TRUE(file.has(symbol.name, address - symbol.offset)) << symbol.name;
	}
}

TEST_F(Symtab, NamesEveryFunctionOfTheProgram)
{
	expect_every_function_named("/proc/self/exe", address(symtab_test_hidden));
}

TEST_F(Symtab, NamesEveryExportedFunctionOfLibc)
{
	struct module module;

	const uintptr_t function = address(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));

	if (function == 0)
		GTEST_SKIP() << "static executable";
	ASSERT_TRUE(module_find(function, &module));
	expect_every_function_named(module.path, module.start);
	EXPECT_STREQ("gnu_get_libc_version", lookup(function).name);
	EXPECT_STREQ("libc.so.6", lookup(function).module);
}

TEST_F(Symtab, NamesFunctionsOfALibraryThatWasLoadedLater)
{
	void *library = dlopen("libresolv.so.2", RTLD_NOW);

	if (library == nullptr)
		GTEST_SKIP() << dlerror();
	const uintptr_t function = address(dlsym(library, "ns_parserr"));
	const struct symtab_symbol symbol = lookup(function + 1);

	EXPECT_STREQ("ns_parserr", symbol.name);
	EXPECT_EQ(1u, symbol.offset);
	EXPECT_STREQ("libresolv.so.2", symbol.module);
	dlclose(library);
}

TEST_F(Symtab, NamesTheVdso)
{
	const uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
	struct elf_image image;
	struct module module;
	unsigned named = 0;

	if (vdso == 0 || !module_find(vdso, &module))
		GTEST_SKIP() << "no vDSO";
	ASSERT_EQ(0, elf_image_parse(&image, (const void *)vdso,
				     (module.end - vdso + 4095) / 4096 * 4096));
	if (image.nsections == 0)
		GTEST_SKIP() << "a vDSO without section headers, as in Debian's kernels";
	for (uint32_t i = 0; i < image.nsymbols; i++) {
		if (ELF64_ST_TYPE(image.symbols[i].st_info) == STT_FUNC)
			named += lookup(module.bias + image.symbols[i].st_value).name[0] != '\0';
	}
	EXPECT_GT(named, 3u);
}

TEST_F(Symtab, RefusesAFileThatIsNotTheOneLoaded)
{
	struct module module;
	Image program("/proc/self/exe");

	module_program(&module);
	EXPECT_TRUE(elf_image_loaded_at(&program.image, (const void *)module.start));

	/* The same file but for one byte of its build id, as another build would have. */
	std::vector<uint8_t> other(program.image.bytes, program.image.bytes + program.image.size);
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)other.data();
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(other.data() + ehdr->e_phoff);
	struct elf_image image;

	for (unsigned i = 0; i < ehdr->e_phnum; i++) {
		if (segments[i].p_type == PT_NOTE)
			other[segments[i].p_offset + segments[i].p_filesz - 1] ^= 1;
	}
	ASSERT_EQ(0, elf_image_parse(&image, other.data(), other.size()));
	EXPECT_FALSE(elf_image_loaded_at(&image, (const void *)module.start));
}

TEST_F(Symtab, RefusesWhatIsNoElfFile)
{
	struct elf_image image;
	std::vector<char> text(4096, 'x');

	EXPECT_EQ(-ENOEXEC, elf_image_parse(&image, text.data(), text.size()));
	EXPECT_EQ(-ENOEXEC, elf_image_parse(&image, "\177ELF", 4));
	EXPECT_EQ(-ENOENT, elf_image_map(&image, "/nonexistent"));
	EXPECT_GT(0, elf_image_map(&image, "/dev/null"));
}

TEST_F(Symtab, ThreadsMayMeetAModuleAtOnce)
{
	void *library = dlopen("libm.so.6", RTLD_NOW);

	if (library == nullptr)
		GTEST_SKIP() << dlerror();
	const uintptr_t function = address(dlsym(library, "cbrt"));
	std::vector<std::thread> threads;

	for (int i = 0; i < 8; i++)
		threads.emplace_back([=] { EXPECT_STREQ("cbrt", lookup(function).name); });
	for (auto &thread : threads)
		thread.join();
	dlclose(library);
}

TEST_F(Symtab, WithoutDescriptorsModuleAndOffsetRemain)
{
	void *library = dlopen("libBrokenLocale.so.1", RTLD_NOW);
	std::vector<int> fds;
	int fd;

	if (library == nullptr)
		GTEST_SKIP() << dlerror();
	const uintptr_t function = address(dlsym(library, "__ctype_get_mb_cur_max"));

	while ((fd = dup(2)) >= 0)
		fds.push_back(fd);
	const struct symtab_symbol without = lookup(function);
	const struct symtab_symbol program = lookup(address(symtab_test_hidden));
	for (int open_fd : fds)
		close(open_fd);
	EXPECT_STREQ("", without.name);
	EXPECT_STREQ("libBrokenLocale.so.1", without.module);
	EXPECT_STREQ("symtab_test_hidden", program.name);
	EXPECT_STREQ("__ctype_get_mb_cur_max", lookup(function).name);
	dlclose(library);
}

} // namespace
