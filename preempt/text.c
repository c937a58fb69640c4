/* SPDX-License-Identifier: MIT */
/*
 * What of the program's text may be preempted by moving the goroutine: found out once, at boot.
 *
 * The main program's own text, if it is dynamically linked and keeps nothing per thread: no
 * thread-local variable but the runtime's, and no import of what reads per-thread values by other
 * means. A value loaded from such a place would move with its goroutine while the next one on the
 * old thread loads the same: a per-thread free list handed out twice. Nothing in the registers
 * shows that, so the whole program is refused.
 *
 * In a static program libc's text and its per-thread values are parts of the program, so nothing in
 * there is moved. But when the world ends, its loops have to be told from a malloc that holds a
 * lock. Linkers lay code out in the order of the objects: _start's, the program's, the mark below,
 * which comes with our archive, and libc. What lies between _start and the mark is the program's.
 * If malloc does too, the order is another and nothing is: goroutines end at their next call then.
 * What compilers split off as unlikely, theirs and libc's, lies before _start and counts as libc.
 *
 * The imports are read from the relocations: those are the symbols that the program uses, and no
 * hash table needs to be walked to count them.
 */
#define _GNU_SOURCE
#define URGE_KEEP_ERRNO
#include "preempt/safepoint.h"

#include "kernelshim/sigframe.h"
#include "sched/lock.h"
#include "sched/proc.h"
#include "sched/tls.h"
#include "sched/urge.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

struct preemptible_text text;

/* Functions whose results belong to the calling thread. */
static const char *const thread_bound_imports[] = {
	"pthread_getspecific", "tss_get", "__tls_get_addr", "gettid", "__cxa_thread_atexit",
};

enum {
	SIGNAL_FRAME_SLACK = 4096, /* what gopreempt's own frames take, generously */
	STRUCT_PTHREAD = 4096,     /* above the thread pointer: glibc's struct pthread, 2.3 KiB */
	TLS_MARGIN = 4096,         /* static TLS that a later dlopen takes lies within this */
};

static bool is_thread_bound(const char *name)
{
	for (unsigned i = 0; i < sizeof(thread_bound_imports) / sizeof(char *); i++)
		if (!strcmp(name, thread_bound_imports[i]))
			return true;
	return false;
}

struct relocs {
	const ElfW(Sym) * symtab;
	const char *strtab;
};

/* Uses the program, through one of these relocations, anything of a thread's? */
static bool relocs_thread_bound(const struct relocs *r, const ElfW(Rela) * rela, size_t bytes)
{
	for (size_t i = 0; rela && i < bytes / sizeof(*rela); i++) {
		const ElfW(Sym) *sym = &r->symtab[ELF64_R_SYM(rela[i].r_info)];
		const char *name = r->strtab + sym->st_name;

		if (ELF64_R_SYM(rela[i].r_info) == 0 || sym->st_shndx != SHN_UNDEF)
			continue;
		if (ELF64_ST_TYPE(sym->st_info) == STT_TLS || is_thread_bound(name))
			return true;
	}
	return false;
}

static bool imports_thread_bound(const ElfW(Dyn) * dyn)
{
	struct relocs r = { NULL, NULL };
	const ElfW(Rela) *rela = NULL, *jmprel = NULL;
	size_t relasz = 0, pltrelsz = 0;

	for (; dyn->d_tag != DT_NULL; dyn++) /* ld.so has relocated the addresses */
		switch (dyn->d_tag) {
		case DT_SYMTAB:
			r.symtab = (const void *)dyn->d_un.d_ptr;
			break;
		case DT_STRTAB:
			r.strtab = (const void *)dyn->d_un.d_ptr;
			break;
		case DT_RELA:
			rela = (const void *)dyn->d_un.d_ptr;
			break;
		case DT_RELASZ:
			relasz = dyn->d_un.d_val;
			break;
		case DT_JMPREL:
			jmprel = (const void *)dyn->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			pltrelsz = dyn->d_un.d_val;
			break;
		default:
			break;
		}
	if (!r.symtab || !r.strtab)
		return true;
	return relocs_thread_bound(&r, rela, relasz) || relocs_thread_bound(&r, jmprel, pltrelsz);
}

/* The mark: see sched/liburge.lds. */
__attribute__((section("urge_mark"))) noinline static void mark(void) {}

static struct text_range static_program_text(void)
{
	struct text_range own = { getauxval(AT_ENTRY), (uintptr_t)mark };

	if (own.hi <= own.lo || (uintptr_t)malloc - own.lo < own.hi - own.lo)
		own.hi = own.lo;
	return own;
}

