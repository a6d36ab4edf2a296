#!/usr/bin/env bash
# Installs what a purpose (build, test) needs and the machine lacks; touches nothing when all is there.
# Without apt-get, or the right to use it: says what is missing, and fails.
set -euo pipefail

# Lines of purpose, command, Debian package. zlib-ng is built by cmake; zstd, mimalloc and ring by a C compiler.
needs='
build cc    gcc
build c++   g++
build cmake cmake
test  nghttp nghttp2-client
test  node   nodejs
test  curl   curl
'

if ! command -v cargo >/dev/null; then
    echo 'missing: cargo. Install Rust from https://rustup.rs, then try again.' >&2
    exit 1
fi

commands=()
packages=()
while read -r purpose command package; do
    [[ -n $purpose && " $* " == *" $purpose "* ]] || continue
    command -v "$command" >/dev/null && continue
    commands+=("$command")
    packages+=("$package")
done <<<"$needs"
[[ ${#packages[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "missing: ${commands[*]}" >&2
    echo "Install them (on Debian the packages are: ${packages[*]}), then try again." >&2
    exit 1
fi

echo "installing: ${packages[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null; }; then
    echo "apt-get could not install: ${packages[*]}" >&2
    exit 1
fi
