#!/bin/sh
# SPDX-License-Identifier: MIT
# echo_client and https_get talk to openssl s_server: versions, ALPN, names, client certificates,
# whole bodies and short ones.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl

fact() { # LABEL VALUE : what --verbose told
    grep -q "^$1: *$2\$" "$work/err" || fail "not $1 $2"
}

get() { # STATUS PATH OPTION...
    expected_of_get=$1
    path=$2
    shift 2
    rm -f "$work/got"
    expect "$expected_of_get" "$samples/https_get" --ca "$ca" --output "$work/got" "$@" \
        "https://localhost:$port/$path"
}

not_whole() { # PATH PATTERN
    get 1 "$1"
    one_line "localhost:$port: .*$2"
    for file in "$work"/got*; do
        [ ! -e "$file" ] || fail "a broken body was left in $file"
    done
}

cd "$work"
openssl rand -out large.bin 5242880
: >empty.bin
printf 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole' >whole
printf '%s\r\n' 'HTTP/1.1 200 OK' 'Transfer-Encoding: chunked' '' \
    3 who '2;x=y' le 0 '' >chunked
printf 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort' >short
printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n' >no-last-chunk
printf 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n' >half-a-head
printf 'SSH-2.0-OpenSSH_9.2\r\n' >no-http

for version in 1.2 1.3; do
    option=-tls$(echo $version | tr . _)

    start_s_server server "$option" -rev -alpn echo
    printf 'stressed\ndesserts\n' >typed
    expect 0 client --verbose --alpn unknown,echo <typed
    [ "$(cat out)" = 'desserts
stressed' ] || fail 'not reversed'
    fact protocol TLSv$version
    fact alpn echo
    fact verify ok
    cut "$peer"

    start_s_server elsewhere "$option" -rev
    expect 0 client --server-name other.example <typed
    cut "$peer"

    start_s_server server "$option" -rev -CAfile "$ca" -Verify 1 -verify_return_error
    expect 0 client --cert "$pki/client.pem" --key "$pki/client.key" <typed
    [ "$(head -n 1 out)" = desserts ] || fail 'not reversed'
    expect 1 client <typed
    one_line 'alert (certificate required|handshake failure)'
    expect 0 client --cert "$pki/client.pem" --key "$pki/client.key" <typed
    cut "$peer"

    start_s_server rsa "$option" -WWW
    get 0 large.bin --verbose
    cmp large.bin got
    fact protocol TLSv$version
    get 0 empty.bin
    cmp empty.bin got
    cut "$peer"

    start_s_server server "$option" -HTTP
    for path in whole chunked; do
        get 0 $path
        [ "$(cat got)" = whole ] || fail "not the body of $path"
    done
    not_whole short 'missing'
    not_whole no-last-chunk 'closed'
    not_whole half-a-head 'closed'
    not_whole no-http 'HTTP'
    cut "$peer"
done
