# minidock: `make help` lists the targets. `make demo` is the first thing to type, `make test` the second.
SHELL  := /bin/sh
PREFIX ?= /usr/local
CARGO  ?= cargo
BIN    := target/release/minidock
# apt packages: a linker, the static busybox that our base images are made of, and what the tests look at the kernel with
NEEDED  := gcc libc6-dev make busybox-static
TESTERS := docker-registry apache2-utils openssl jq iproute2 util-linux libcap2-bin strace python3

.DEFAULT_GOAL := help
.PHONY: help setup build release images images-all demo test test-peers check bench fuzz doc install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## install the packages and the Rust toolchain that a build needs (Debian, Ubuntu)
	@sh tests/setup $(NEEDED)

build: setup ## build the debug binary, target/debug/minidock
	@$(CARGO) build

release: setup ## build the release binary, static, target/release/minidock
	@$(CARGO) rustc --release --bin minidock -- -C target-feature=+crt-static -C relocation-model=static

images: release ## build the base images (alpine, busybox, hello-world) from this machine's packages
	@MINIDOCK=$(CURDIR)/$(BIN) images/build

images-all: release ## build all images that the labs name (needs root, debootstrap and this machine's apt; some minutes)
	@sh tests/setup $(NEEDED) debootstrap
	@MINIDOCK=$(CURDIR)/$(BIN) images/build all

demo: images ## all of the set-up, then the first commands: a container, and a service on three simulated nodes
	@echo '$$ minidock run alpine ls -l'
	@$(BIN) run alpine ls -l
	@MINIDOCK=$(CURDIR)/$(BIN) sh examples/demo.sh

test: setup ## run every test (needs root: containers are real)
	@sh tests/setup $(TESTERS)
	@sh tests/run

test-peers: setup ## compare with docker, runc, skopeo, umoci, podman, and try an emulated Debian (installs them; not part of `make test`)
	@sh tests/setup docker.io docker-registry runc skopeo umoci buildah podman debootstrap jq
	@sh tests/peers/run

check: setup ## formatting, lints, the building inspector, licences
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@$(CARGO) test -q --test architecture
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; else echo 'cargo-deny is not installed: licences and advisories were not checked'; fi

bench: release ## measure against the kernel's floor and the peers on this machine; prints ratios
	@sh benches/run

fuzz: setup ## the property tests of every parser, many more cases than `make test` runs
	@PROPTEST_CASES=$${PROPTEST_CASES:-20000} $(CARGO) test --workspace --lib --release

doc: setup ## the book: the essays of all rooms, private items included, broken links denied
	@RUSTDOCFLAGS='-D rustdoc::broken_intra_doc_links' $(CARGO) doc --workspace --no-deps --document-private-items

install: release ## install the binary, completions and man pages below PREFIX (default /usr/local)
	@install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/minidock
	@mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/share/man/man1
	@$(BIN) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/minidock
	@$(BIN) completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_minidock
	@$(BIN) completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/minidock.fish
	@$(BIN) man $(DESTDIR)$(PREFIX)/share/man/man1

uninstall: ## remove what `install` put there (containers and images stay: see README)
	@rm -f $(DESTDIR)$(PREFIX)/bin/minidock $(DESTDIR)$(PREFIX)/share/bash-completion/completions/minidock \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_minidock $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/minidock.fish \
		$(DESTDIR)$(PREFIX)/share/man/man1/minidock.1 $(DESTDIR)$(PREFIX)/share/man/man1/minidock-*.1

clean: ## remove everything that was built
	@$(CARGO) clean
