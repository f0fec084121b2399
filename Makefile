# The table of contents of the project: `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(SEALOPS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sealops)
# Outside the working copy, one per dependency graph: a fresh checkout finds what another one has built.
CARGO_TARGET_DIR ?= $(CACHE)/target-$(shell cat Cargo.lock rust-toolchain.toml | sha256sum | cut -c1-12)
export CARGO_TARGET_DIR

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# Before anything is built: the build folder may be another checkout's.
.PHONY: own-checkout
own-checkout:
	@testenv/own-checkout.sh

.PHONY: demo
demo: own-checkout ## seal a Secret, render it offline, see a changed byte refused; no cluster
	demo/run.sh

.PHONY: test
test: own-checkout ## check, build and test everything against the real servers
	testenv/run-tests.sh $(TEST)

.PHONY: differential
differential: own-checkout ## compare 100,000 generated templates with Go itself
	SEALOPS_DIFFERENTIAL_CASES=$${SEALOPS_DIFFERENTIAL_CASES:-100000} cargo test --locked -p sealops-template \
	  --test runner -- --nocapture generated_templates

.PHONY: sops-differential
sops-differential: own-checkout ## open and change 100,000 generated files by sops itself; takes hours
	cargo build --locked -p sealops -p sealops-controller
	cargo test --locked -p sealops --test runner --no-run
	parts=$$(mktemp) && testenv/build-parts.sh >"$$parts" \
	  && SEALOPS_TEST_PARTS=$$parts SOPS_DIFFERENTIAL_CASES=$${SOPS_DIFFERENTIAL_CASES:-100000} testenv/in-namespace.sh \
	    cargo test --locked --offline -p sealops --test runner -- --nocapture sops::differential && rm -f "$$parts"

.PHONY: cluster
cluster: own-checkout ## start a control plane with sealops in it, until Ctrl-C
	testenv/preflight.sh
	cargo build --locked -p sealops-controller
	cargo run --locked -p sealops-testenv --bin cluster -- --controller "$$CARGO_TARGET_DIR/debug/sealops-controller"

.PHONY: bench
bench: own-checkout ## measure against the real tools
	testenv/preflight.sh
	cargo build --locked --release -p sealops -p sealops-controller -p sealops-bench
	testenv/in-namespace.sh cargo run --locked --offline --release -p sealops-bench

.PHONY: start-order
start-order: own-checkout ## find anew which functions stand together for a fast start; before a release
	map=$$(mktemp) && list=$$(mktemp) \
	  && SEALOPS_LINK_MAP=$$map cargo build --locked --release -p sealops \
	  && cargo build --locked --release -p sealops-bench --bin bench-order \
	  && "$$CARGO_TARGET_DIR/release/bench-order" "$$map" "$$CARGO_TARGET_DIR/release/sealops" >"$$list" \
	  && cp "$$list" cli/start-order.txt && rm -f "$$map" "$$list"

.PHONY: fuzz
fuzz: own-checkout ## fuzz the template engine for ten minutes; needs cargo-fuzz
	cd controller/template && RUSTC_BOOTSTRAP=1 cargo fuzz run template -- -max_total_time=600 -timeout=10

.PHONY: lint
lint: own-checkout ## check formatting and run clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p sealops -- -D warnings
	cargo clippy --locked -p sealops --no-default-features -- -D warnings

.PHONY: fmt
fmt: ## format the sources
	cargo fmt --all

.PHONY: deny
deny: ## check licences, sources and bans of the dependencies
	cargo deny --offline check bans licenses sources

.PHONY: generate
generate: own-checkout ## write the generated files again
	cargo run --locked -p sealops-crds --features schema --bin crdgen

.PHONY: clean-cache
clean-cache: ## remove built parts and build folders from the cache
	rm -rf -- "$(CACHE)"/parts "$(CACHE)"/target-*
