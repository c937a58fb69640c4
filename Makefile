# SPDX-License-Identifier: MIT
#
# `make help` lists the goals. Everything is built under build/, nothing beside the sources.
#
# How the library is put together, and why:
#
#   *.o --ld -r--> liburge.o --objcopy--> liburge-public.o --ar--> liburge.a
#                      |----------------------------------- gcc -shared --> liburge.so.0
#                      `----------------------------------- ar -----------> liburge-internal.a
#
# liburge.lds gathers all code in one section, urge_text, so that the signal handler can tell the
# runtime from user code by two addresses, in the shared library and in a program that has the
# archive in it. objcopy makes hidden symbols local: an archive of plain objects would let every
# internal name clash with the program's. Tests of internals link the archive that still has them.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all
MAKEFLAGS += -rR --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
unexport CDPATH

ifneq ($(word 2,$(MAKECMDGOALS)),)

# Goals given together run one after the other, each with all jobs: `make clean all`.
.PHONY: $(MAKECMDGOALS) one-by-one
$(MAKECMDGOALS): one-by-one ; @:
one-by-one: ; @set -e; for goal in $(MAKECMDGOALS); do $(MAKE) $$goal; done

else

# ---- what may be given on the command line -------------------------------------------------------

LD := ld
AR := ar
OBJCOPY := objcopy
PYTHON := /usr/bin/python3
CFLAGS ?= -O2 -g
# C++ is only in the tests, and compiling them is most of a build: -O2 takes twice as long.
CXXFLAGS ?= -O1 -g1
LDFLAGS ?=
PREFIX ?= /usr/local
RUN_FLAGS ?=
BENCH_FLAGS ?=
TESTS ?=

