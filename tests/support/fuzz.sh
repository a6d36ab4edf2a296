#!/usr/bin/env bash
# Fuzzes what reads bytes of others, each target for so many seconds, beginning with the inputs in fuzz/corpus. New
# inputs are kept in fuzz/target/corpus, and one that fails in fuzz/artifacts.
# Skips, and says so, where cargo-fuzz is missing (`cargo install cargo-fuzz`). A sanitizer needs a nightly compiler,
# or has the stable one taken for it.
set -euo pipefail

seconds=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../../fuzz"

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo '== fuzz: SKIPPED, cargo-fuzz is not installed (cargo install cargo-fuzz)'
    exit 0
fi
if cargo +nightly --version >/dev/null 2>&1; then
    cargo=(cargo +nightly)
else
    cargo=(env RUSTC_BOOTSTRAP=1 cargo)
fi

failed=()
for file in targets/*.rs; do
    target=$(basename "$file" .rs)
    new=target/corpus/$target
    mkdir -p "$new"
    seeds=("corpus/$target")
    if [[ $target = config ]]; then
        # Every key, and every problem.
        seeds+=(../conf)
    fi
    # These need the crate as a whole, and minutes to compile.
    case $target in
        config | freshness) features=(--features whole) ;;
        *) features=() ;;
    esac
    "${cargo[@]}" fuzz run "${features[@]}" "$target" "$new" "${seeds[@]}" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 ||
        failed+=("$target")
done

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "== failed: ${failed[*]}; see fuzz/artifacts" >&2
    exit 1
fi
