# pmproxy. `make help` lists the targets; every output lands under build/.

BUILD   ?= build
# However it is spelt, or what depends on what would be known under one name
# and looked for under another.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
PREFIX  ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
WERROR  ?= -Werror
# make SANITIZE=address,undefined BUILD=build/asan ... builds with a sanitizer.
SANITIZE ?=

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wformat=2 -Wvla -Wundef $(WERROR)
HARDEN := -fstack-protector-strong -fPIE
ifeq ($(SANITIZE),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
HARDEN += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	-fno-sanitize-recover=all
SANLINK := -fsanitize=$(SANITIZE)
endif
# Where programs with a sanitizer write what it finds; unset: standard error.
REPORTS ?=
ifneq ($(REPORTS),)
SANOBJ := $(BUILD)/obj/tests/sanitize/options.o
SANLINK += $(SANOBJ)
# As shared libraries of gcc's, ASan and UBSan know nothing of each other, and
# UBSan writes to standard error whatever it is told.
ifeq ($(SANITIZE) $(CC),address,undefined gcc)
SANLINK += -static-libasan -static-libubsan
endif
endif
OPTIMISE ?= -O2 -g
# Responders are optimised across files: some 5 % less of CPU for a request.
# Other programs have no need of it, and tests put functions of their own in the
# place of others. clang's objects would be of no use without it.
LTO = $(if $(SANITIZE)$(findstring clang,$(CC)),,-flto=auto -ffat-lto-objects)
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE -iquote . $(OPTIMISE) \
	$(WARN) $(HARDEN) -MMD -MP -pthread \
	$(shell pkg-config --cflags json-c libcurl libcrypto) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now $(SANLINK) -fno-lto -pthread \
	$(LDFLAGS)

# Each program links what it needs and nothing else.
LIBS_BASE := -lgdbm -ljson-c -lcrypto
LIBS_FCGI := -lfcgi -lcurl -lseccomp $(LIBS_BASE)
LIBS_BENCH := $(LIBS_BASE)
LIBS_ADMIN := -Wl,--as-needed -lfcgi $(LIBS_BASE)
LIBS_TEST := -lfcgi -lcurl -lseccomp $(shell pkg-config --libs check 2>/dev/null) \
	$(LIBS_BASE)

LIB_SRC  := $(wildcard lib/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
LIB      := $(BUILD)/obj/libpmproxy.a
FCGI_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard fcgi/*.c))
CLI_SRC  := $(wildcard cli/pm*.c)
CLI_BIN  := $(CLI_SRC:cli/%.c=$(BUILD)/bin/%)
CLI_OBJ  := $(patsubst %.c,$(BUILD)/obj/%.o,\
	$(filter-out $(CLI_SRC),$(wildcard cli/*.c)))
CLI_LIB := $(BUILD)/obj/libcli.a
# pmdoctor's checks, for their tests.
DOCTOR_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cli/doctor*.c))
ADMIN_SRC := $(wildcard cgi-admin/*.cgi.c)
ADMIN_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,\
	$(filter-out $(ADMIN_SRC),$(wildcard cgi-admin/*.c)))
ADMIN_LIB := $(BUILD)/obj/libadmin.a
ADMIN_BIN := $(ADMIN_SRC:%.c=$(BUILD)/%)
ADMIN_PO  := $(wildcard po/*.po)
ADMIN_MO  := $(ADMIN_PO:po/%.po=$(BUILD)/cgi-admin/locale/%/LC_MESSAGES/pmproxy.mo)
# Named after its content, so that browsers may keep it for a year.
ADMIN_CSS := style-$(shell sha256sum cgi-admin/style.css 2>/dev/null | \
	cut -c 1-12).css
STANDIN_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/standin/*.c))
# What bench/ measures with.
BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard bench/sse_*.c))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(filter-out bench/sse_%,\
	$(wildcard bench/*.c)))
UNIT_SRC := $(wildcard tests/unit/check_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
UNIT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,\
	$(filter-out $(UNIT_SRC) tests/unit/faults.c,$(wildcard tests/unit/*.c)))

PROGRAMS := $(CLI_BIN)
ifneq ($(FCGI_OBJ),)
PROGRAMS += $(BUILD)/fcgi/v1.fcgi
endif
ifneq ($(ADMIN_SRC),)
PROGRAMS += $(ADMIN_BIN) $(ADMIN_MO) $(BUILD)/cgi-admin/$(ADMIN_CSS)
endif
ifneq ($(STANDIN_OBJ),)
PROGRAMS += $(BUILD)/tests/standin
endif
PROGRAMS += $(BENCH_BIN)

.PHONY: all help clean format
all: $(PROGRAMS)

help:
	@echo 'make            build everything'
	@echo 'make demo       start the gate with a stand-in upstream, print a key'
	@echo 'make test       unit and end-to-end tests'
	@echo 'make deps       install the Debian packages that are missing'
	@echo 'make lint       static checks'
	@echo 'make sanitize   the tests under ASan+UBSan and TSan'
	@echo 'make soak       kill responders under load for SOAK_SECONDS'
	@echo 'make fuzz       run each fuzzer for FUZZ_SECONDS'
	@echo 'make mutate     break lib/ on purpose, and see whether tests notice'
	@echo 'make bench      measure beside what you would use instead'
	@echo 'make install    DESTDIR= PREFIX= SYSCONFDIR= LOCALSTATEDIR= RUNSTATEDIR='
	@echo 'make deb        a Debian package in build/'
	@echo 'make image      container images; make test-container tries them'
	@echo
	@echo 'Parts of these: unit, test-browser, test-deb, check-valgrind, fuzz-smoke,'
	@echo 'check-headers, check-layers, check-compilers, format, clean'

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LTO) -c -o $@ $<

# The whole list of objects, so that a removed source leaves the archive too.
# What else is linked into all programs is made before them.
$(LIB): $(LIB_OBJ) | $(SANOBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)

$(BUILD)/obj/tests/sanitize/options.o: CFLAGS_ALL += -DREPORTS='"$(REPORTS)"'

$(BUILD)/fcgi/v1.fcgi: $(FCGI_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fno-lto,$(LDFLAGS_ALL)) $(OPTIMISE) $(LTO) -o $@ \
	    $(FCGI_OBJ) $(LIB) $(LIBS_FCGI)

# An archive, so that each links what it uses; some of them ask over HTTP.
$(CLI_LIB): $(CLI_OBJ)
	@rm -f $@
	$(AR) rcs $@ $(CLI_OBJ)

$(BUILD)/bin/pmproxy $(BUILD)/bin/pmdoctor: LIBS_CLI := -lcurl
$(CLI_BIN): $(BUILD)/bin/%: $(BUILD)/obj/cli/%.o $(CLI_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(CLI_LIB) $(LIB) $(LIBS_CLI) $(LIBS_BASE)

# Certificates: a script that runs uacme and openssl.
$(BUILD)/bin/pmproxy-certificate: cli/pmproxy-certificate
	@mkdir -p $(@D)
	cp $< $@
all: $(BUILD)/bin/pmproxy-certificate

# --- Admin pages: one CGI program each, the style sheet, the translations ----

$(BUILD)/obj/cgi-admin/frame.o: CFLAGS_ALL += -DADMIN_STYLE='"$(ADMIN_CSS)"'
$(BUILD)/obj/cgi-admin/frame.o: cgi-admin/style.css

$(ADMIN_LIB): $(ADMIN_OBJ)
	@rm -f $@
	$(AR) rcs $@ $(ADMIN_OBJ)

$(ADMIN_BIN): $(BUILD)/cgi-admin/%.cgi: $(BUILD)/obj/cgi-admin/%.cgi.o \
		$(ADMIN_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(ADMIN_LIB) $(LIB) $(LIBS_ADMIN)

$(BUILD)/cgi-admin/$(ADMIN_CSS): cgi-admin/style.css
	@mkdir -p $(@D)
	@rm -f $(@D)/style-*.css
	cp $< $@

$(ADMIN_MO): $(BUILD)/cgi-admin/locale/%/LC_MESSAGES/pmproxy.mo: po/%.po
	@mkdir -p $(@D)
	msgfmt --check -o $@ $<

# The texts to translate, brought up to date in po/.
.PHONY: texts
texts:
	xgettext --from-code=UTF-8 -k_ -kN_ -kngettext:1,2 \
	    --flag=html:2:c-format --no-location --sort-output \
	    --package-name=pmproxy --omit-header -o $(BUILD)/pmproxy.pot \
	    cgi-admin/*.c
	for po in $(ADMIN_PO); do \
	    msgmerge -q --no-wrap --no-fuzzy-matching --update --backup=none \
	    --sort-output $$po $(BUILD)/pmproxy.pot; done

$(BUILD)/tests/standin: $(STANDIN_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(STANDIN_OBJ) $(LIB) $(LIBS_BASE)

$(BENCH_BIN): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BENCH_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(BENCH_OBJ) $(LIB) $(LIBS_BENCH)

$(BUILD)/bench/floor: LIBS_BENCH := $(LIBS_FCGI)

$(UNIT_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(UNIT_OBJ) $(LIB) $(LIBS_TEST)

# What pmdoctor looks at, laid out by tests.
DOCTOR_TESTS := $(filter $(BUILD)/tests/check_doctor%,$(UNIT_BIN))
$(DOCTOR_TESTS): $(DOCTOR_OBJ)
$(DOCTOR_TESTS): UNIT_OBJ += $(DOCTOR_OBJ)

# check_keys counts how often a record is read.
$(BUILD)/tests/check_keys: LDFLAGS += -Wl,--wrap=json_skim_feed

# Calls to the kernel and the heap that fail when a test wants them to.
FAULTS := malloc calloc realloc reallocarray strdup __asprintf_chk open openat \
	read pread write pwrite sendfile lseek stat lstat fstat fsync fdatasync \
	rename renameat unlink unlinkat mkdir fchmod fchown flock opendir readdir \
	mmap posix_fallocate pthread_rwlockattr_init pthread_rwlockattr_setkind_np \
	pthread_rwlock_init
FAULT_TESTS := $(filter %_faults,$(UNIT_BIN))
$(FAULT_TESTS): $(BUILD)/obj/tests/unit/faults.o
$(FAULT_TESTS): UNIT_OBJ += $(BUILD)/obj/tests/unit/faults.o
# A sanitizer of its own within would fail as well.
$(FAULT_TESTS): SANLINK := $(filter-out -static-lib%,$(SANLINK))
$(FAULT_TESTS): LDFLAGS += $(FAULTS:%=-Wl,--wrap=%)

# check_usage_export runs the program.
$(BUILD)/tests/check_usage_export: | $(BUILD)/bin/pmusage

# check_db_watch counts looks at files.
$(BUILD)/tests/check_db_watch: LDFLAGS += -Wl,--wrap=stat

# check_keys_faults has a clock of its own, which it need not wait for.
$(BUILD)/tests/check_keys_faults: LDFLAGS += -Wl,--wrap=clock_gettime \
	-Wl,--wrap=nanosleep

# check_upstream starts the stand-in beside it.
$(BUILD)/tests/check_upstream: | $(BUILD)/tests/standin

# check_buf sees each block of lib/buf on its way back to the heap.
$(BUILD)/obj/watched_buf.o: $(BUILD)/obj/lib/buf.o
	objcopy --redefine-sym malloc=watched_malloc \
	    --redefine-sym free=watched_free $< $@
$(BUILD)/tests/check_buf: $(BUILD)/obj/watched_buf.o
$(BUILD)/tests/check_buf: UNIT_OBJ += $(BUILD)/obj/watched_buf.o

# Parts of programs, tested by themselves. check_wipe counts what it asks.
$(BUILD)/tests/check_wipe: $(BUILD)/obj/fcgi/wipe.o
$(BUILD)/tests/check_wipe: UNIT_OBJ += $(BUILD)/obj/fcgi/wipe.o
$(BUILD)/tests/check_wipe: LDFLAGS += -Wl,--wrap=mincore
$(BUILD)/tests/check_setup_file: $(BUILD)/obj/cli/setup_file.o
$(BUILD)/tests/check_setup_file: UNIT_OBJ += $(BUILD)/obj/cli/setup_file.o
$(BUILD)/tests/check_sse_load: $(BENCH_OBJ)
$(BUILD)/tests/check_sse_load: UNIT_OBJ += $(BENCH_OBJ)

# --- Debian packages, and a gate to try --------------------------------------

.PHONY: deps deps-build deps-bench deps-browser deps-deb demo deb test-deb
deps:
	@scripts/deps all
deps-build:
	@scripts/deps build
deps-bench:
	@scripts/deps bench
deps-browser:
	@scripts/deps browser
deps-deb:
	@scripts/deps deb

# In a make of its own: what deps-build installs changes what this one read.
demo: deps-build
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) scripts/demo $(DEMO_ARGS)

# The Debian package, and a system of its own in which it is installed, run,
# upgraded and purged.
deb: deps-deb
	@BUILD=$(BUILD) scripts/deb
test-deb: all
	@scripts/deps test-deb
	@BUILD=$(BUILD) scripts/test-deb

# --- Tests -------------------------------------------------------------------

.PHONY: unit test check test-browser screens check-valgrind sanitize
# make unit UNITS=build/tests/check_text runs that alone.
UNITS ?= $(UNIT_BIN)
unit: $(UNITS)
	@scripts/unit $(BUILD)/logs/unit $(UNITS)

test: all $(UNIT_BIN)
	@BUILD=$(BUILD) scripts/test $(UNIT_BIN)
check: test

# The end-to-end tests with Caddy; "test" has only those about Caddy itself.
.PHONY: test-caddy
test-caddy: all
	@BUILD=$(BUILD) scripts/test-caddy

# The admin pages in a browser: part of "test" where there is one.
test-browser: deps-browser
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) ONLY=browser scripts/test

# The README's pictures, anew.
screens: test-browser
	@BUILD=$(BUILD) node tests/browser/screens.mjs

# --- Containers: docs/container.md --------------------------------------------

# With Docker: the gate alone, and with the stand-in as its upstream.
.PHONY: image deps-container test-container
image:
	docker build --target gate -t pmproxy-gate .
	docker build --target standin -t pmproxy-standin .
	docker build --build-arg UPSTREAM_IMAGE=pmproxy-standin \
	    -t pmproxy-try .
	docker compose -f compose.yaml config -q

# Without Docker: under podman, with a base of our own making.
deps-container:
	@scripts/deps container
test-container:
	@scripts/test-container $(CONTAINER_WORK)

# Longer than in test: what an upstream pours out, a minute without it.
.PHONY: test-faults
test-faults: all
	@BUILD=$(BUILD) FAULTS=1 node --test tests/e2e/upstream-hostile.test.js \
	    tests/e2e/disk-faults.test.js tests/e2e/shortage.test.js \
	    tests/e2e/clock.test.js

# Ten million requests: a minute and more, so it is not part of test.
.PHONY: test-large
test-large: all
	@BUILD=$(BUILD) node --test tests/large

# Responders die under load; test has a short form of it.
.PHONY: soak
SOAK_SECONDS ?= 600
CLIENTS ?= 500
soak: all
	@BUILD=$(BUILD) SOAK_SECONDS=$(SOAK_SECONDS) CLIENTS=$(CLIENTS) \
	    node tests/soak/run.js

# Only what is lost for good: OpenSSL and libcurl keep things to the end. What
# confines a process valgrind does not know: there is nothing for check_sandbox.
# It faults by itself, and reads stacks that nobody wrote: nor for check_wipe.
VALGRIND_BIN = $(filter-out %/check_sandbox %/check_wipe,$(UNIT_BIN))
check-valgrind: $(UNIT_BIN)
	@CK_TIMEOUT_MULTIPLIER=10 UNIT_TIMEOUT=3600 UNIT_WRAPPER="valgrind -q --error-exitcode=99 \
	    --leak-check=full --show-leak-kinds=definite \
	    --errors-for-leak-kinds=definite" \
	    scripts/unit $(BUILD)/logs/valgrind $(VALGRIND_BIN)

# All tests under ASan and UBSan, what threads share under TSan as well.
TSAN_UNITS := log limits keys settings usage config db gate upstream http
TSAN_SRC := $(sort $(foreach m,$(TSAN_UNITS),$(wildcard \
	tests/unit/check_$(m).c tests/unit/check_$(m)_*.c)))
.PHONY: sanitize-address sanitize-thread
sanitize: sanitize-address sanitize-thread
# They are some three times as slow, all processes together.
SLOWLY := PATIENCE=5 E2E_TIME=3600 UNIT_TIMEOUT=1200 CK_TIMEOUT_MULTIPLIER=5
sanitize-address: REPORTS := $(abspath $(BUILD)/asan/reports)
sanitize-address:
	$(SLOWLY) scripts/reports $(REPORTS) $(MAKE) BUILD=$(BUILD)/asan \
	    SANITIZE=address,undefined REPORTS=$(REPORTS) test
sanitize-thread: REPORTS := $(abspath $(BUILD)/tsan/reports)
sanitize-thread:
	$(SLOWLY) scripts/reports $(REPORTS) $(MAKE) BUILD=$(BUILD)/tsan \
	    SANITIZE=thread REPORTS=$(REPORTS) \
	    UNITS="$(TSAN_SRC:tests/unit/%.c=$(BUILD)/tsan/tests/%)" unit

# --- Fuzzing: tests/fuzz/fuzz_X.c with its seeds in tests/fuzz/seeds/X/ ------

FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/%)

.PHONY: fuzz fuzz-smoke fuzz-build
fuzz-build:
	$(MAKE) CC=clang BUILD=$(BUILD)/fuzz \
	    SANITIZE=fuzzer-no-link,address,undefined fuzz-programs
fuzz: fuzz-build
	@scripts/fuzz $(FUZZ_SECONDS) $(BUILD)/fuzz \
	    $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
fuzz-smoke: fuzz-build
	@scripts/fuzz 5 $(BUILD)/fuzz $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)

# With BUILD and SANITIZE as fuzz-build gives them.
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_BIN)
$(FUZZ_BIN): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o $(LIB)
	$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(FUZZ_MORE) $(LIB) \
	    $(LIBS_FCGI)
$(BUILD)/fuzz_import: $(CLI_LIB)
$(BUILD)/fuzz_import: FUZZ_MORE = $(CLI_LIB)

# --- Mutants: does a unit test notice when lib/ is broken? --------------------

# make mutate MODULES="keys json" MUTANTS=100 SEED=1
.PHONY: mutate
mutate: all
	@BUILD=$(BUILD) MUTANTS=$(MUTANTS) SEED=$(SEED) scripts/mutate $(MODULES)

# --- Measuring ---------------------------------------------------------------

.PHONY: bench bench-smoke
# LOADS="1 4" ROUNDS=5 SECONDS_EACH=2 QUICK=1: see bench/README.md.
bench: deps-bench
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) bench/run

# Instructions of a request against a committed number; the same everywhere
# with the same libraries, however busy the machine is.
bench-smoke: all
	@BUILD=$(BUILD) bench/smoke

# --- Static checks -----------------------------------------------------------

HEADERS := $(wildcard lib/*.h fcgi/*.h cgi-admin/*.h cli/*.h bench/*.h \
	tests/*/*.h)
CHECK_FLAGS = $(filter-out -MMD -MP,$(CFLAGS_ALL))

.PHONY: lint check-headers check-layers check-compilers compile-flags
lint:
	@scripts/lint

# Each header alone, with both compilers.
check-headers:
	@failed=0; for cc in gcc clang; do for h in $(HEADERS); do \
		$$cc $(CHECK_FLAGS) -Wno-unused-function -fsyntax-only \
		    -x c $$h || failed=1; \
	done; done; exit $$failed

check-layers:
	@scripts/check-layers

# Everything, unit tests included, with both compilers and no warning. What was
# built that way is not built again.
ONE_COMPILER = $(if $(filter gcc,$(CC)),$(if $(WERROR),$(BUILD),),)
check-compilers:
	@$(MAKE) -s CC=gcc BUILD=$(or $(ONE_COMPILER),$(BUILD)/gcc) \
	    WERROR=-Werror compile-all
	@$(MAKE) -s CC=clang BUILD=$(BUILD)/clang OPTIMISE=-O1 \
	    WERROR=-Werror compile-all

.PHONY: compile-all
compile-all: all $(UNIT_BIN) \
	$(FUZZ_SRC:%.c=$(BUILD)/obj/%.o)

compile-flags:
	@echo '$(CHECK_FLAGS)'

# --- Installing --------------------------------------------------------------

# The names of the GNU coding standards. STATE_DIR and RUN_DIR are where they
# are: see .env.example.
SYSCONFDIR    ?= /etc
LOCALSTATEDIR ?= /var
RUNSTATEDIR   ?= /run
UNITDIR       ?= $(PREFIX)/lib/systemd/system
ETC      := $(SYSCONFDIR)/pmproxy
PROGDIR  := $(PREFIX)/lib/pmproxy
SHAREDIR := $(PREFIX)/share/pmproxy
DOCDIR   ?= $(PREFIX)/share/doc/pmproxy
MAN      := $(wildcard docs/man/*.[1-8])
UNITS_IN := $(wildcard systemd/*.service.in systemd/*.socket.in)
TO := $(DESTDIR)
# What runs as a command: in PROGDIR, with a link of that name in bin/.
COMMANDS := $(CLI_BIN) $(BUILD)/bin/pmproxy-certificate

# The places it was configured for, in programs and units.
PLACES := s|@BIN@|$(PREFIX)/bin|g; s|@LIB@|$(PROGDIR)|g; \
	s|@SHARE@|$(SHAREDIR)|g; s|@ETC@|$(ETC)|g

# Where a program was compiled for other folders than these, again.
$(BUILD)/obj/places: always
	@mkdir -p $(@D)
	@echo '$(ETC) $(LOCALSTATEDIR) $(RUNSTATEDIR)' | cmp -s - $@ || \
	    echo '$(ETC) $(LOCALSTATEDIR) $(RUNSTATEDIR)' >$@
$(BUILD)/obj/cli/setup_gather.o $(BUILD)/obj/lib/config_table.o: \
	$(BUILD)/obj/places
$(BUILD)/obj/cli/setup_gather.o: CFLAGS_ALL += -DPMPROXY_ETC='"$(ETC)"'
$(BUILD)/obj/lib/config_table.o: CFLAGS_ALL += \
	-DPMPROXY_STATE='"$(LOCALSTATEDIR)/lib/pmproxy"' \
	-DPMPROXY_RUN='"$(RUNSTATEDIR)/pmproxy"'

.PHONY: install install-programs install-files install-units always
install: install-programs install-files install-units

install-programs: all
	# It was a link to bin/ once.
	[ ! -L $(TO)$(PROGDIR)/bin ] || rm $(TO)$(PROGDIR)/bin
	install -d $(TO)$(PREFIX)/bin $(TO)$(PROGDIR)/bin \
	    $(TO)$(PROGDIR)/fcgi $(TO)$(PROGDIR)/cgi-admin
	install -m 755 $(COMMANDS) $(TO)$(PROGDIR)/bin
	sed '$(PLACES)' systemd/command.in >$(TO)$(PROGDIR)/command
	chmod 755 $(TO)$(PROGDIR)/command
	for name in $(notdir $(COMMANDS)); do \
	    ln -sfn ../lib/pmproxy/command $(TO)$(PREFIX)/bin/$$name; done
	install -m 755 $(BUILD)/fcgi/v1.fcgi $(TO)$(PROGDIR)/fcgi
	install -m 755 $(ADMIN_BIN) $(TO)$(PROGDIR)/cgi-admin
	rm -f $(TO)$(PROGDIR)/cgi-admin/style-*.css
	install -m 644 $(BUILD)/cgi-admin/$(ADMIN_CSS) $(TO)$(PROGDIR)/cgi-admin
	for mo in $(ADMIN_MO:$(BUILD)/%=%); do \
	    install -D -m 644 $(BUILD)/$$mo $(TO)$(PROGDIR)/$$mo; done

install-files:
	install -d $(TO)$(SHAREDIR) $(TO)$(DOCDIR) $(TO)$(ETC)
	install -m 644 lighttpd.conf Caddyfile.example .env.example \
	    $(TO)$(SHAREDIR)
	cp -R --no-preserve=ownership share/. $(TO)$(SHAREDIR)
	for page in $(MAN); do install -D -m 644 $$page \
	    $(TO)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -m 644 LICENSE README.md $(TO)$(DOCDIR)

# Changed by the admin, so what is there stays.
install-units:
	install -d $(TO)$(UNITDIR) $(TO)$(ETC)
	for unit in $(UNITS_IN:systemd/%.in=%); do \
	    sed -e '/^@HARDENING@$$/ { r systemd/hardening' -e 'd }' \
	        -e '$(PLACES)' systemd/$$unit.in >$(TO)$(UNITDIR)/$$unit && \
	    chmod 644 $(TO)$(UNITDIR)/$$unit || exit; done
	install -m 644 $(wildcard systemd/*.timer) $(TO)$(UNITDIR)
	[ -e $(TO)$(ETC)/privatemode-proxy.conf ] || install -m 644 \
	    systemd/privatemode-proxy.conf $(TO)$(ETC)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
