# ebnet: container networking with eBPF.
#
#   make                build bin/ebnet, with nothing but Go
#   sudo make demo      see it work; leaves nothing behind
#   sudo make test      install what the tests need and run all of them
#   sudo make bench     measure it beside others, BENCHFLAGS=-short in 10 minutes
#   make check          format, vet, staticcheck, generated files fresh
#   make generate       compile the BPF programs again and write their Go bindings (clang-19)
#   make fuzz           every fuzz target for FUZZTIME
#   sudo make install   PREFIX and DESTDIR as usual
#   sudo make uninstall

PREFIX ?= /usr/local
DESTDIR ?=
FUZZTIME ?= 10s
TESTFLAGS ?=
BENCHFLAGS ?=

bindir := $(PREFIX)/bin
mandir := $(PREFIX)/share/man/man1
bashdir := $(PREFIX)/share/bash-completion/completions
zshdir := $(PREFIX)/share/zsh/site-functions
fishdir := $(PREFIX)/share/fish/vendor_completions.d
unitdir := $(PREFIX)/lib/systemd/system

# sudo may hide the folder that Go is in, so look where it usually is, too.
GO := $(shell sh test/find-go.sh)
ifeq ($(GO),)
$(error Go is not in PATH nor in its usual folders; install it (https://go.dev/dl) or say make GO=/path/to/go)
endif
export PATH := $(dir $(GO)):$(PATH)
# A checkout of another user's, as under sudo, must not stop the build.
export GOFLAGS := $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
REVISION ?= $(or $(shell git rev-parse --verify -q HEAD 2>/dev/null),unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ebnet ./cmd/ebnet

ROOMS := bpf cmd control datapath loader metrics
SOURCES := go.mod go.sum $(shell find $(ROOMS) -type f -not -name '*_test.go' 2>/dev/null)

.PHONY: all
all:
	$(BUILD)

# What install needs: built again only where a source is newer.
bin/ebnet: $(SOURCES)
	$(BUILD)

.PHONY: generate
generate:
	$(GO) generate ./bpf ./test/bench/nullbpf

.PHONY: check
check:
	@unformatted=$$($(GO) tool gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run 'go tool gofumpt -w .':"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	clang-format-19 --dry-run -Werror $$(find bpf test/bench/nullbpf -name '*.[ch]')
	GO=$(GO) sh test/fresh.sh

.PHONY: test
test: root
	sh test/deps.sh
	EBNET_PRIVILEGED=1 $(GO) test -count=1 -timeout=20m $(TESTFLAGS) ./...

.PHONY: demo
demo: root all
	$(GO) run ./test/demo -ebnet bin/ebnet

.PHONY: bench
bench: root
	sh test/deps.sh
	$(GO) run ./test/bench $(BENCHFLAGS)

.PHONY: fuzz
fuzz:
	GO=$(GO) sh test/fuzz.sh $(FUZZTIME)

.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || { echo "this makes network namespaces and loads BPF programs: run it as root"; exit 1; }

.PHONY: install
install: bin/ebnet
	install -D -m 0755 bin/ebnet $(DESTDIR)$(bindir)/ebnet
	install -d $(DESTDIR)$(mandir) $(DESTDIR)$(bashdir) $(DESTDIR)$(zshdir) $(DESTDIR)$(fishdir) $(DESTDIR)$(unitdir)
	bin/ebnet man $(DESTDIR)$(mandir)
	bin/ebnet completion bash > $(DESTDIR)$(bashdir)/ebnet
	bin/ebnet completion zsh > $(DESTDIR)$(zshdir)/_ebnet
	bin/ebnet completion fish > $(DESTDIR)$(fishdir)/ebnet.fish
	sed 's|@bindir@|$(bindir)|' cmd/ebnet/ebnet.service.in > $(DESTDIR)$(unitdir)/ebnet.service

# The programs outlive the agent, and only the binary can take them out.
.PHONY: uninstall
uninstall:
	@if [ -z "$(DESTDIR)" ] && [ -e /sys/fs/bpf/ebnet ]; then \
		echo "ebnet still carries traffic here: run 'ebnet purge' first ('ebnet purge --all' forgets the networks, too)"; exit 1; fi
	rm -f $(DESTDIR)$(bindir)/ebnet $(DESTDIR)$(mandir)/ebnet.1 $(DESTDIR)$(mandir)/ebnet-*.1
	rm -f $(DESTDIR)$(bashdir)/ebnet $(DESTDIR)$(zshdir)/_ebnet $(DESTDIR)$(fishdir)/ebnet.fish
	rm -f $(DESTDIR)$(unitdir)/ebnet.service
