# Sourced by scripts/start and scripts/test: what a fresh Debian machine with Node, npm and git lacks, installed once.
# Every step looks first whether it is done, without starting npm, so that a second start costs nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

require_node() {
  command -v node >/dev/null || fail 'Node.js is missing: install 20.19 or later (https://nodejs.org)'
  node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major >= 24 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1);
  ' || fail "Node.js $(node --version) will not do: Vault needs 20.19 or later of 20, 22.12 or later of 22, or 24 and later"
}

# install_packages 'probe=package' …: a probe is a command of the PATH, or a path that must exist.
install_packages() {
  local pair probe missing=()
  for pair in "$@"; do
    probe=${pair%%=*}
    if [[ $probe == /* ]]; then [[ -e $probe ]] && continue
    else command -v "$probe" >/dev/null && continue; fi
    missing+=("${pair#*=}")
  done
  (( ${#missing[@]} )) || return 0
  command -v apt-get >/dev/null || fail "these programs are missing, and there is no apt-get to install them with: ${missing[*]}"
  (( EUID == 0 )) || fail "please install what is missing first: sudo apt-get install ${missing[*]}"
  say "Installing ${missing[*]} …"
  export DEBIAN_FRONTEND=noninteractive
  # A fresh machine may have no package lists yet, an old one outdated ones: update only when the install needs it.
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    { apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2; } ||
    fail "apt-get could not install ${missing[*]}"
}

# npm ci, unless node_modules was made from this very lock file.
install_dependencies() {
  local stamp=node_modules/.vault-lock-sha256 wanted
  wanted=$(sha256sum <package-lock.json)
  [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
  command -v npm >/dev/null || fail 'npm is missing: it comes with Node.js'
  say 'Installing dependencies …'
  npm ci --no-audit --no-fund --loglevel=error </dev/null >&2 || fail 'npm ci failed'
  printf '%s\n' "$wanted" >"$stamp"
}

# build: the programs and what they need, unless nothing they are made of changed since the last time. The compiler would
# find that out by itself, but takes half a second for it.
build() {
  local stamp=node_modules/.vault-built
  local made_from=(tsconfig.base.json packages/*/src packages/*/{tsconfig,package}.json node_modules/.vault-lock-sha256)
  # A folder is newer too when a file in it was deleted.
  [[ -e $stamp && -e packages/rpc-server/dist/main.js && -e packages/vault-cli/dist/main.js &&
    -z $(find "${made_from[@]}" -newer "$stamp" -print -quit) ]] && return 0
  : >"$stamp.started" # what changes while it runs is newer than this
  node node_modules/typescript/bin/tsc -b packages/rpc-server packages/vault-cli >&2 || fail 'the build failed'
  mv "$stamp.started" "$stamp"
}
