#!/usr/bin/env bash
# Runs a program in a folder that assemble.sh made, as the Deployment's security context would: the folder is the root
# and read-only, uid and gid are 1001, no capabilities (bounding set included), no new privileges. Network and
# environment are the caller's. The program replaces this process: signals reach it, the exit code is its own.
#
#   deploy/run-assembled.sh [--volume SOURCE:TARGET]… FOLDER PROGRAM [ARGUMENT…]
#
# PROGRAM is a path inside the folder. A volume is a file or folder that is mounted read-only, such as a service
# account's folder; TARGET lies under /run/ or /var/run/. What it holds must be readable for uid 1001.
#
# As root, uid 1001 is the real one. Without root, or as root of a user namespace that knows no uid 1001 (unshare -r),
# the caller's uid is called 1001 in a user namespace of its own.
set -euo pipefail

usage() {
  echo "usage: $0 [--volume SOURCE:TARGET]… FOLDER PROGRAM [ARGUMENT…]" >&2
  exit 2
}

if [ "${SEALOPS_ASSEMBLED:-}" != inside ]; then
  case ${1:-} in '' | -h | --help) usage ;; esac
  # `unshare --mount` makes every mount private first: nothing that happens here is seen outside.
  if [ "$(id -u)" = 0 ] && awk '$1 <= 1001 && 1001 < $1 + $3 { found = 1 } END { exit !found }' /proc/self/uid_map; then
    SEALOPS_ASSEMBLED=inside exec unshare --mount -- bash "$0" "$@"
  fi
  SEALOPS_ASSEMBLED=inside \
    exec unshare --user --map-user=1001 --map-group=1001 --keep-caps --mount -- bash "$0" "$@"
fi
unset SEALOPS_ASSEMBLED

volumes=()
while [ "${1:-}" = --volume ]; do
  volumes+=("${2:-}")
  shift 2 || usage
done
[ $# -ge 2 ] || usage
root=$(realpath -- "$1")
program=$2
shift 2
[ -d "$root/usr/local/bin" ] || { echo "$0: $root was not made by assemble.sh" >&2; exit 1; }

# What a container runtime brings: /proc, a small /dev, and /run for the volumes.
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
for volume in "${volumes[@]}"; do
  source=$(realpath -- "${volume%:*}")
  target=${volume##*:}
  case $target in
    *..*) usage ;;
    /run/?*) ;;
    /var/run/?*) target=${target#/var} ;;
    *) usage ;;
  esac
  mkdir -p "$(dirname "$root$target")"
  if [ -d "$source" ]; then mkdir -p "$root$target"; else : >"$root$target"; fi
  mount --bind "$source" "$root$target"
  mount -o remount,bind,ro "$root$target"
done
mount -o remount,bind,ro "$root/dev"
mount -o remount,bind,ro "$root/run"
mount -o remount,bind,ro "$root"

# The last steps need a privilege that the next one gives up, and no tool is left in the new root: one process does
# them all, by the kernel's calls.
exec python3 -I -c '
import ctypes, os, sys
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)

def call(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

root, program, arguments = sys.argv[1], sys.argv[2], sys.argv[2:]
os.chroot(root)
os.chdir("/")
with open("/proc/sys/kernel/cap_last_cap") as file:
    last = int(file.read())
for capability in range(last + 1):
    call(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
if os.getuid() != 1001:
    os.setgroups([])
    os.setresgid(1001, 1001, 1001)
    os.setresuid(1001, 1001, 1001)
call(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
call(libc.capset(header, (ctypes.c_uint32 * 6)()))
call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
try:
    os.execv(program, arguments)
except OSError as error:
    sys.exit(f"run-assembled: {program}: {error.strerror}")
' "$root" "$program" "$@"
