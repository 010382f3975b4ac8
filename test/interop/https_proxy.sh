#!/bin/sh
# SPDX-License-Identifier: MIT
# https_get behind an HTTPS proxy, Apache's mod_proxy_connect: TLS inside TLS to openssl s_server.
# Whoever is not trusted, not there, not willing or cut short is named.
set -eu
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need apache2 apache2-bin
modules=/usr/lib/apache2/modules

configure() {
    cat <<END
ServerRoot $work
ServerName localhost
DefaultRuntimeDir $work
PidFile $work/apache.pid
Mutex file:$work
ErrorLog $work/apache.err
Listen 127.0.0.1:$first
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule ssl_module $modules/mod_ssl.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_connect_module $modules/mod_proxy_connect.so
User nobody
Group nogroup
SSLEngine on
SSLCertificateFile $work/proxy.pem
SSLCertificateKeyFile $work/proxy.key
ProxyRequests On
AllowCONNECT $allowed
END
}

# One process (-X), so that cutting it leaves nothing.
start_proxy() { # PORT... : where it may connect to
    allowed=$*
    start_configured "$work/apache.pid" apache2 -X -f "$work/peer.conf"
    proxy=$peer
    proxy_port=$first
}

get() { # PORT PATH OPTION...
    url=https://localhost:$1/$2
    shift 2
    "$samples/https_get" --ca "$ca" --proxy "https://localhost:$proxy_port" \
        --proxy-ca "$work/proxy.pem" "$@" "$url"
}

# The body has begun, and nobody takes the rest of it before somebody on the way is gone.
cut_short() { # PROCESS
    mkfifo "$work/body"
    exec 5<>"$work/body"
    background get "$target" large >"$work/body" 2>"$work/err" 5<&-
    dd bs=1 count=1 <&5 >"$work/first" 2>"$work/dd.log"
    cut "$1"
    exec 6<"$work/body" 5<&-
    cat <&6 >"$work/short"
    exec 6<&-
    rm "$work/body"
    status=0
    wait "$peer" || status=$?
    [ $status -eq 1 ] || fail "a body cut short: exit $status"
    one_line "localhost:$target: .*without close_notify"
}

sha256() { # FILE
    openssl dgst -sha256 -r <"$1"
}

# A certificate that the target's authority knows nothing of.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=proxy \
    -addext subjectAltName=DNS:localhost -keyout "$work/proxy.key" -out "$work/proxy.pem" \
    2>"$work/req.err" || fail 'no certificate'
mkdir "$work/site"
echo small >"$work/site/small"
openssl rand -base64 7864320 >"$work/site/large"
cd "$work/site"

for version in -tls1_2 -tls1_3; do
    start_s_server server -WWW $version
    target=$port
    origin=$peer
    start_proxy "$target" 9
    for file in small large; do
        expect 0 get "$target" $file --output "$work/got"
        [ "$(sha256 "$file")" = "$(sha256 "$work/got")" ] || fail "$file: another SHA-256"
        rm "$work/got"
    done

    # Each of the two is judged by its own trust, and each failure names whose it is.
    expect 1 "$samples/https_get" --ca "$ca" --proxy "https://localhost:$proxy_port" \
        "https://localhost:$target/small"
    one_line "localhost:$target: proxy localhost:$proxy_port: .*verify failed"
    expect 1 "$samples/https_get" --proxy "https://localhost:$proxy_port" \
        --proxy-ca "$work/proxy.pem" "https://localhost:$target/small"
    one_line "https_get: localhost:$target: handshake: localhost: .*verify failed"
    expect 1 get 19 small
    one_line "localhost:19: proxy localhost:$proxy_port: answered 403 .* to CONNECT localhost:19"
    expect 1 get 9 small
    one_line "localhost:9: proxy localhost:$proxy_port: answered 503 .* to CONNECT localhost:9"

    cut_short "$proxy"
    start_proxy "$target"
    cut_short "$origin"
    expect 1 get "$target" small
    one_line "proxy localhost:$proxy_port: answered 503 "
    cut "$proxy"
    expect 1 get "$target" small
    one_line "proxy localhost:$proxy_port: connect: .*Connection refused"
done

expect 2 "$samples/https_get" --proxy http://localhost:1 https://localhost/
one_line "proxy: URL: 'http://localhost:1' does not begin with https://"
expect 2 "$samples/https_get" --proxy-ca "$ca" https://localhost/
one_line 'proxy-ca without --proxy'
