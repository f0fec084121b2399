#!/usr/bin/env bash
# Runs COMMAND in a private network, mount and process namespace: `lo` is up and has 10.99.0.1, nothing else is
# reachable, and TMPDIR is in memory. When COMMAND ends, everything it has started and written there is gone.
#
#   testenv/in-namespace.sh COMMAND…
#
# 10.99.0.1 stands for the address of a pod: the API server's service proxy dials no loopback address. No root needed
# where unprivileged user namespaces are allowed.
set -euo pipefail

if [ "${SEALOPS_IN_NAMESPACE:-}" != inside ]; then
  [ $# -gt 0 ] || { echo "usage: $0 COMMAND…" >&2; exit 2; }
  if ! unshare -r -n -m -p -f --mount-proc true; then
    echo "$0: cannot make namespaces here: as root allow kernel.unprivileged_userns_clone=1, user.max_user_namespaces" \
      "and kernel.apparmor_restrict_unprivileged_userns=0, in a container run it privileged" >&2
    exit 1
  fi
  # An empty folder that stays; the memory behind it belongs to one run. Short, for the sockets of GnuPG.
  scratch=/tmp/sealops-$(id -u)
  mkdir -p -m 0700 "$scratch"
  [ -O "$scratch" ] && [ ! -L "$scratch" ] || { echo "$0: $scratch belongs to somebody else: remove it" >&2; exit 1; }
  SEALOPS_IN_NAMESPACE=inside SEALOPS_SCRATCH=$scratch \
    exec unshare -r -n -m -p -f --kill-child --mount-proc bash "$0" "$@"
fi

mount -t tmpfs -o mode=0700 tmpfs "$SEALOPS_SCRATCH"
export TMPDIR=$SEALOPS_SCRATCH CARGO_NET_OFFLINE=true
unset SEALOPS_IN_NAMESPACE SEALOPS_SCRATCH
ip link set lo up
ip addr add 10.99.0.1/32 dev lo
# Where clouds have the metadata of a machine and of a container: a test listens there for as long as it lasts.
ip addr add 169.254.169.254/32 dev lo
ip addr add 169.254.170.2/32 dev lo
# This shell is process 1: without a handler it would not even see Ctrl-C, and it collects orphans.
trap 'exit 130' INT
trap 'exit 143' TERM
status=0
"$@" || status=$?
exit "$status"
