#!/usr/bin/env bash
# Checks once for every program that the tests need, and names all that is missing with one line to install it.
# As root on Debian or Ubuntu it installs the missing packages itself (not in a dry run: `preflight.sh --check`).
set -uo pipefail

missing=()  # what to tell
packages=() # what apt-get can bring
others=()   # what it cannot

# need PROGRAM PACKAGE WHY
need() {
  command -v "$1" >/dev/null 2>&1 && return
  missing+=("$1 ($3)")
  packages+=("$2")
}

# other WHAT HOW: something that no package of the system brings
other() {
  missing+=("$1")
  others+=("$2")
}

check() {
  missing=() packages=() others=()
  need cc gcc "links Rust programs and compiles AWS-LC"
  # On Debian and Ubuntu gcc brings it; on others it is a package of its own (Fedora: glibc-static).
  if command -v cc >/dev/null 2>&1 && ! [ -e "$(cc -print-file-name=libc.a)" ]; then
    missing+=("libc.a (the command line is linked without shared libraries)")
    packages+=(libc6-dev)
  fi
  need make make "runs the targets"
  need git git "the repository"
  need flock util-linux "one builder of the parts at a time"
  need unshare util-linux "private namespaces"
  need mount mount "private namespaces"
  need ip iproute2 "addresses in the namespace"
  need openssl openssl "an independent judge of certificates"
  need gpg gnupg "SOPS files with PGP keys"
  need gpg-agent gpg-agent "SOPS files with PGP keys"
  need lua5.4 lua5.4 "Argo CD's health script"
  need promtool prometheus "alert rules"
  need ssh-keygen openssh-client "SSH keys that are made"
  need strace strace "kills a program at each of its system calls"
  need age age "an independent judge of age messages"
  need ssh-keygen openssh-client "SSH keys under a passphrase"
  need script bsdutils "a terminal for passphrases"
  need setpriv util-linux "whether another user's identity can be had"
  need sha256sum coreutils "cache keys"
  # Debian and Ubuntu put the servers of each version into a folder that is in nobody's PATH.
  need /usr/lib/postgresql/15/bin/postgres postgresql-15 "the database of SOPS's audit"
  need python3 python3 "OpenBao, moto and Azure's library are wheels"
  if command -v python3 >/dev/null 2>&1 && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    missing+=("python3's venv (OpenBao and moto are wheels)")
    packages+=(python3-venv)
  fi
  if command -v python3 >/dev/null 2>&1 && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    other "python3 >= 3.11 (found $(python3 --version))" "a newer Python"
  fi

  # rustup reads rust-toolchain.toml and brings the right version with clippy and rustfmt.
  if ! command -v cargo >/dev/null 2>&1; then
    other "cargo (the compiler)" "rustup (https://rustup.rs)"
  elif ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; then
    other "clippy and rustfmt of the version in rust-toolchain.toml" "rustup component add clippy rustfmt"
  fi

  # Go refuses a module that names a newer version than its own.
  local required version
  required=$(sed -n 's/^go //p' "$(dirname "$0")"/go/*/go.mod | sort -V | tail -1)
  version=$(GOTOOLCHAIN=local go version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p')
  if [ -z "$version" ] || [ "$(printf '%s\n%s\n' "$version" "$required" | sort -V | head -1)" != "$required" ]; then
    other "go >= $required (builds Kubernetes, etcd, SOPS, Sealed Secrets; found ${version:-none})" \
      "Go from https://go.dev/dl"
  fi

  # A program that replaces its output (as root it can) has left a file there: everything that reads it gets what
  # others have thrown away, and cargo's questions to the compiler come with it.
  if ! [ -c /dev/null ]; then
    other "/dev/null (it is a file, not the device)" "rm -f /dev/null && mknod -m 666 /dev/null c 1 3"
  fi

  if command -v unshare >/dev/null 2>&1 && ! unshare -r -n -m -p -f --mount-proc true 2>/dev/null; then
    other "namespaces (unshare -r -n -m -p)" \
      "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0 (in a container: --privileged)"
  fi
}

if ! [ -c /dev/null ] && [ "${1:-}" != --check ] && [ "$(id -u)" = 0 ]; then
  rm -f /dev/null && mknod -m 666 /dev/null c 1 3 && echo "preflight: /dev/null was a file; it is the device again" >&2
fi
check
if [ "${#packages[@]}" -gt 0 ] && [ "${1:-}" != --check ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "preflight: installing ${packages[*]}" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >&2
  check
fi
[ "${#missing[@]}" -eq 0 ] && exit 0

{
  echo "preflight: missing on this machine:"
  printf '  %s\n' "${missing[@]}"
  echo "install with:"
  [ "${#packages[@]}" -eq 0 ] || echo "  apt-get install -y $(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')"
  [ "${#others[@]}" -eq 0 ] || printf '  %s\n' "${others[@]}"
} >&2
exit 1
