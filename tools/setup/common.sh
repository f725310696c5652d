# Shared by the set-up scripts, which source it: strict mode, PATH and messages.
# shellcheck shell=bash

set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# Tools of this checkout come first, so that a version pinned here wins over one of the machine.
# Shells that never read a profile lack cargo's own folder.
export PATH="$root/.tools/bin:$root/tools/setup/node_modules/.bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

has_command() {
    command -v "$1" >/dev/null 2>&1
}

# Installs Debian packages; returns non-zero where that is not possible.
install_packages() {
    has_command apt-get || return 1
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has_command sudo || return 1
        as_root=(sudo)
    fi
    say "Installing $* with apt-get."
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2; then
        "${as_root[@]}" apt-get update -q >&2 || return 1
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
    fi
}

require_cargo() {
    has_command cargo || fail "cargo is missing. Install Rust with rustup (https://rustup.rs), then run make again."
}

# Installs what package-lock.json of a folder pins, unless it is there already.
install_node_packages() {
    local folder="$1"
    if ! has_command node || ! has_command npm; then
        install_packages nodejs npm || fail "Node.js and npm are missing. Install Node.js 20 or newer, then run make again."
    fi
    local version
    version="$(node --version)"
    version="${version#v}"
    [ "${version%%.*}" -ge 20 ] || fail "Node.js $version is too old. Install Node.js 20 or newer, then run make again."
    local installed="$folder/node_modules/.package-lock.json"
    if [ ! -e "$installed" ] || [ "$folder/package-lock.json" -nt "$installed" ]; then
        say "Installing the Node.js packages of ${folder#"$root"/}."
        (cd "$folder" && npm ci --no-audit --no-fund >&2)
        touch "$installed"
    fi
}
