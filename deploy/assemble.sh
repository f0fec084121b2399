#!/usr/bin/env bash
# Assembles the image's file system in a folder, without a container engine; the Dockerfile copies the same folder.
#
#   deploy/assemble.sh OUT [BINARY…]
#
# OUT must not exist or be empty. Without BINARY it takes sealops-controller and sealops from the release build. In it:
# the binaries in /usr/local/bin, the shared libraries they name and the dynamic loader, /etc/passwd and /etc/group
# with uid 1001, certificates of public authorities where this machine has them, an empty /tmp. No shell, no package.
set -euo pipefail
umask 022

[ $# -ge 1 ] || { echo "usage: $0 OUT [BINARY…]" >&2; exit 2; }
out=$1
shift
if [ $# -eq 0 ]; then
  release=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/release
  set -- "$release/sealops-controller" "$release/sealops"
fi
for binary in "$@"; do
  [ -x "$binary" ] || { echo "$0: $binary is no program: build it first" >&2; exit 1; }
done
mkdir -p "$out"
[ -z "$(ls -A "$out")" ] || { echo "$0: $out is not empty" >&2; exit 1; }
chmod 0755 "$out"

# libraries BINARY: the paths that the dynamic loader would open, itself included; nothing for a static binary
libraries() {
  local text
  text=$(LC_ALL=C ldd "$1" 2>&1) || case $text in
    *"not a dynamic executable"* | *"statically linked"*) return 0 ;;
    *) echo "$0: ldd $1: $text" >&2; return 1 ;;
  esac
  case $text in *"not found"*) echo "$0: $1 needs a library that is not here: $text" >&2; return 1 ;; esac
  # `name => /path (0x…)`, or `/path (0x…)` for the loader; the kernel's vdso has no path.
  sed -n 's/^\t\(.* => \)\{0,1\}\(\/[^ ]*\) (0x.*/\2/p' <<<"$text"
}

mkdir -p "$out"/{usr/local/bin,etc/ssl/certs,dev,proc,run,tmp,var}
ln -s ../run "$out/var/run"
for binary in "$@"; do
  install -m 0755 "$binary" "$out/usr/local/bin/"
  found=$(libraries "$binary")
  while IFS= read -r library; do
    [ -n "$library" ] || continue
    # The path as the loader asks for it, with the content behind its links.
    [ -e "$out$library" ] || install -D -m 0755 -- "$(readlink -f "$library")" "$out$library"
  done <<<"$found"
done
# sealops answers to the name kubeseal; sealops-controller to the names that upstream's manifests call, with their flags.
[ ! -e "$out/usr/local/bin/sealops" ] || ln -s sealops "$out/usr/local/bin/kubeseal"
for name in controller external-secrets; do
  [ ! -e "$out/usr/local/bin/sealops-controller" ] || ln -s sealops-controller "$out/usr/local/bin/$name"
done

printf '%s\n' 'root:x:0:0:root:/:/nonexistent' 'sealops:x:1001:1001:sealops:/nonexistent:/nonexistent' >"$out/etc/passwd"
printf '%s\n' 'root:x:0:' 'sealops:x:1001:' >"$out/etc/group"
echo 'hosts: files dns' >"$out/etc/nsswitch.conf"
# The API server's authority comes with the service account; these are for stores on the internet.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [ -e "$bundle" ] || continue
  install -m 0644 -- "$(readlink -f "$bundle")" "$out/etc/ssl/certs/ca-certificates.crt"
  break
done
