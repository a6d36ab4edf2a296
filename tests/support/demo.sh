#!/usr/bin/env bash
# Starts `linkpush demo`, proves with `linkpush probe` that the four assets are pushed, then serves until ctrl-C.
# From the environment: PORT, ORIGIN_PORT, ONCE (anything: stop after the proof).
set -euo pipefail

port=${PORT:-8080}
origin_port=${ORIGIN_PORT:-9000}
linkpush=${CARGO_TARGET_DIR:-target}/demo/linkpush
page=http://127.0.0.1:$port/
server=

fail() {
    echo "demo: $*" >&2
    exit 1
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Runs at every end of this script, so that no server stays behind.
stop() {
    [[ -n $server ]] || return 0
    # Once is enough: another ctrl-C must not leave the server behind.
    trap '' INT TERM HUP
    # SIGINT is the fast shutdown; a server that does not obey within 5 seconds is killed.
    kill -INT "$server" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 0' INT
trap 'exit 143' TERM HUP

for taken in "$port" "$origin_port"; do
    if answers "$taken"; then
        fail "port $taken is taken; choose others: make demo PORT=8081 ORIGIN_PORT=9001"
    fi
done

"$linkpush" demo --port "$port" --origin-port "$origin_port" &
server=$!

deadline=$((SECONDS + 15))
until answers "$port" && answers "$origin_port"; do
    kill -0 "$server" 2>/dev/null || fail 'the server did not start'
    ((SECONDS < deadline)) || fail "no answer on port $port within 15 seconds"
    sleep 0.1
done

echo
echo "\$ linkpush probe $page"
result=$("$linkpush" probe "$page") || fail "no page from $page"
echo "$result"
for asset in style.css app.js font.woff2 logo.png; do
    # id, responseEnd, the mark of a push, requestStart, process, code
    grep -Eq "^ *[0-9]+ +\+[0-9.]+[mu]?s \* +\+[0-9.]+[mu]?s +[0-9.]+[mu]?s +200 .* /$asset\$" <<<"$result" ||
        fail "/$asset was not pushed"
done
kill -0 "$server" 2>/dev/null || fail 'the server is gone'

echo
echo 'All four assets were pushed. `*` marks a push.'
[[ -z ${ONCE:-} ]] || exit 0

cat <<TEXT

Try, in another terminal:
  $linkpush probe ${page}early             pushed while the origin thinks: it sent a 103 first
  $linkpush probe --no-push ${page}early   as a browser: the 103 reaches it
  $linkpush probe ${page}learned           twice: the second time pushed while the origin thinks, without a 103
  $linkpush probe ${page}quiet             a route with push off
  $linkpush probe ${page}configured        the route names the assets, the origin no Link
  nghttp -ans $page                    another client that accepts pushes
ctrl-C stops the demo.

TEXT
wait "$server" || fail 'the server ended'
