# pmproxy. `make help` lists the targets; every output lands under build/.

BUILD   ?= build
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
OPTIMISE ?= -O2 -g
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE -iquote . $(OPTIMISE) \
	$(WARN) $(HARDEN) -MMD -MP -pthread \
	$(shell pkg-config --cflags json-c libcurl libcrypto) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now $(SANLINK) -pthread $(LDFLAGS)

# Each program links what it needs and nothing else.
LIBS_BASE := -lgdbm -ljson-c -lcrypto
LIBS_FCGI := -lfcgi -lcurl $(LIBS_BASE)
LIBS_TEST := -lfcgi -lcurl $(shell pkg-config --libs check 2>/dev/null) \
	$(LIBS_BASE)

LIB_SRC  := $(wildcard lib/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
LIB      := $(BUILD)/obj/libpmproxy.a
FCGI_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard fcgi/*.c))
CLI_SRC  := $(wildcard cli/pm*.c)
CLI_BIN  := $(CLI_SRC:cli/%.c=$(BUILD)/bin/%)
CLI_OBJ  := $(patsubst %.c,$(BUILD)/obj/%.o,\
	$(filter-out $(CLI_SRC),$(wildcard cli/*.c)))
STANDIN_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/standin/*.c))
UNIT_SRC := $(wildcard tests/unit/check_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
UNIT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,\
	$(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))

PROGRAMS := $(CLI_BIN)
ifneq ($(FCGI_OBJ),)
PROGRAMS += $(BUILD)/fcgi/v1.fcgi
endif
ifneq ($(STANDIN_OBJ),)
PROGRAMS += $(BUILD)/tests/standin
endif

.PHONY: all help clean format
all: $(PROGRAMS)

help:
	@echo 'make            build everything'
	@echo 'make demo       start the gate with a stand-in upstream, print a key'
	@echo 'make test       unit and end-to-end tests'
	@echo 'make deps       install the Debian packages that are missing'
	@echo 'make lint       static checks'
	@echo 'make sanitize   the tests under ASan+UBSan and TSan'
	@echo 'make fuzz       run each fuzzer for FUZZ_SECONDS'
	@echo 'make bench      measure beside what you would use instead'
	@echo 'make install    DESTDIR= PREFIX='

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

# The whole list of objects, so that a removed source leaves the archive too.
$(LIB): $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)

$(BUILD)/fcgi/v1.fcgi: $(FCGI_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(FCGI_OBJ) $(LIB) $(LIBS_FCGI)

$(CLI_BIN): $(BUILD)/bin/%: $(BUILD)/obj/cli/%.o $(CLI_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(CLI_OBJ) $(LIB) $(LIBS_BASE)

$(BUILD)/tests/standin: $(STANDIN_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(STANDIN_OBJ) $(LIB) $(LIBS_BASE)

$(UNIT_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(UNIT_OBJ) $(LIB) $(LIBS_TEST)

# check_buf sees each block of lib/buf on its way back to the heap.
$(BUILD)/obj/watched_buf.o: $(BUILD)/obj/lib/buf.o
	objcopy --redefine-sym malloc=watched_malloc \
	    --redefine-sym free=watched_free $< $@
$(BUILD)/tests/check_buf: $(BUILD)/obj/watched_buf.o
$(BUILD)/tests/check_buf: UNIT_OBJ += $(BUILD)/obj/watched_buf.o

.PHONY: unit
unit: $(UNIT_BIN)
	@set -e; for t in $(UNIT_BIN); do $$t; done

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
