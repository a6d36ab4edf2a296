#!/usr/bin/env bash
# Runs checks by name (format, clippy, documentation, chain, tests), all of them even when one fails, and fails if one
# did.
# A check whose tool this toolchain lacks is skipped, and said to be.
set -uo pipefail

failed=()

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
    documentation)
        check documentation \
            env RUSTDOCFLAGS='-D warnings -D rustdoc::broken_intra_doc_links' cargo doc --locked --no-deps
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
