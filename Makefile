# Each target installs what it needs and lacks (scripts/setup says what it does) and then runs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help demo test lint ui screenshots openapi bench dist soak faults setup
help:
	@echo "make demo    launch containers on two simulated sites, with live progress and a proof"
	@echo "make test    all tests"
	@echo "make lint    formatting, clippy with warnings as errors, licences and banned dependencies"
	@echo "make ui      the web page, from ui/ into ui/dist, which is committed"
	@echo "make screenshots  pictures of every view of the web page in both themes, into docs/images/ui"
	@echo "make openapi the description of the HTTP API, into schema/openapi.json, which is committed"
	@echo "make bench   one JSON line per figure"
	@echo "make dist    the static binary and the Debian package, in target/dist-out"
	@echo "make faults  the fault suite on real processes in its full sizes, as a table (ROWS='07 12' picks rows)"
	@echo "make soak    both simulations, of the engine and of the whole system, over SEEDS=N seeds (default 10000)"

demo:
	@scripts/setup build demo
	cargo build --quiet -p rapidlaunch
	"$(CARGO_TARGET_DIR)/debug/rapidlaunch" demo $(ARGS)

test:
	@scripts/setup build test
	cargo build --workspace --all-targets
	cargo nextest run --workspace --no-fail-fast

lint:
	@scripts/setup build lint
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny --offline check bans licenses sources
	scripts/ui-check

ui:
	@scripts/setup lint
	scripts/ui-build --emptyOutDir

screenshots:
	@scripts/setup build test
	cargo build --quiet -p rapidlaunch
	UI_PACKAGES="$$(scripts/page-packages)" node ui/tests/pictures.mjs "$(CARGO_TARGET_DIR)/debug/rapidlaunch" docs/images/ui

openapi:
	@scripts/setup build
	cargo build --quiet -p rapidlaunch
	"$(CARGO_TARGET_DIR)/debug/rapidlaunch" openapi > schema/openapi.json

bench:
	@scripts/setup build
	cargo build --quiet --release -p rapidlaunch
	@"$(CARGO_TARGET_DIR)/release/rapidlaunch" bench $(ARGS)

dist:
	@scripts/setup build
	scripts/dist

SEEDS ?= 10000
soak:
	@scripts/setup build test
	SIM_SEEDS=$(SEEDS) cargo nextest run --release --no-fail-fast -p rl-engine -p rl-ops \
		-E '(package(rl-engine) and test(/^sim::/)) or (package(rl-ops) and binary(whole) and test(simulation))'

faults:
	@scripts/setup build test
	@scripts/faults $(ROWS)
