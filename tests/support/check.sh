#!/usr/bin/env bash
# Runs checks by name (format, clippy, features, documentation, dependencies, minimum, fuzz, chain, release, tests), all of them even when
# one fails, and fails if one did.
# A check whose tool this toolchain lacks is skipped, and said to be.
set -uo pipefail

failed=()
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target

# check NAME COMMAND...
check() {
    local name=$1
    shift
    echo "== $name: $*"
    "$@" || failed+=("$name")
}

for name in "$@"; do
    case $name in
    format)
        if cargo fmt --version >/dev/null 2>&1; then
            check format cargo fmt --check
        else
            echo '== format: skipped, rustfmt is not installed'
        fi
        ;;
    clippy)
        if cargo clippy --version >/dev/null 2>&1; then
            check clippy cargo clippy --locked --all-targets -- -D warnings
        else
            echo '== clippy: skipped, clippy is not installed'
        fi
        ;;
    # A server without the command `probe`, and what only that command needs.
    features) check features cargo check --locked --no-default-features ;;
    documentation)
        check documentation \
            env RUSTDOCFLAGS='-D warnings -D rustdoc::broken_intra_doc_links' cargo doc --locked --no-deps
        ;;
    dependencies)
        if cargo deny --version >/dev/null 2>&1; then
            check dependencies cargo deny --locked check bans licenses sources
            # The database of advisories is another network's.
            if cargo deny --locked fetch db >/dev/null 2>&1; then
                check advisories cargo deny --locked check advisories
            else
                echo '== advisories: skipped, their database cannot be fetched'
            fi
        else
            echo '== dependencies: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)'
        fi
        ;;
    # The oldest Rust that Cargo.toml promises.
    minimum)
        rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
        if rustup run "$rust" rustc --version >/dev/null 2>&1 ||
            { [[ ${CI:-} == true ]] && rustup toolchain install "$rust" --profile minimal >/dev/null 2>&1; }; then
            check minimum env CARGO_TARGET_DIR="$target/minimum" \
                cargo "+$rust" check --locked --all-targets
        else
            echo "== minimum: skipped, Rust $rust is not installed (rustup toolchain install $rust)"
        fi
        ;;
    # That what is fuzzed still builds, on any toolchain; `make fuzz` runs it.
    fuzz)
        check fuzz env CARGO_TARGET_DIR="$target/fuzz" \
            cargo check --locked --bins --features whole --manifest-path fuzz/Cargo.toml
        ;;
    # What is optimised may be wrong where the rest is right: transfers, the cache and limits once more.
    release)
        check release cargo build --release --locked
        check release env LINKPUSH_BINARY="$target/release/linkpush" \
            cargo test --locked --test it -- transfers:: uploads:: cache:: limits:: attacks:: framing:: promises::
        ;;
    chain)
        if tests/support/install.sh chain; then
            check chain make --no-print-directory chain
        elif [[ ${CI:-} == true ]] && command -v apt-get >/dev/null; then
            failed+=(chain)
        else
            echo '== chain: SKIPPED, the servers named above are not there'
        fi
        ;;
    # The last one, so that cargo's own summary is what one sees at the end.
    tests) check tests cargo test --locked ;;
    *)
        echo "no such check: $name" >&2
        exit 2
        ;;
    esac
done

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "== failed: ${failed[*]}" >&2
    exit 1
fi
