#!/usr/bin/env bash
# Everything `make test` does, phase by phase. Ends with the one line `N passed, N failed`; fails if any test failed,
# any phase failed, or no test ran. Arguments go to `cargo test` (`make test TEST=audit`).
set -uo pipefail
cd "$(dirname "$0")/.."
# cargo asks the compiler about itself by `rustc -`, which reads what whoever started this has left on stdin. Of a pipe
# that nobody writes to nothing can be read, whatever has become of /dev/null.
exec < <(:)

cache=${SEALOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sealops}
mkdir -p "$cache"
log=$(mktemp "$cache/test-log.XXXXXX")
parts=$(mktemp "$cache/test-parts.XXXXXX")
trap 'rm -f "$log" "$parts"' EXIT
failures=0
# With it the test runs that tells whether the generated crds/*.yaml are fresh.
features=sealops-crds/schema

# phase NAME COMMAND…: runs it, tells its time, remembers its failure
phase() {
  local name=$1 started=$SECONDS status=0
  shift
  echo "== $name"
  "$@" || status=$?
  echo "$name: $((SECONDS - started)) seconds"
  [ "$status" -eq 0 ] || { echo "$name failed ($status)" >&2; failures=$((failures + 1)); }
  return "$status"
}

build_parts() { testenv/build-parts.sh >"$parts"; }

compile() {
  # The tests start both binaries; inside the namespace there is no network, so everything is fetched here.
  cargo build --locked -p sealops -p sealops-controller &&
    cargo test --locked --workspace --features "$features" --no-run
}

run_tests() {
  SEALOPS_TEST_PARTS=$parts RUST_TEST_THREADS=${RUST_TEST_THREADS:-2} \
    testenv/in-namespace.sh cargo test --locked --offline --workspace --features "$features" \
    --lib --bins --tests --no-fail-fast "$@" \
    2>&1 | tee -a "$log"
}

doc_tests() { cargo test --locked --offline --workspace --features "$features" --doc --no-fail-fast 2>&1 | tee -a "$log"; }

docs() { RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items; }

phase preflight testenv/preflight.sh || exit 1
phase parts build_parts || exit 1
phase lint make --no-print-directory lint
if phase compile compile; then
  phase tests run_tests "$@"
  phase doctests doc_tests
fi
phase docs docs
phase dependencies testenv/check-dependencies.sh

# A test binary that dies prints no result line; its phase has failed then, which counts below.
read -r passed failed < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$log" |
  awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
[ "$failures" -eq 0 ] || echo "$failures phases failed: see above" >&2
echo "$passed passed, $failed failed"
[ "$failures" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
