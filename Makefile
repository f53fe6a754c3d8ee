# kube-bootstrap. `make help` lists the targets.
#
# Every variant is built in a folder of its own: build/VARIANT. Objects depend on the headers they
# include (-MMD) and on this file.

VERSION    := 0.1
VARIANT    ?= release
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
CC         := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
B          := build/$(VARIANT)

PACKAGES := libcurl libssl libcrypto jansson libsystemd mount blkid expat libmnl
CPPFLAGS := -Ibootstrap -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"'
CPPFLAGS += $(shell pkg-config --cflags-only-I $(PACKAGES))
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough \
            -Wno-missing-field-initializers -Wno-unused-result \
            $(if $(filter gcc,$(CC)),-Wno-format-truncation) -Werror
CFLAGS   := -std=gnu11 -pthread -g $(WARNINGS)
LDFLAGS  := -pthread -Wl,--as-needed
LDLIBS   := $(shell pkg-config --libs $(PACKAGES))

# Jumps and loops are not padded to cache lines: the program waits, and computes little.
HARDENING := -O2 -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection \
             -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections \
             -fno-align-jumps -fno-align-loops

ifeq ($(VARIANT),release)
CFLAGS  += $(HARDENING)
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections
else ifeq ($(VARIANT),debug)
CFLAGS  += -O0
else ifneq ($(filter asan torture,$(VARIANT)),)
CFLAGS  += -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
TORTURE := $(if $(filter torture,$(VARIANT)),$(B)/test/unit/torture.o)
else ifeq ($(VARIANT),effects)
CFLAGS  += $(HARDENING) -DEFFECT_POINTS
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--gc-sections
else ifeq ($(VARIANT),coverage)
CFLAGS  += -O0 --coverage
LDFLAGS += --coverage
else ifeq ($(VARIANT),fuzz)
CFLAGS  += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
           -Wno-gnu-statement-expression
LDFLAGS += -fsanitize=address,undefined
else
$(error VARIANT must be release, debug, asan, torture, effects, coverage or fuzz)
endif

