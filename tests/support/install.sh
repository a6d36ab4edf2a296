#!/usr/bin/env bash
# Installs what a purpose (build, test, clients, applications, load, count, peers, chain) needs and the machine lacks; touches nothing when all is there.
# Without apt-get, or the right to use it: says what is missing, and fails. Peers are optional, with what they are compared over, and so are
# some clients and applications: each is installed by itself, and one that cannot be is said to be left out.
# Servers come for their programs alone: none of them is started, now or at the next boot.
set -euo pipefail

# Lines of purpose, command or pattern of a file, Debian package. zlib-ng is built by cmake; zstd, mimalloc and ring by
# a C compiler.
needs='
build cc    gcc
build c++   g++
build cmake cmake
test  nghttp nghttp2-client
test  node   nodejs
test  npm    npm
test  curl   curl
test  openssl openssl
test  hitch  hitch
test  haproxy haproxy
test  chromium chromium
test  firefox-esr firefox-esr
test  varnishd varnish
test  nginx   nginx
test  systemd-analyze systemd
test  promtool prometheus
test  logrotate logrotate
clients javac   default-jdk-headless
clients python3 python3
clients /usr/lib/python3*/ensurepip/__init__.py python3-venv
clients /usr/include/*/curl/curl.h libcurl4-openssl-dev
applications firefox-esr firefox-esr
applications python3 python3
applications /usr/lib/python3*/ensurepip/__init__.py python3-venv
applications /usr/share/wordpress/wp-load.php wordpress
applications /usr/share/wordpress/wp-content/themes/twentytwentyone wordpress-theme-twentytwentyone
applications mariadbd mariadb-server
applications php     php-cli
applications /usr/sbin/php-fpm* php-fpm
applications /usr/share/php*/mysql php-mysql
applications rails   ruby-rails
applications puma    puma
applications /usr/share/rubygems-integration/*/specifications/sass-rails-*.gemspec ruby-sass-rails
load  h2load  nghttp2-client
count valgrind valgrind
peers ip      iproute2
peers nginx   nginx
peers haproxy haproxy
peers apache2 apache2
peers nghttpx nghttp2-proxy
peers h2o     h2o
peers caddy   caddy
chain openssl openssl
chain hitch   hitch
chain varnishd varnish
chain haproxy haproxy
chain nginx   nginx
chain /usr/sbin/php-fpm* php-fpm
chain /usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php php-symfony-framework-bundle
chain /usr/share/php/Symfony/Bundle/TwigBundle/autoload.php php-symfony-twig-bundle
chain /usr/share/php/Symfony/Component/WebLink/autoload.php php-symfony-web-link
chain /usr/share/php/Symfony/Component/Asset/autoload.php php-symfony-asset
'
# Debian's servers are there, and not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

# Is a command in PATH, or a file that fits the pattern?
present() {
    if [[ $1 == /* ]]; then
        compgen -G "$1" >/dev/null
    else
        command -v "$1" >/dev/null
    fi
}

if ! command -v cargo >/dev/null; then
    echo 'missing: cargo. Install Rust from https://rustup.rs, then try again.' >&2
    exit 1
fi

commands=()
packages=()
optional=()
while read -r purpose command package; do
    [[ -n $purpose && " $* " == *" $purpose "* ]] || continue
    present "$command" && continue
    if [[ $purpose == peers || $purpose == clients || $purpose == applications ]]; then
        optional+=("$package")
    else
        commands+=("$command")
        packages+=("$package")
    fi
done <<<"$needs"

# What drives the browsers, from npm, as its lock file says; and Python's clients, from PyPI.
clients=tests/it/clients
install_clients() {
    [[ " $* " == *' clients '* ]] && install_python
    [[ " $* " == *' test '* ]] || return 0
    # A link leads to what another checkout installed: npm would empty that.
    [[ ! -L $clients/node_modules ]] || return 0
    [[ $clients/package-lock.json -nt $clients/node_modules/.package-lock.json ]] || return 0
    echo "installing: $clients/package-lock.json"
    if ! npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --silent; then
        echo "npm could not install $clients/package-lock.json" >&2
        exit 1
    fi
}
install_python() {
    [[ $clients/requirements.txt -nt $clients/venv/installed ]] || return 0
    echo "installing: $clients/requirements.txt"
    if python3 -m venv "$clients/venv" &&
        "$clients/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            -r "$clients/requirements.txt"; then
        touch "$clients/venv/installed"
    else
        rm -rf "$clients/venv"
        echo "left out: $clients/requirements.txt could not be installed" >&2
    fi
}
if [[ ${#packages[@]} -eq 0 && ${#optional[@]} -eq 0 ]]; then
    install_clients "$@"
    exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    if [[ ${#packages[@]} -eq 0 ]]; then
        echo "left out, for want of apt-get or the right to use it: ${optional[*]}" >&2
        install_clients "$@"
        exit 0
    fi
    echo "missing: ${commands[*]}" >&2
    echo "Install them (on Debian the packages are: ${packages[*]}), then try again." >&2
    exit 1
fi

# Packages of servers start them, unless this file says no (invoke-rc.d(8)). One that is there stands aside meanwhile: it
# may say yes.
policy=/usr/sbin/policy-rc.d
aside=$policy.linkpush
keep_servers_off() {
    trap allow_servers EXIT
    if [[ -e $policy ]]; then
        "${as_root[@]}" mv "$policy" "$aside"
    fi
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
}
allow_servers() {
    if [[ -e $aside ]]; then
        "${as_root[@]}" mv "$aside" "$policy"
    else
        "${as_root[@]}" rm -f "$policy"
    fi
}
# Packages also enable them for the next boot, by links: of systemd, which need not run for that, and of System V.
links_of_boot() {
    compgen -G '/etc/systemd/system/*.wants/*' || true
    compgen -G '/etc/rc[2-5].d/S*' || true
}
# Removes the links of boot that a list does not have.
disable_new() {
    local link
    while read -r link; do
        case $link in
        /etc/systemd/*)
            echo "disabled: ${link##*/}"
            "${as_root[@]}" rm -f "$link"
            ;;
        # Without any link, the next update of the package would enable the service again.
        /etc/rc*)
            "${as_root[@]}" mv "$link" "${link%/*}/K01${link##*/S[0-9][0-9]}"
            ;;
        esac
    done < <(comm -13 <(sort <<<"$1") <(links_of_boot | sort))
}

echo "installing:" "${packages[@]}" "${optional[@]}"
keep_servers_off
enabled_before=$(links_of_boot)
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
install() {
    "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null
}
if ! "${apt[@]}" update; then
    echo 'apt-get could not read its lists; trying those of before' >&2
fi
if [[ ${#packages[@]} -gt 0 ]] && ! install "${packages[@]}"; then
    disable_new "$enabled_before"
    echo "apt-get could not install: ${packages[*]}" >&2
    exit 1
fi
for package in "${optional[@]}"; do
    install "$package" || echo "left out: apt-get could not install $package" >&2
done
disable_new "$enabled_before"
install_clients "$@"
