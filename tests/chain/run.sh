#!/usr/bin/env bash
# The chains in which a push used to die, with real programs: shows who pushes where the client is attached, and fails
# if one cell of that table is not what it should be. `make chain` calls it.
#
#   A  hitch -> linkpush -> Varnish -> HAProxy -> nginx -> PHP-FPM, every hop behind hitch in cleartext.
#   B  The same, where Varnish, the internal balancer and nginx speak TLS, verified at each hop, and HTTP/2 to whom asks
#      for it. Varnish has no TLS of its own: beside it stand a hitch, which linkpush connects to, and a HAProxy, which
#      carries its requests to the balancer.
#
# Everything listens on free ports of 127.0.0.1, keeps its state in a temporary folder, and ends with this script.
# From the environment: LINKPUSH, the binary (the debug one if not set); KEEP (anything: keep the temporary folder).
# Arguments: the architectures to show, all if none is given.
set -euo pipefail
shopt -s inherit_errexit

chain=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
linkpush=$(realpath -- "${LINKPUSH:-${CARGO_TARGET_DIR:-target}/debug/linkpush}")
# Debian's servers are there, and not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/linkpush-chain.XXXXXX")
state= # of the architecture that runs
declare -A port=()
declare -A server=()
wrong=()

fail() {
    echo "chain: $*" >&2
    exit 1
}

# --- servers