SOURCES := $(wildcard bootstrap/*/*.c bootstrap/*/*/*.c)
OBJECTS := $(SOURCES:%.c=$(B)/%.o)
LIBRARY := $(B)/libbootstrap.a
PROGRAM := $(B)/kube-bootstrap
UNITS   := $(patsubst test/unit/%.c,$(B)/unit/%,$(wildcard test/unit/test_*.c))
FUZZERS := $(patsubst test/fuzz/%.c,$(B)/fuzz/%,$(wildcard test/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:$(B)/fuzz/fuzz_%=$(B)/replay/%)

.PHONY: all
all: $(PROGRAM) ## the program (VARIANT=release|debug|asan|torture|effects|coverage|fuzz)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

ifneq ($(TORTURE),)
$(OBJECTS): CPPFLAGS += -include test/unit/torture.h
$(B)/test/unit/%.o: CPPFLAGS += -Dabort=torture_give_up
endif

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(PROGRAM): $(B)/bootstrap/main.o $(TORTURE) $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The harness, servers, and worlds of the unit tests; those that stand in for steps/ are linked by name.
STAND_INS    := $(patsubst %,$(B)/test/unit/%.o,cli_world resident_world)
UNIT_SOURCES := $(filter-out test/unit/test_% test/unit/torture.c,$(wildcard test/unit/*.c))
UNIT_LIBRARY := $(B)/libunit.a

$(UNIT_LIBRARY): $(filter-out $(STAND_INS),$(UNIT_SOURCES:%.c=$(B)/%.o))
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/unit/test_cli: $(B)/test/unit/cli_world.o
$(B)/unit/test_resident $(B)/unit/test_resident_events: $(STAND_INS)
$(B)/unit/%: $(B)/test/unit/%.o $(UNIT_LIBRARY) $(TORTURE) $(LIBRARY)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

$(B)/fuzz/%: $(B)/test/fuzz/%.o $(LIBRARY)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# a fuzz target that reads the files it is given, once
$(B)/replay/%: $(B)/test/fuzz/fuzz_%.o $(B)/test/bench/replay.o $(LIBRARY)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: units fuzzers replays
units: $(UNITS)
fuzzers: $(FUZZERS)
replays: $(REPLAYS)

.PHONY: check
check: units ## unit tests (TAP) of this variant
	@test/tools/run -j 8 $(UNITS)

.PHONY: fuzz
fuzz: ## build the fuzz targets and run each for FUZZ_SECONDS (60)
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzzers
	@test/pytest -n 2 --dist worksteal test/fuzz

.PHONY: lint
lint: ## format, static analysis, layers, shell scripts, manual pages, the template
	@test/pytest test/gates/test_lint.py test/gates/test_layers.py test/gates/test_effects.py
	@test/pytest test/integration/test_template.py -k "schema or lint"

.PHONY: quick
quick: ## format, layers, and clang-tidy of the files that differ from BASE (main)
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
	@/usr/bin/python3 -m pyflakes $$(git ls-files '*.py')
	@test/pytest -q test/gates/test_layers.py
	@git diff --name-only --diff-filter=d $(or $(BASE),main) -- 'bootstrap/*.c' | \
		xargs -r -P "$$(nproc)" -I{} clang-tidy --quiet {} -- $(CPPFLAGS) -std=gnu11

# What clangd reads, of the debug build.
compile_commands.json: Makefile ## for clangd and other tools that read the code
	@python3 -c 'import json, shlex, sys; \
		json.dump([{"directory": sys.argv[1], "file": name, "arguments": [*shlex.split(sys.argv[2]), name]} \
			for name in sys.argv[3:]], sys.stdout, indent=1)' \
		'$(CURDIR)' "gcc $(subst ",\",$(CPPFLAGS)) -Itest/unit -std=gnu11 -pthread -c" \
		bootstrap/main.c $(SOURCES) $(wildcard test/unit/*.c test/fuzz/*.c) >$@

.PHONY: format
format: ## rewrite the C sources as .clang-format says
	@clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: bench demo
bench: all ## measure (needs root and the lab)
	@test/bench/run
demo: ## boot a master and a node in the lab (needs root)
	@test/demo

.PHONY: install
install: all ## into DESTDIR
	install -D -m 0755 -s $(PROGRAM) $(DESTDIR)$(PREFIX)/sbin/kube-bootstrap
	install -d $(DESTDIR)$(UNITDIR)
	install -m 0644 units/*.service $(DESTDIR)$(UNITDIR)
	for folder in containerd.service.d docker.service.d; do \
		install -d $(DESTDIR)$(UNITDIR)/$$folder && \
		install -m 0644 units/$$folder/*.conf $(DESTDIR)$(UNITDIR)/$$folder || exit; \
	done
	install -D -m 0644 units/kube-bootstrap.catalog \
		$(DESTDIR)$(PREFIX)/lib/systemd/catalog/kube-bootstrap.catalog
	install -D -m 0644 conf/docker-bootstrap/daemon.json \
		$(DESTDIR)$(SYSCONFDIR)/docker-bootstrap/daemon.json
	install -d $(DESTDIR)$(SYSCONFDIR)/kubernetes $(DESTDIR)$(PREFIX)/share/doc/kube-bootstrap
	install -m 0644 conf/stack-config.sh conf/images conf/images.docker $(DESTDIR)$(PREFIX)/share/doc/kube-bootstrap
	ln -sfn $(PREFIX)/sbin/kube-bootstrap $(DESTDIR)$(SYSCONFDIR)/kubernetes/bootstrap
	install -m 0644 conf/kubernetes/*.yaml $(DESTDIR)$(SYSCONFDIR)/kubernetes
	for folder in static-pods/all static-pods/master addons addons/docker; do \
		install -d $(DESTDIR)$(SYSCONFDIR)/kubernetes/$$folder && \
		install -m 0644 conf/kubernetes/$$folder/*.yaml \
			$(DESTDIR)$(SYSCONFDIR)/kubernetes/$$folder || exit; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 0644 bootstrap/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 bootstrap/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5

DEB := $(B)/kube-bootstrap.deb

.PHONY: deb
deb: all ## a Debian package, which packer/ installs
	@rm -rf $(B)/deb
	@$(MAKE) --no-print-directory --silent install DESTDIR=$(B)/deb
	@install -m 0644 LICENSE $(B)/deb$(PREFIX)/share/doc/kube-bootstrap/copyright
	packer/deb $(B)/deb $(VERSION) $(DEB)

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z_. ]*\):.*## \(.*\)/\1|\2/p' Makefile | sort | \
		while IFS='|' read -r t h; do printf '  %-22s %s\n' "$$t" "$$h"; done
	@echo
	@echo 'One test (test/README.md has more):'
	@echo '  make VARIANT=debug build/debug/unit/test_table && build/debug/unit/test_table -k order'
	@echo '  test/pytest test/integration -k claim'

-include $(OBJECTS:.o=.d) $(B)/bootstrap/main.d $(wildcard $(B)/test/*/*.d)