/* dl_iterate_phdr gives the main program first. */
static int inspect_program(struct dl_phdr_info *info, size_t size, void *unused)
{
	const ElfW(Dyn) *dynamic = NULL;
	bool interp = false, own_tls = false;

	(void)size, (void)unused;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && ph->p_flags & PF_X && text.n < TEXT_RANGES_MAX)
			text.range[text.n++] = (struct text_range){ lo, lo + ph->p_memsz };
		else if (ph->p_type == PT_DYNAMIC)
			dynamic = (const void *)lo;
		else if (ph->p_type == PT_INTERP)
			interp = true;
		else if (ph->p_type == PT_TLS && ph->p_memsz > 0)
			own_tls = ph->p_memsz != urge_tls_size() ||
				  info->dlpi_tls_data != urge_tls_address();
	}
	if (!interp) {
		text.range[0] = static_program_text();
		text.n = 1;
	}
	text.movable = interp && dynamic && !own_tls && !imports_thread_bound(dynamic);
	return 1;
}

int text_init(void)
{
	text.n = 0;
	dl_iterate_phdr(inspect_program, NULL);
	text.shadow_stack = sigframe_shadow_stack();
	text.headroom = SIGFRAME_REDZONE + 256 + sigframe_xstate_size() + SIGNAL_FRAME_SLACK;
	return 0;
}

struct bounds {
	uintptr_t thread_pointer, lo;
};

static int lowest_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct bounds *b = arg;
	uintptr_t data = (uintptr_t)info->dlpi_tls_data;

	(void)size;
	/* static blocks lie right below the thread pointer; later ones are elsewhere */
	if (data && b->thread_pointer - data < 1 << 20 && data < b->lo)
		b->lo = data;
	return 0;
}

void text_thread_bounds(uintptr_t *lo, uintptr_t *hi)
{
	uintptr_t tp = (uintptr_t)__builtin_thread_pointer();
	struct bounds b = { tp, tp };

	dl_iterate_phdr(lowest_tls, &b);
	*lo = b.lo - TLS_MARGIN;
	*hi = tp + STRUCT_PTHREAD + TLS_MARGIN;
}

/* ---- urge_preempt_text --------------------------------------------------------------------- */

static struct mutex text_lock = MUTEX_INIT(RANK_TEXT);

void text_after_fork(void)
{
	mutex_init(&text_lock, RANK_TEXT);
}

/* What dl_iterate_phdr finds of the module that holds addr. */
struct module_text {
	uintptr_t addr;
	bool program;                             /* it is the main one */
	bool seen_program;                        /* that comes first */
	struct text_range range[TEXT_RANGES_MAX]; /* its executable segments */
	unsigned n;                               /* 0: no module has this address in its code */
};

static int find_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module_text *m = arg;
	bool holds = false;

	(void)size;
	m->program = !m->seen_program;
	m->seen_program = true;
	m->n = 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X) || m->n == TEXT_RANGES_MAX)
			continue;
		m->range[m->n++] = (struct text_range){ lo, lo + ph->p_memsz };
		holds = holds || m->addr - lo < ph->p_memsz;
	}
	if (!holds)
		m->n = 0;
	return holds;
}

static int append(struct text_range range)
{
	assert_held(&text_lock);
	if (text.n == TEXT_RANGES_MAX)
		return -ENOSPC;
	text.range[text.n] = range;
	__atomic_store_n(&text.n, text.n + 1, __ATOMIC_RELEASE); /* pairs with in_program_text */
	return 0;
}

static int set_library(const struct module_text *m, bool on)
{
	int err = 0;

	assert_held(&text_lock);
	for (unsigned i = 0; i < m->n && !err; i++) {
		uintptr_t lo = m->range[i].lo, hi = on ? m->range[i].hi : lo;
		unsigned known = 0;

		while (known < text.n && text.range[known].lo != lo)
			known++;
		if (known < text.n)
			__atomic_store_n(&text.range[known].hi, hi, __ATOMIC_RELAXED);
		else if (on)
			err = append(m->range[i]);
	}
	return err;
}

int urge_preempt_text(const void *addr, bool on)
{
	struct module_text m = { .addr = (uintptr_t)addr };
	const struct m *mp;
	int err = 0;

	if (!load_acq_u32(&sched.running)) /* pairs with boot's store_rel */
		return -EPERM;
	dl_iterate_phdr(find_module, &m); /* takes the loader's lock: not in the runtime */
	if (m.n == 0)
		return -EINVAL;
	mp = enter();
	lock(&text_lock);
	if (m.program)
		__atomic_store_n(&text.movable, on, __ATOMIC_RELAXED);
	else
		err = set_library(&m, on);
	unlock(&text_lock);
	if (mp)
		leave();
	return err;
}