# Runs at every end of this script, so that no server and no file stay behind.
finish() {
    trap '' INT TERM HUP
    stop
    [[ -n ${KEEP:-} ]] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Ends all servers; those that do not obey within three seconds are killed.
stop() {
    local name
    for name in "${!server[@]}"; do
        kill -TERM "${server[$name]}" 2>/dev/null || true
    done
    for name in "${!server[@]}"; do
        for _ in {1..60}; do
            kill -0 "${server[$name]}" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "${server[$name]}" 2>/dev/null || true
        wait "${server[$name]}" 2>/dev/null || true
    done
    server=()
}

# start NAME COMMAND...
start() {
    local name=$1
    shift
    "$@" >"$state/$name.out" 2>&1 &
    server[$name]=$!
}

# await NAME TEST...: until the test succeeds, the server is gone or the time is up.
await() {
    local name=$1 deadline=$((SECONDS + 20))
    shift
    until "$@"; do
        kill -0 "${server[$name]}" 2>/dev/null || fail "$name did not start: $(tail -n 5 "$state/$name.out")"
        ((SECONDS < deadline)) || fail "$name did not listen within 20 seconds: $(tail -n 5 "$state/$name.out")"
        sleep 0.05
    done
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Chooses a free port for each name. Below the range that outgoing connections are numbered from, else one of those
# may take it before its server does.
choose_ports() {
    local name
    for name in "$@"; do
        read -r "port[$name]"
    done < <(node -e '
        const held = [];
        (function next() {
            if (held.length === Number(process.argv[1])) {
                held.forEach((server) => console.log(server.address().port));
                return held.forEach((server) => server.close());
            }
            const server = require("node:net").createServer();
            server.on("error", next);
            server.listen(10000 + Math.floor(Math.random() * 20000), "127.0.0.1", () => next(held.push(server)));
        })();' $#)
}

# configure FILE...: writes each into the state folder, with @NAME@ replaced.
configure() {
    local file text name
    for file in "$@"; do
        text=$(<"$chain/$file")
        text=${text//@STATE@/$state}
        text=${text//@USER@/$(id -un)}
        text=${text//@GROUP@/$(id -gn)}
        for name in "${!port[@]}"; do
            text=${text//@$name@/${port[$name]}}
        done
        echo "$text" >"$state/${file##*/}"
    done
}

# An authority for this run, and the certificate that every TLS server here shows.
make_certificates() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
    openssl req -x509 "${key[@]}" -subj '/CN=chain authority' -keyout "$work/ca.key" -out "$work/ca.pem"
    openssl req "${key[@]}" -subj /CN=localhost -keyout "$work/server.key" -out "$work/server.csr"
    openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo 'subjectAltName = DNS:localhost, IP:127.0.0.1') -out "$work/server.crt"
    cat "$work/server.key" "$work/server.crt" >"$work/server.pem"
} 2>/dev/null

# The architecture's own state folder, with the application and the certificates.
prepare() {
    state=$work/$1
    mkdir "$state"
    cp -R "$chain/app" "$work"/{ca,server}.pem "$state"
}

start_php_and_nginx() {
    local fpm=(/usr/sbin/php-fpm*) as_root=()
    if [[ $(id -u) -eq 0 ]]; then
        as_root=(--allow-to-run-as-root)
    fi
    start php-fpm "${fpm[-1]}" --nodaemonize "${as_root[@]}" --fpm-config "$state/php-fpm.conf"
    start nginx nginx -e "$state/nginx.log" -c "$state/nginx.conf"
    await php-fpm test -S "$state/php-fpm.sock"
    await nginx answers "${port[NGINX]}"
}

# start_haproxy NAME CONFIGURATION
start_haproxy() {
    start "$1" haproxy -db -f "$state/$2"
}

# start_varnish PORT: cleartext, HTTP/1.1 and HTTP/2 on one port; without root's jail, which would change users.
start_varnish() {
    start varnish varnishd -F -j none -n "$state/varnish" -f "$state/varnish.vcl" -a "127.0.0.1:$1" \
        -T none -s malloc,16m -p feature=+http2 -p thread_pool_min=10 -p vsl_space=1M
    await varnish answers "$1"
}

# start_hitch NAME CONFIGURATION PORT
start_hitch() {
    local as_root=()
    if [[ $(id -u) -eq 0 ]]; then
        as_root=(--user=nobody) # it refuses to work as root
    fi
    start "$1" hitch "${as_root[@]}" --config="$state/$2"
    await "$1" answers "$3"
}

start_linkpush() {
    start linkpush "$linkpush" run --config "$state/linkpush.yaml"
    await linkpush answers "${port[LINKPUSH]}"
}

# --- what a client sees

# page URL: the page itself, over HTTP/2.
page() {
    local head=$state/head body=$state/body seen=()
    curl --silent --show-error --max-time 20 --cacert "$state/ca.pem" --http2-prior-knowledge \
        --dump-header "$head" --output "$body" "$1/"
    seen+=("$(awk 'NR == 1 { print $1, $2 }' "$head")")
    grep -q '<h1>Rendered by Twig</h1>' "$body" || seen+=('not the page')
    grep -qi '^link: </main.css>; rel="preload"; as="style"' "$head" && seen+=(Link)
    echo "${seen[*]}"
}

# Reads the table that nghttp and probe print, and tells what became of main.css.
verdict() {
    awk '
        $1 ~ /^[0-9]+$/ && $NF == "/" { page = $(NF - 2) }
        $1 ~ /^[0-9]+$/ && $NF == "/main.css" { asset = $(NF - 2); pushed = $3 == "*" }
        END {
            if (page != 200) print "no page"
            else if (!pushed && (asset == "" || asset == 200)) print "no push"
            else if (pushed && asset == 200) print "pushed"
            else print "main.css " asset
        }'
}

# with_nghttp URL: it asks itself for what was not pushed.
with_nghttp() {
    timeout 20 nghttp --get-assets --null-out --stat --no-verify-peer "$1/" | verdict
}

with_probe() {
    "$linkpush" probe --insecure --timeout 20s "$1/" | verdict
}

# with_node URL: also compares the pushed bytes with the file.
with_node() {
    NODE_EXTRA_CA_CERTS=$state/ca.pem timeout 20 node "$chain/../it/clients/push.js" "$1" / | node -e '
        const { page, pushes } = JSON.parse(require("node:fs").readFileSync(0));
        const size = require("node:fs").statSync(process.argv[1]).size;
        const good = ({ request, headers, length }) =>
            request[":path"] === "/main.css" && headers[":status"] === 200 && length === size;
        const seen = pushes.map((push) => (good(push) ? "pushed" : "wrong push"));
        console.log(page.headers[":status"] !== 200 ? "no page" : seen.join(" ") || "no push");' \
        "$state/app/public/main.css"
}

# hint URL: as a browser, which refuses pushes and says that it navigates. linkpush knows this page's links beforehand.
hint() {
    curl --silent --show-error --max-time 20 --cacert "$state/ca.pem" --http2-prior-knowledge \
        --header 'sec-fetch-mode: navigate' --dump-header - --output /dev/null "$1/hinted" | tr -d '\r' | awk '
        $1 == "HTTP/2" { status = $2; seen = seen (seen ? ", " : "") status }
        status == 103 && tolower($1) == "link:" && $2 == "</main.css>;" { linked = 1 }
        END {
            if (seen == "200") print "no 103"
            else if (seen == "103, 200" && linked) print "103"
            else print seen
        }'
}

# whoami URL VERSION: what the application is told of a client at another address, who says to be somebody else.
whoami() {
    curl --silent --show-error --max-time 20 --cacert "$state/ca.pem" "--$2" --interface 127.0.0.2 \
        --header 'x-forwarded-for: 203.0.113.9' --header 'x-forwarded-proto: http' "$1/whoami"
}

# hops PATH CODE FINDINGS HOP...: has probe visit the hops, prints its table, and notes other findings than expected.
hops() {
    local path=$1 expected="exit $2: $3" code=0 hop seen arguments=()
    shift 3
    for hop in "$@"; do
        arguments+=(--hop "$hop")
    done
    arguments+=(--insecure --timeout 20s "http://localhost$path")
    echo
    echo "  probe $path ${*%%=*}"
    echo
    "$linkpush" probe "${arguments[@]}" 2>&1 | sed 's/^./  &/' || true
    "$linkpush" probe "${arguments[@]}" --format json >"$state/hops.json" 2>"$state/client.err" || code=$?
    seen="exit $code: $(node -e '
        const { findings } = JSON.parse(require("node:fs").readFileSync(process.argv[1]));
        console.log(findings.map(({ finding, hop }) => `${finding} ${hop}`).join(", "));' "$state/hops.json" || true)"
    [[ $seen == "$expected" ]] || wrong+=("hops of $path, ${*%%=*}: expected $expected, got $seen")
}

# --- the table

# row PLACE URL PUSH HINT: attaches the clients, prints what they saw, and notes what is not as expected.
row() {
    local place=$1 url=$2 push=$3 hint=$4 cells=() i
    local columns=(page with_nghttp with_probe with_node hint)
    local expected=('HTTP/2 200 Link' "$push" "$push" "$push" "$hint")
    for i in "${!columns[@]}"; do
        cells+=("$("${columns[$i]}" "$url" 2>"$state/client.err" || echo failed)")
        [[ ${cells[$i]} == "${expected[$i]}" ]] || wrong+=(
            "$place, ${columns[$i]}: expected ${expected[$i]}, got ${cells[$i]} $(tail -n 3 "$state/client.err")")
    done
    print_row "$place" "${cells[@]}"
}

print_row() {
    printf '  %-20s %-16s %-8s %-8s %-8s %s\n' "$@"
}

print_head() {
    echo
    echo "$1"
    echo
    print_row 'client attached to' page nghttp probe Node 'as a browser'
}

# Through the whole chain the application knows the client, and builds the URLs that it used.
told() {
    local url=$1 version seen expected
    expected="{\"client\":\"127.0.0.2\",\"scheme\":\"https\",\"page\":\"$url/\"}"
    echo
    for version in http2 http1.1; do
        seen=$(whoami "$url" "$version" 2>&1 || true)
        echo "  Symfony sees, of 127.0.0.2 over $version: $seen"
        [[ $seen == "$expected" ]] || wrong+=("whoami, $version: expected $expected, got $seen")
    done
}

# The last hop logs what the one before spoke. Looked at when nginx has ended and its log is whole.
check_last_hop() {
    local seen
    seen=$(tail -n 1 "$state/nginx-access.log")
    [[ $seen == "$1" ]] || wrong+=("nginx: expected '$1' from the balancer, got '$seen'")
}

architecture_a() {
    prepare a
    choose_ports HITCH LINKPUSH VARNISH HAPROXY HAPROXY_H2 NGINX NGINX_H2
    configure hitch.conf a/{linkpush.yaml,varnish.vcl,haproxy.cfg} nginx.conf a/listen.conf php-fpm.conf
    start_php_and_nginx
    start_haproxy haproxy haproxy.cfg
    await haproxy answers "${port[HAPROXY]}"
    start_varnish "${port[VARNISH]}"
    start_linkpush
    start_hitch hitch hitch.conf "${port[HITCH]}"

    print_head 'A  hitch -TLS ends-> linkpush -> Varnish -> HAProxy -> nginx -> PHP-FPM: cleartext HTTP/1.1'
    row nginx "http://127.0.0.1:${port[NGINX_H2]}" 'no push' 'no 103'
    row HAProxy "http://127.0.0.1:${port[HAPROXY_H2]}" 'no push' 'no 103'
    row Varnish "http://127.0.0.1:${port[VARNISH]}" 'no push' 'no 103'
    row 'hitch and linkpush' "https://127.0.0.1:${port[HITCH]}" pushed 103
    local behind=("varnish=http://127.0.0.1:${port[VARNISH]}" "haproxy=http://127.0.0.1:${port[HAPROXY_H2]}"
        "nginx=http://127.0.0.1:${port[NGINX_H2]}")
    local all=("hitch=https://127.0.0.1:${port[HITCH]}" "linkpush=http://127.0.0.1:${port[LINKPUSH]}" "${behind[@]}")
    hops / 0 'proxy_header linkpush, push_arrives hitch' "${all[@]}"
    hops /hinted 0 'proxy_header linkpush, early_arrives hitch, push_arrives hitch' "${all[@]}"
    hops / 3 'push_dies varnish' "${behind[@]}"
    told "https://127.0.0.1:${port[HITCH]}"
    stop
    check_last_hop '/whoami HTTP/1.1 -'
}

architecture_b() {
    prepare b
    choose_ports HITCH LINKPUSH VARNISH VARNISH_BEHIND HAPROXY NGINX
    configure hitch.conf b/{linkpush.yaml,varnish-hitch.conf,varnish.vcl,tls-out.cfg,haproxy.cfg} nginx.conf \
        b/listen.conf php-fpm.conf
    start_php_and_nginx
    start_haproxy haproxy haproxy.cfg
    await haproxy answers "${port[HAPROXY]}"
    start_haproxy tls-out tls-out.cfg
    await tls-out test -S "$state/tls-out.sock"
    start_varnish "${port[VARNISH_BEHIND]}"
    start_hitch varnish-hitch varnish-hitch.conf "${port[VARNISH]}"
    start_linkpush
    start_hitch hitch hitch.conf "${port[HITCH]}"

    print_head 'B  hitch -TLS ends-> linkpush =TLS=> Varnish =TLS=> HAProxy =TLS=> nginx -> PHP-FPM: HTTP/1.1 in TLS'
    row nginx "https://127.0.0.1:${port[NGINX]}" 'no push' 'no 103'
    row HAProxy "https://127.0.0.1:${port[HAPROXY]}" 'no push' 'no 103'
    row Varnish "https://127.0.0.1:${port[VARNISH]}" 'no push' 'no 103'
    row 'hitch and linkpush' "https://127.0.0.1:${port[HITCH]}" pushed 103
    local behind=("varnish=https://127.0.0.1:${port[VARNISH]}" "haproxy=https://127.0.0.1:${port[HAPROXY]}"
        "nginx=https://127.0.0.1:${port[NGINX]}")
    local all=("hitch=https://127.0.0.1:${port[HITCH]}" "linkpush=http://127.0.0.1:${port[LINKPUSH]}" "${behind[@]}")
    hops / 0 'proxy_header linkpush, push_arrives hitch' "${all[@]}"
    hops /hinted 0 'proxy_header linkpush, early_arrives hitch, push_arrives hitch' "${all[@]}"
    hops / 3 'push_dies varnish' "${behind[@]}"
    told "https://127.0.0.1:${port[HITCH]}"
    stop
    check_last_hop '/whoami HTTP/1.1 TLSv1.3'
}

[[ $# -gt 0 ]] || set -- a b
make_certificates
for architecture in "$@"; do
    "architecture_$architecture"
done
echo
if [[ ${#wrong[@]} -gt 0 ]]; then
    printf 'chain: %s\n' "${wrong[@]}" >&2
    exit 1
fi
echo 'Every cell is as expected.'
