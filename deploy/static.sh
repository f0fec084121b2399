#!/usr/bin/env bash
# Writes static/sealops.yaml: the definitions and the kustomization in one file. `kustomize` is the one on PATH, or the
# one that testenv built (a line `kustomize=PATH` of testenv/build-parts.sh).
set -euo pipefail
cd "$(dirname "$0")"

kustomize=${KUSTOMIZE:-$(command -v kustomize || ../testenv/build-parts.sh | sed -n 's/^kustomize=//p')}
mkdir -p static
{
  echo "# Written by deploy/static.sh. Name your image: sed 's|image: sealops:.*|image: registry.example/sealops:0.1.0|'"
  # In the order in which the program has them.
  sed -n 's/^    "\([a-z].*\.yaml\)",$/\1/p' ../crds/src/lib.rs | while read -r definition; do
    echo "---"
    cat "../crds/$definition"
  done
  echo "---"
  "$kustomize" build kustomize/base
} >static/.sealops.yaml.new
mv static/.sealops.yaml.new static/sealops.yaml
