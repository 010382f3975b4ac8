#!/bin/sh
# SPDX-License-Identifier: MIT
# curl talks to an HTTPS server made with ringtls: keep-alive, chunks, large bodies, an upload.
#   RINGTLS_RESPONDER  that server, https_responder
set -eu
. "$(dirname "$0")/common.sh"
need curl curl

openssl rand -out "$work/file" 5242880
openssl rand -out "$work/upload" 1048576
start_listening "${RINGTLS_RESPONDER:?the program}" "$pki/server-chain.pem" "$pki/server.key" \
    "$work/file"
site=https://localhost:$port

for version in 1.2 1.3; do
    set -- curl --silent --show-error --fail --cacert "$ca" --http1.1 \
        --resolve "localhost:$port:127.0.0.1" "--tlsv$version" --tls-max "$version"

    # Three answers of both framings on one connection.
    expect 0 "$@" --verbose --write-out '%{num_connects} %{ssl_verify_result} %{http_code}\n' \
        "$site/hello" --output "$work/hello" "$site/chunked" --output "$work/chunked" \
        "$site/file" --output "$work/whole"
    [ "$(cat "$work/out")" = '1 0 200
0 0 200
0 0 200' ] || fail "not one verified connection: $(cat "$work/out")"
    [ "$(cat "$work/hello")" = hello ] || fail "a short body came back changed"
    cmp "$work/file" "$work/chunked"
    cmp "$work/file" "$work/whole"
    grep -q "SSL connection using TLSv$version" "$work/err" || fail "not TLS $version"
    grep -q 'ALPN.* server accepted.*http/1.1' "$work/err" || fail 'no ALPN'

    expect 0 "$@" --data-binary "@$work/upload" --header Expect: "$site/echo"
    cmp "$work/upload" "$work/out"
    # With --fail, newer ones leave this answer's connection without close_notify.
    expect 0 "$@" --no-fail --output "$work/none" --write-out '%{http_code}' "$site/nowhere"
    [ "$(cat "$work/out")" = 404 ] || fail "not refused: $(cat "$work/out")"
    [ ! -s "$work/server.err" ] || fail 'the server complained'

    expect 60 "$@" --cacert "$pki/other-ca.pem" "$site/hello"
    server_said 'unknown ca'
done