# DEFCONFIG=asan is short for CONFIG=tests/configs/asan.config; each has a build directory.
ifdef DEFCONFIG
CONFIG ?= tests/configs/$(DEFCONFIG).config
endif
ifneq ($(CONFIG),$(wildcard $(CONFIG)))
$(error no such configuration: $(CONFIG); there are: $(notdir $(wildcard tests/configs/*.config)))
endif
BUILD ?= build$(if $(CONFIG),/$(basename $(notdir $(CONFIG))))
# What `make test` covers beside the configuration that is chosen, or the default one.
TEST_CONFIGS ?=

# ---- configuration -------------------------------------------------------------------------------

AUTO_CONF := $(BUILD)/include/auto.conf
KCONFIG_TOOL := $(PYTHON) .ci/kconfig

without-config := help clean deps deps-% menuconfig olddefconfig savedefconfig uninstall test-arm64 \
	format check-format check-includes check-shell
ifneq ($(filter-out $(without-config),$(or $(MAKECMDGOALS),all)),)
include $(AUTO_CONF)
endif

$(AUTO_CONF): $(BUILD)/.config Kconfig .ci/kconfig | deps-run
	@$(KCONFIG_TOOL) generate $(BUILD)

$(BUILD)/.config: $(CONFIG) | deps-run
	@$(KCONFIG_TOOL) defconfig $(BUILD) $(CONFIG)

.PHONY: menuconfig olddefconfig savedefconfig
menuconfig olddefconfig savedefconfig: $(BUILD)/.config
	@$(KCONFIG_TOOL) $@ $(BUILD)

# ---- the compiler --------------------------------------------------------------------------------

# Make's own defaults are `default' here and, because of -R above, `undefined' in a sub-make.
ifneq ($(filter default undefined,$(origin CC)),)
CC := $(if $(CONFIG_CLANG),clang,gcc)
endif
ifneq ($(filter default undefined,$(origin CXX)),)
CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),$(subst gcc,g++,$(CC)))
endif
ifdef CONFIG_CLANG
$(BUILD)/.flags: | deps-check
endif

# ---- flags ---------------------------------------------------------------------------------------

# Where there is no compiler yet, deps-run is about to install one for this machine.
machine := $(or $(shell $(CC) -dumpmachine 2>/dev/null),$(shell uname -m))
machine := $(firstword $(subst -, ,$(machine)))
ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(machine)))
OTHER_ARCH := $(filter-out $(ARCH),amd64 arm64)
ifneq ($(words $(OTHER_ARCH)),1)
$(error no port to '$(machine)': $(CC) must compile for x86_64 or aarch64)
endif

WARNINGS := -Wall -Wextra -Werror
# The atomic instructions of ARMv8.1 are the full barriers that kernelshim/atomic.h promises; loops of
# exclusive loads and stores are not.
MACHINE_FLAGS := $(if $(filter arm64,$(ARCH)),-march=armv8.1-a)
INCLUDES := -I. -I$(BUILD)/include -include kernelshim/kconfig.h
# A hidden symbol is reached without the GOT, a TLS variable by one %fs access; the unwind tables
# let gdb and perf walk from the instruction where a signal hit.
LIB_FLAGS := -fvisibility=hidden -fPIC -ftls-model=initial-exec -fno-plt \
	-fasynchronous-unwind-tables
# What runs inside a signal handler: nothing the compiler adds may touch TLS, vector registers or
# libc. The last flag, gcc's own, keeps it from turning loops into calls of memset.
SIG_FLAGS := -O2 -fno-stack-protector -fno-builtin -mgeneral-regs-only -fno-sanitize=all \
	$(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)
# gcc warns that TSan does not model fences; the runtime's have atomics beside them that it does.
SANITIZE_CXX := \
	$(if $(CONFIG_ASAN),-fsanitize=address -fno-omit-frame-pointer) \
	$(if $(CONFIG_TSAN),-fsanitize=thread $(if $(findstring clang,$(CC)),,-Wno-tsan))
# Left out of the C++ tests: compiling one would take half a minute.
SANITIZE := $(SANITIZE_CXX) \
	$(if $(CONFIG_UBSAN),-fsanitize=undefined -fno-sanitize-recover=undefined)
PRIVATE_LIBS := -lurcu-memb $(if $(CONFIG_NUMA),-lnuma) -lpthread

compile-c = $(CC) -std=gnu11 $(MACHINE_FLAGS) $(WARNINGS) $(kind-flags) $(SANITIZE) $(CFLAGS) $(sig-flags) \
	-MMD -MP -c -o $@ $<
compile-cxx = $(CXX) -std=c++17 $(MACHINE_FLAGS) $(WARNINGS) $(precompiled) $(kind-flags) $(SANITIZE_CXX) \
	$(CXXFLAGS) -MMD -MP -c -o $@ $<

# The last step of a quiet build is `say`: one line instead of the command; V=1 shows the command.
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

# ---- sources -------------------------------------------------------------------------------------

objects = $(patsubst %,$(BUILD)/%.o,$(basename $(1)))
native = $(filter-out %_$(OTHER_ARCH).c %_$(OTHER_ARCH)_sig.c %_$(OTHER_ARCH).S,$(1))

LIB_DIRS := kernelshim numa sched preempt
LIB_SOURCES := $(call native,$(wildcard $(LIB_DIRS:%=%/*.c) $(LIB_DIRS:%=%/*.S)))
LIB_OBJECTS := $(call objects,$(LIB_SOURCES))
SIG_OBJECTS := $(filter %_sig.o,$(LIB_OBJECTS))

BENCH_OBJECTS := $(call objects,$(wildcard bench/*.c))
LAB_OBJECTS := $(call objects,$(wildcard bench/lab/*.c))
# What the kernel alone takes, for comparison: without the library.
FLOORS := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/floor/*.c))
# Debian's node-llhttp is C sources, which httpd is built with; without them it is left out.
LLHTTP := $(wildcard /usr/share/llhttp/llhttp.c /usr/share/llhttp/api.c /usr/share/llhttp/http.c)
LLHTTP_OBJECTS := $(LLHTTP:/usr/share/llhttp/%.c=$(BUILD)/examples/llhttp/%.o)
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(filter-out $(if $(LLHTTP),,examples/httpd.c), \
	$(wildcard examples/*.c)))

# tests/unit/X_test.cc becomes build/tests/X_test, tests/stress/X_test.cc build/tests/stress/X_test.
UNIT_TESTS := $(patsubst tests/unit/%.cc,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.cc))
LONG_TESTS := $(patsubst %.cc,$(BUILD)/%,$(wildcard tests/stress/*_test.cc tests/torture/*_test.cc))
# Each C program of the tests comes twice: X with the archive, X.shared with the shared library.
# Those in internal/ call what the library hides, and come once.
TEST_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/programs/*.c tests/torture/*.c))
# These also in a third form, X.static: libc is then a part of the program.
STATIC_PROGRAMS := $(BUILD)/tests/programs/return_among_others $(BUILD)/tests/programs/dump_goroutines
INTERNAL_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/programs/internal/*.c))

C_OBJECTS := $(call objects,$(filter %.c,$(LIB_SOURCES)) $(wildcard preempt/pins/*.c)) \
	$(BENCH_OBJECTS) $(LAB_OBJECTS) $(FLOORS:%=%.o) $(EXAMPLES:%=%.o) $(TEST_PROGRAMS:%=%.o) \
	$(INTERNAL_PROGRAMS:%=%.o)
PRECOMPILED := $(BUILD)/tests/precompiled.h
CXX_OBJECTS := $(UNIT_TESTS:$(BUILD)/tests/%=$(BUILD)/tests/unit/%.o) $(LONG_TESTS:%=%.o)

LIBRARIES := $(BUILD)/liburge.a $(BUILD)/liburge.so.0 $(BUILD)/liburge.so
# What interposes libc's functions: objects of their own, and none where a sanitizer does the same.
PINS := $(if $(CONFIG_ASAN)$(CONFIG_TSAN),,$(call objects,$(call native, \
	$(wildcard preempt/pins/*.c preempt/pins/*.S))))
LIBRARIES += $(if $(PINS),$(BUILD)/liburge-pins.so)
PROGRAMS := $(BUILD)/urge-bench $(BUILD)/urge-lab $(FLOORS) $(EXAMPLES)

.PHONY: all all-tests
all: $(LIBRARIES) $(PROGRAMS) $(if $(LLHTTP),,without-llhttp)

.PHONY: without-llhttp
without-llhttp:
	@echo '  without examples/httpd: its parser (node-llhttp) is not installed'

# ONLY: the googletest programs to build, below build/tests; all if it is empty.
all-tests: all $(filter $(or $(ONLY:%=$(BUILD)/tests/%),%),$(UNIT_TESTS) $(LONG_TESTS)) \
	$(TEST_PROGRAMS) $(TEST_PROGRAMS:%=%.shared) $(INTERNAL_PROGRAMS) \
	$(if $(strip $(SANITIZE)),,$(STATIC_PROGRAMS:%=%.static))

# ---- compiling -----------------------------------------------------------------------------------

$(BUILD)/examples/llhttp/%.o: /usr/share/llhttp/%.c $(BUILD)/.flags
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) -w $(SANITIZE) $(CFLAGS) \
		-I/usr/share/include/llhttp -MMD -MP -c -o $@ $<

# An empty _GNU_SOURCE is also what a file of our own may define; C++ has it anyway.
$(BUILD)/%: kind-flags = $(INCLUDES) $(if $(filter %.c %.S,$<),-D_GNU_SOURCE=)
$(foreach dir,$(LIB_DIRS),$(BUILD)/$(dir)/%): kind-flags = $(INCLUDES) -D_GNU_SOURCE= $(LIB_FLAGS)
$(BUILD)/examples/%: kind-flags = -I$(BUILD)/include -I.
$(BUILD)/examples/httpd.o $(BUILD)/examples/httpd.tidy: kind-flags += -isystem /usr/share/include
$(BUILD)/%_sig.o: sig-flags = $(SIG_FLAGS)

$(BUILD)/%.o: %.c $(BUILD)/.flags | $(BUILD)/include/urge.h
	$(call say,CC,$<)mkdir -p $(@D) && $(compile-c)

$(BUILD)/%.o: %.S $(BUILD)/.flags | $(BUILD)/include/urge.h
	$(call say,AS,$<)mkdir -p $(@D) && $(compile-c)

$(BUILD)/%.o: precompiled = -include $(PRECOMPILED)
$(BUILD)/%.o: %.cc $(PRECOMPILED).gch $(BUILD)/.flags | $(BUILD)/include/urge.h deps-test
	$(call say,CXX,$<)mkdir -p $(@D) && $(compile-cxx)

# The compilers look for X.gch where X is included.
$(PRECOMPILED).gch: precompiled = -x c++-header
$(PRECOMPILED).gch: tests/precompiled.h $(BUILD)/.flags | $(BUILD)/include/urge.h deps-test
	$(call say,CXX,$<)mkdir -p $(@D) && $(compile-cxx)

# A link in a folder of its own: -Isched would put sched/time.h in front of <time.h>.
$(BUILD)/include/urge.h:
	@mkdir -p $(@D) && ln -sf $(CURDIR)/sched/urge.h $@

# Files that change when their text does: other flags build everything again, and a library that
# lost a source is linked again.
$(BUILD)/.flags: text = $(CC) $(CXX) $(CFLAGS) $(CXXFLAGS) $(LDFLAGS) $(WARNINGS) $(INCLUDES) \
	$(LIB_FLAGS) $(SIG_FLAGS) $(SANITIZE)
$(BUILD)/.objects: text = $(LIB_OBJECTS) $(BENCH_OBJECTS) $(LAB_OBJECTS)
$(BUILD)/.flags $(BUILD)/.objects: FORCE
	@mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(text))' >$@.new && \
		{ cmp -s $@ $@.new && rm $@.new || mv $@.new $@; }

.PHONY: FORCE
FORCE:

-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(C_OBJECTS) $(CXX_OBJECTS)) $(PRECOMPILED).d

# ---- linking -------------------------------------------------------------------------------------

link-c = $(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@
link-cxx = $(CXX) $(SANITIZE) $(CXXFLAGS) $(LDFLAGS) -o $@

# clang puts some functions of its sanitizers into section groups, which ld -r would keep apart.
$(BUILD)/liburge.o: $(LIB_OBJECTS) sched/liburge.lds $(BUILD)/.objects
	$(call say,LD,$@)$(LD) -r --force-group-allocation -T sched/liburge.lds -o $@ $(LIB_OBJECTS)

$(BUILD)/liburge-public.o: $(BUILD)/liburge.o
	$(call say,OBJCOPY,$@)$(OBJCOPY) --localize-hidden $< $@

$(BUILD)/liburge.a: $(BUILD)/liburge-public.o $(PINS)
$(BUILD)/liburge-internal.a: $(BUILD)/liburge.o
# The laboratory shares the harness of the benchmarks, all but main.
$(BUILD)/bench.a: $(BENCH_OBJECTS)
$(BUILD)/liburge.a $(BUILD)/liburge-internal.a $(BUILD)/bench.a:
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

# The runtime of a sanitizer is in the program; the library finds it there when it is loaded.
$(BUILD)/liburge.so.0: $(BUILD)/liburge.o sched/liburge.map
	$(call say,LINK,$@)$(link-c) -shared -Wl,-soname,liburge.so.0 \
		-Wl,--version-script=sched/liburge.map -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack \
		$(if $(strip $(SANITIZE)),,-Wl,--no-undefined) $< $(PRIVATE_LIBS)

$(BUILD)/liburge.so: $(BUILD)/liburge.so.0
	@ln -sf liburge.so.0 $@

$(BUILD)/liburge-pins.so: $(PINS) $(BUILD)/liburge.so
	$(call say,LINK,$@)$(link-c) -shared -Wl,-soname,liburge-pins.so -Wl,-z,now -Wl,-z,relro \
		$(filter %.o,$^) -L$(BUILD) -lurge -Wl,-rpath,'$$ORIGIN'

# Both show, and measure, inner parts of the library as well.
$(BUILD)/urge-bench: $(BENCH_OBJECTS) $(BUILD)/liburge-internal.a $(BUILD)/.objects
$(BUILD)/urge-lab: $(LAB_OBJECTS) $(BUILD)/bench.a $(BUILD)/liburge-internal.a $(BUILD)/.objects
$(FLOORS): %: %.o
$(EXAMPLES) $(TEST_PROGRAMS): %: %.o $(BUILD)/liburge.a
$(BUILD)/urge-bench $(BUILD)/urge-lab $(FLOORS) $(EXAMPLES) $(TEST_PROGRAMS):
	$(call say,LINK,$@)$(link-c) $(filter %.o %.a,$^) $(PRIVATE_LIBS) -lm

$(BUILD)/examples/httpd: $(LLHTTP_OBJECTS)

# The state that preemption must keep, in assembly, belongs to these.
$(patsubst %,$(BUILD)/tests/programs/%,preempt_regs preempt_regs.shared internal/preempt_storm): \
	$(call objects,$(call native,$(wildcard tests/programs/regs_*.S)))

$(INTERNAL_PROGRAMS): %: %.o $(BUILD)/liburge-internal.a
	$(call say,LINK,$@)$(link-c) $(filter %.o %.a,$^) $(PRIVATE_LIBS) -lm

$(TEST_PROGRAMS:%=%.shared): %.shared: %.o $(BUILD)/liburge.so
	$(call say,LINK,$@)$(link-c) $(filter %.o,$^) -L$(BUILD) -lurge -Wl,-rpath,$(abspath $(BUILD)) -lpthread -lm

# A static program that is not position-independent has no .eh_frame_hdr unless it is asked for, and
# without it no backtraces.
$(STATIC_PROGRAMS:%=%.static): %.static: %.o $(BUILD)/liburge.a
	$(call say,LINK,$@)$(link-c) -static -Wl,--eh-frame-hdr $(filter %.o %.a,$^) $(PRIVATE_LIBS) -lm

$(UNIT_TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/liburge-internal.a
$(LONG_TESTS): %: %.o $(BUILD)/liburge-internal.a
$(UNIT_TESTS) $(LONG_TESTS):
	$(call say,LINK,$@)$(link-cxx) $^ -lgtest_main -lgmock -lgtest $(PRIVATE_LIBS)

# ---- running -------------------------------------------------------------------------------------

.PHONY: run test bench torture
run: $(BUILD)/urge-lab | deps-bench
	$(BUILD)/urge-lab preempt $(RUN_FLAGS)

bench: $(BUILD)/urge-bench | deps-bench
	$(BUILD)/urge-bench $(BENCH_FLAGS)

MINUTES ?= 1
torture-programs := $(addprefix $(BUILD)/tests/,torture/libraries programs/park_libc)
torture: $(torture-programs) $(torture-programs:%=%.shared) $(BUILD)/liburge-pins.so \
	$(BUILD)/tests/programs/internal/preempt_step
	URGE_BUILD=$(BUILD) MINUTES=$(MINUTES) tests/torture/libraries.sh
	URGE_BUILD=$(BUILD) MINUTES=$(MINUTES) tests/programs/park_libc.sh
	URGE_BUILD=$(BUILD) MINUTES=$(MINUTES) tests/programs/preempt_step.sh

.PHONY: test-resize
test-resize: $(BUILD)/tests/programs/internal/resize
	URGE_BUILD=$(BUILD) PHASE_MS=$$(($(MINUTES) * 60000)) tests/programs/resize.sh

.PHONY: test-faults
test-faults: $(EXAMPLES)
	URGE_BUILD=$(BUILD) tests/programs/tools/faults.py --long $(notdir $(filter %/echo %/httpd %/kv,$^))

# The runner builds, so that a configuration that does not is one failure among the counted ones.
test: | deps-run deps-test
	+@MAKE='$(MAKE)' CC='$(CC)' .ci/run-tests $(BUILD) $(or $(CONFIG),default) \
		$(foreach name,$(TEST_CONFIGS),$(BUILD)/$(name) tests/configs/$(name).config)

# Machines with several memory nodes, under emulation; what they need is installed if that can be.
.PHONY: test-numa
test-numa: $(UNIT_TESTS) | deps-run deps-test
	@tests/guest/run $(BUILD)

# ---- checks --------------------------------------------------------------------------------------

CHECKS := format includes signal shell tidy
STYLED = $(shell find kernelshim numa sched preempt tests bench examples -name peers -prune -o \
	-name '*.[ch]' -print -o -name '*.cc' -print)
SCRIPTS = $(shell grep -lE '^\#!/bin/(ba)?sh' .ci/* bench/blocking $$(find tests bench examples -name '*.sh' -o -name make -o -name init -o -name run))

.PHONY: check $(CHECKS:%=check-%)
check: | deps-check
	+@failed=; for step in $(CHECKS); do \
		if $(MAKE) -k check-$$step; then echo "check: $$step ok"; \
		else echo "check: $$step failed"; failed+=" $$step"; fi; \
	done; \
	if [[ $$failed ]]; then echo "check: failed:$$failed"; exit 1; fi; echo 'check: ok'

check-format: | deps-check
	@clang-format --dry-run -Werror $(STYLED)

.PHONY: format
format: | deps-check
	clang-format -i $(STYLED)

check-includes:
	@.ci/check-includes $(STYLED)

check-signal: $(SIG_OBJECTS) $(BUILD)/liburge.so.0
	@.ci/check-signal preempt/signal-side.allow $(BUILD)/liburge.so.0 $(SIG_OBJECTS)

check-shell: | deps-check
	@shellcheck $(SCRIPTS)

# One small file per source that passed: only what changed since, headers included, is looked at.
check-tidy: $(C_OBJECTS:%.o=%.tidy)

$(BUILD)/%.tidy: %.c $(BUILD)/%.o .ci/clang-tidy | deps-check
	$(call say,TIDY,$<)clang-tidy --quiet --config-file=.ci/clang-tidy $< -- \
		-std=gnu11 $(kind-flags) 2>/dev/null && touch $@

# ---- installing ----------------------------------------------------------------------------------

version-part = $(shell sed -n 's/^.define URGE_VERSION_$(1) *//p' sched/urge.h)
VERSION = $(call version-part,MAJOR).$(call version-part,MINOR).$(call version-part,PATCH)
MAN_PAGES := $(wildcard docs/man/*.1 docs/man/*.3 docs/man/*.7)
man-target = $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
LIBDIR := $(DESTDIR)$(PREFIX)/lib

.PHONY: install uninstall
install: $(LIBRARIES)
	install -d $(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/liburge.a $(BUILD)/liburge.so.0 $(BUILD)/liburge-pins.so $(LIBDIR)
	ln -sf liburge.so.0 $(LIBDIR)/liburge.so
	install -m 644 sched/urge.h $(DESTDIR)$(PREFIX)/include
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: urge' 'Description: preemptive goroutines for C' \
		'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -lurge' \
		'Libs.private: $(PRIVATE_LIBS)' >$(LIBDIR)/pkgconfig/urge.pc
	$(foreach page,$(MAN_PAGES),install -D -m 644 $(page) $(call man-target,$(page)) &&) :
	$(if $(DESTDIR),,-[[ $$EUID != 0 ]] || ldconfig)

uninstall:
	rm -f $(LIBDIR)/liburge.a $(LIBDIR)/liburge.so $(LIBDIR)/liburge.so.0 \
		$(LIBDIR)/liburge-pins.so \
		$(LIBDIR)/pkgconfig/urge.pc $(DESTDIR)$(PREFIX)/include/urge.h \
		$(foreach page,$(MAN_PAGES),$(call man-target,$(page)))

# ---- the rest ------------------------------------------------------------------------------------

DEPS_GROUPS := run test bench check
.PHONY: deps $(DEPS_GROUPS:%=deps-%)
deps:
	@.ci/deps $(DEPS_GROUPS)
$(DEPS_GROUPS:%=deps-%): deps-%:
	@.ci/deps $*

# ONLY: the programs, below BUILD, that tests/arm64/run wants to be built.
.PHONY: test-arm64 arm64-programs
test-arm64:
	+@tests/arm64/run build/arm64
arm64-programs: $(ONLY:%=$(BUILD)/%)

.PHONY: clean help
clean:
	rm -rf $(BUILD)

help:
	@echo 'Goals'
	@echo '  all             the libraries, urge-bench, urge-lab, the examples (default)'
	@echo '  run             the preemption laboratory: tight loops that yield'
	@echo '  test            all tests, in the configurations $(or $(CONFIG),default) $(TEST_CONFIGS)'
	@echo '  torture         libraries under preemption, and one at each instruction; MINUTES=1 each'
	@echo '  test-resize     GOMAXPROCS flips at 1 kHz, MINUTES=1 under each kind of work'
	@echo '  test-faults     servers with 10,000 idle peers, on a bad network, and what they keep'
	@echo '  test-numa       tests in guests with 2 and 4 memory nodes, under QEMU'
	@echo '  test-arm64      programs compiled for arm64, in QEMU'\''s user emulation'
	@echo '  check           $(CHECKS); each alone as check-NAME'
	@echo '  format          rewrite the sources as check-format wants them'
	@echo '  bench           the benchmarks'
	@echo '  install         into DESTDIR/PREFIX; uninstall takes it away'
	@echo '  deps            install the missing Debian packages'
	@echo '  menuconfig      change the configuration; olddefconfig repairs it after an update,'
	@echo '                  savedefconfig writes what differs from the defaults'
	@echo '  clean           remove the build directory'
	@echo 'Variables'
	@echo '  DEFCONFIG=asan  build tests/configs/asan.config in build/asan; CONFIG=FILE likewise'
	@echo '  BUILD=DIR       the build directory'
	@echo '  CC= CFLAGS= LDFLAGS= PREFIX= DESTDIR=   as usual; V=1 shows the commands'
	@echo '  TESTS="chan* stress/*"   run only these tests; GTEST_FILTER works too'
	@echo '  TEST_CONFIGS="asan"      configurations to test beside the default one'
	@echo '  TEST_TIMEOUT=SECONDS     for one test program'
	@echo '  RUN_FLAGS= BENCH_FLAGS=  options of urge-lab and urge-bench'

endif
