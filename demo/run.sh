#!/usr/bin/env bash
# Seals a Secret, opens it without a cluster, and shows that a changed file is refused. Writes to a temporary folder only.
set -euo pipefail

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
# Ciphertexts fill the screen otherwise.
shorten() { sed -E 's#[A-Za-z0-9+/]{60,}={0,2}#[about 700 characters of ciphertext]#' "$1"; }

step "Building the offline tool: no network code, no async runtime in it"
# `rustc -`, by which cargo asks the compiler about itself, reads stdin.
cargo build --quiet --locked --profile demo -p sealops --no-default-features < <(:)
PATH=$(cd "$target/demo" && pwd):$PATH
# Neither a cluster nor settings of this machine play a part.
while read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(SEALED_SECRETS_|KUBE)' || true)
export HOME=$folder
cd "$folder"

step "1. A key pair. tls.crt is public and seals; tls.key opens and stays with the controller"
show sealops keys generate -o pair
sealops keys generate -o pair

step "2. A Secret, as everybody writes it. It must not be committed"
cat > secret.yaml <<'SECRET'
apiVersion: v1
kind: Secret
metadata:
  name: database
  namespace: shop
type: Opaque
stringData:
  user: shop
  password: correct horse battery staple
SECRET
cat secret.yaml

step "3. Sealed with the certificate. This file can be committed"
show sealops seal --cert pair/tls.crt -f secret.yaml -w manifests/database.yaml
mkdir manifests
sealops seal --cert pair/tls.crt -f secret.yaml -w manifests/database.yaml
shorten manifests/database.yaml
if grep -q -e 'correct horse' -e "$(printf 'correct hors' | base64)" manifests/database.yaml; then
    fail "the sealed file holds the password"
fi

step "4. The Secret that the cluster will hold, rendered from the folder with the controller's code and no cluster"
show sealops render manifests --key pair/tls.key
sealops render manifests --key pair/tls.key > rendered.yaml
cat rendered.yaml

step "5. The password that comes out is the one that went in"
before=$(sed -n 's/^  password: //p' secret.yaml | tr -d '\n' | sha256sum | cut -c1-64)
after=$(sed -n 's/^  password: //p' rendered.yaml | base64 -d | sha256sum | cut -c1-64)
printf 'SHA-256 of what was typed    %s\nSHA-256 of what was rendered %s\n' "$before" "$after"
[[ $before == "$after" ]] || fail "the values differ"

step "6. One changed byte of the ciphertext, and nothing is rendered at all"
mkdir changed
value=$(sed -n 's/^    password: //p' manifests/database.yaml)
at=$((${#value} - 20))
if [[ ${value:at:1} == A ]]; then other=B; else other=A; fi
sed "s|^    password: .*|    password: ${value:0:at}$other${value:at+1}|" manifests/database.yaml > changed/database.yaml
show sealops render changed --key pair/tls.key
code=0
sealops render changed --key pair/tls.key > changed.out 2> changed.err || code=$?
cat changed.err
printf 'exit code %s, %s bytes on stdout\n' "$code" "$(wc -c < changed.out | tr -d ' ')"
[[ $code -ne 0 && ! -s changed.out ]] || fail "the changed file was accepted"
grep -q 'no key could decrypt secret (password)' changed.err || fail "the error does not name the entry"

step "7. The same file under another name: a value belongs to its namespace and name"
sed 's/name: database/name: stolen/' manifests/database.yaml > changed/database.yaml
show sealops render changed --key pair/tls.key
if sealops render changed --key pair/tls.key > changed.out 2> changed.err; then fail "the moved file was accepted"; fi
cat changed.err

step "Done"
