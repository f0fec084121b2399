#!/usr/bin/env bash
# Writes static/sealops.yaml: the definitions and the kustomization in one file. `kustomize` is the one on PATH, or the
# one that testenv built (a line `kustomize=PATH` of testenv/build-parts.sh).
set -euo pipefail
cd "$(dirname "$0")"

kustomize=${KUSTOMIZE:-$(command -v kustomize || ../testenv/build-parts.sh | sed -n 's/^kustomize=//p')}
mkdir -p static
{
  echo "# Written by deploy/static.sh. Name your image: sed 's|image: sealops:.*|image: registry.example/sealops:0.1.0|'"
  for definition in bitnami.com_sealedsecrets external-secrets.io_externalsecrets external-secrets.io_secretstores \
    external-secrets.io_clustersecretstores; do
    echo "---"
    cat "../crds/$definition.yaml"
  done
  echo "---"
  "$kustomize" build kustomize/base
} >static/.sealops.yaml.new
mv static/.sealops.yaml.new static/sealops.yaml
