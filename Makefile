# The ways to build, try and check linkpush. Everything that grows beyond a line is a script in tests/support.

# What `make demo` listens on: the edge, and the origin behind it.
PORT ?= 8080
ORIGIN_PORT ?= 9000
# `make demo ONCE=1` stops after the check.
ONCE ?=
# How long `make fuzz` fuzzes each target.
SECONDS ?= 60
# Which applications `make test-applications` and `make bench-browser` take: all, if none is named.
APPS ?=
# What `make bench` is to do: see BENCH=--help.
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test test-applications chain lint fuzz bench bench-browser bench-latency bench-instructions clean

help:
	@echo 'make build   the release binary, target/release/linkpush'
	@echo 'make demo    an edge and an origin, and the proof that assets are pushed'
	@echo '             PORT=8080 ORIGIN_PORT=9000 choose ports, ONCE=1 stops after the proof'
	@echo 'make test    format, lints, documentation, tests: what CI runs'
	@echo 'make test-applications   Django, WordPress, Rails, Next.js, SvelteKit and Nuxt, unchanged, behind linkpush, in'
	@echo '             Chromium and Firefox; APPS="django next" for some of them'
	@echo 'make chain   linkpush among hitch, Varnish, HAProxy, nginx and Symfony: who pushes where'
	@echo 'make lint    format and lints only'
	@echo 'make fuzz    any bytes, by cargo-fuzz, to whatever reads those of others; SECONDS=60 for each target'
	@echo 'make bench   CPU and memory of linkpush and six other proxies, and what pushes cost the document'
	@echo '             BENCH=--quick to try it, BENCH=--help for more'
	@echo 'make bench-browser   load time and LCP in Chromium, with and without learning: of a made page, and of APPS'
	@echo 'make bench-latency   page loads with latency, through linkpush and six other proxies'
	@echo 'make bench-instructions   instructions a request or page, by callgrind: linkpush, nginx, nghttpx, HAProxy'
	@echo '             BENCH="--linkpush FILE" for another build beside it, BENCH=--help for more'
	@echo 'make clean   remove what was built'

build:
	@tests/support/install.sh build
	cargo build --release --locked

demo:
	@tests/support/install.sh build
	cargo build --profile demo --locked
	@PORT='$(PORT)' ORIGIN_PORT='$(ORIGIN_PORT)' ONCE='$(ONCE)' tests/support/demo.sh

test:
	@tests/support/install.sh build test clients
	@tests/support/check.sh format clippy features documentation dependencies minimum fuzz chain release tests

# Not part of `make test`: it installs servers and frameworks, and builds each application once.
test-applications:
	@tests/support/install.sh build test applications
	cargo build --locked
	@node tests/applications/run.js $${CARGO_TARGET_DIR:-target}/debug/linkpush $(APPS)

# Part of `make test`, too.
chain:
	@tests/support/install.sh build test chain
	cargo build --locked
	@tests/chain/run.sh

lint:
	@tests/support/install.sh build
	@tests/support/check.sh format clippy

fuzz:
	@tests/support/fuzz.sh '$(SECONDS)'

# A server that cannot be installed is left out, and said to be: here, and below. What is said to the first benchmark
# (BENCH=--only=plain) is not for the second.
bench:
	@tests/support/install.sh build load peers
	cargo bench --locked --bench edge -- $(BENCH)
	$(if $(filter-out --quick,$(BENCH)),,cargo bench --locked --bench document $(if $(BENCH),-- --rounds 1))

bench-browser: build
	@tests/support/install.sh test applications
	node benches/browser.js $${CARGO_TARGET_DIR:-target}/release/linkpush $(BENCH)
	node benches/applications.js $${CARGO_TARGET_DIR:-target}/release/linkpush $(APPS)

bench-latency:
	@tests/support/install.sh build peers
	cargo bench --locked --bench latency

bench-instructions:
	@tests/support/install.sh build load count peers
	cargo bench --locked --bench instructions -- $(BENCH)

clean:
	cargo clean
