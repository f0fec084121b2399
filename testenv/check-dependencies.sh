#!/usr/bin/env bash
# The dependency graph as a design decision (ARCHITECTURE.md): what must not be in it, and how large it may be.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() {
  echo "dependencies: $1" >&2
  failed=1
}

# never CRATE PATTERN WHY CARGO-TREE-ARGUMENTS…
never() {
  local crate=$1 pattern=$2 why=$3 tree found
  shift 3
  tree=$(cargo tree --locked --quiet -p "$crate" -e normal --prefix none "$@")
  found=$(grep -E "$pattern" <<<"$tree" | sort -u | tr '\n' ' ') || return 0
  complain "$crate $* depends on $found- $why"
}

never sealops-controller '^rsa v' "its decryption is not constant-time; aws-lc-rs does RSA"
# The command line holds rsa 0.9, by age's SSH keys and by pgp (deny.toml says why). Nothing else may bring it there.
for parent in $(cargo tree --locked --quiet -p sealops -e normal --prefix none --invert rsa --depth 1 2>/dev/null |
  sed -n '2,$s/ .*//p'); do
  case $parent in age | pgp) ;; *) complain "$parent brings rsa into sealops: only age and pgp may" ;; esac
done
never sealops '^(kube|kube-[a-z]+|aws-sdk-[a-z0-9]+|tokio|hyper) v' \
  "the command line without default features has no cluster and no cloud" --no-default-features

# 480 until SOPS came: age, OpenPGP and post-quantum HPKE are 100 packages of small algorithms, which we do not write.
limit=600
packages=$(grep -c '^\[\[package\]\]' Cargo.lock)
[ "$packages" -le "$limit" ] || complain "Cargo.lock has $packages packages, more than $limit: which one is not worth it?"
exit "$failed"
