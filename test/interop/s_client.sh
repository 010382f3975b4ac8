#!/bin/sh
# SPDX-License-Identifier: MIT
# openssl s_client talks to echo_server: versions, ALPN, echo, client certificates.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl

s_client() { # background | expect STATUS, then OPTION...
    how=$1
    shift
    [ "$how" = background ] || { how="$how $1" && shift; }
    # shellcheck disable=SC2086
    $how openssl s_client -connect "127.0.0.1:$port" -servername localhost \
        -verify_hostname localhost -verify_return_error -CAfile "$ca" "$@"
}

echoes_and_closes() { # OPTION...
    mkfifo "$work/typed"
    : >"$work/echoed"
    exec 3<>"$work/typed"
    s_client background "$@" <"$work/typed" >>"$work/echoed" 2>"$work/s_client.err" 3>&-
    echo 'typed by a person' >&3
    wait_for_line "$work/echoed" 'typed by a person$'
    exec 3>&-
    rm "$work/typed"
    wait "$peer" || fail "s_client ended with $?"
    grep -q 'Verification: OK' "$work/echoed" || fail 'not verified'
    server_said_nothing
}

echoes_a_file() { # OPTION...
    openssl rand -out "$work/sent" 1048576
    : >"$work/echoed"
    s_client background -quiet "$@" <"$work/sent" >>"$work/echoed" 2>"$work/s_client.err"
    wait_for_size "$work/echoed" 1048576
    cut "$peer"
    cmp "$work/sent" "$work/echoed" || fail 'the echo is not what was sent'
    server_said 'ended without close_notify$'
}

refused() { # PATTERN OPTION... : with -quiet it goes on reading after the end of its input
    pattern=$1
    shift
    s_client expect 1 -quiet "$@" </dev/null
    server_said "$pattern"
}

openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=stranger -keyout "$work/stranger.key" \
    -out "$work/stranger.pem" 2>/dev/null

for version in -tls1_2 -tls1_3; do
    start_server server --alpn echo,other
    echoes_and_closes $version -alpn unknown,other,echo
    grep -q '^ALPN protocol: echo$' "$work/echoed" || fail 'not the ALPN that the server prefers'
    echoes_and_closes $version
    grep -q '^No ALPN negotiated$' "$work/echoed" || fail 'ALPN without being asked'
    echoes_a_file $version -alpn echo
    refused 'no application protocol' $version -alpn unknown
    server_echoes
    stop_server

    start_server server --client-ca "$ca"
    echoes_and_closes $version -cert "$pki/client.pem" -key "$pki/client.key"
    refused 'peer did not return a certificate' $version
    refused 'certificate verify failed.*CN=stranger' $version \
        -cert "$work/stranger.pem" -key "$work/stranger.key"
    server_echoes --cert "$pki/client.pem" --key "$pki/client.key"
    stop_server
done
