#!/bin/sh
# SPDX-License-Identifier: MIT
# Exported keys, stapled OCSP responses and early data, with OpenSSL's and GnuTLS's programs as the
# other end.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl

# NAME STATUS : what the authority says of server.pem, as OpenSSL's responder words it
respond() {
    serial=$(openssl x509 -in "$pki/server.pem" -noout -serial)
    printf '%s\t991231235959Z\t%s\t%s\tunknown\t/CN=localhost\n' "$2" \
        "$([ "$2" = V ] || echo 240101000000Z)" "${serial#*=}" >"$work/index"
    openssl ocsp -index "$work/index" -CA "$ca" -rsigner "$ca" -rkey "$pki/ca.key" -issuer "$ca" \
        -cert "$pki/server.pem" -ndays 1 -respout "$work/$1" >"$work/out" 2>"$work/err" ||
        fail 'openssl ocsp makes no response'
}
respond good V
respond revoked R
openssl rand -out "$work/secret" 32

start_listening "$RINGTLS_SESSION_SERVER" "$pki/server.pem" "$pki/server.key" "$work/secret" \
    "$work/good"
s_client() { # OPTION... : until it is greeted
    mkfifo "$work/typed"
    exec 3<>"$work/typed"
    : >"$work/said"
    background openssl s_client -connect "127.0.0.1:$port" -servername localhost \
        -CAfile "$ca" -status -keymatexport 'EXPERIMENTAL interop' -keymatexportlen 16 "$@" \
        <"$work/typed" >>"$work/said" 2>"$work/s_client.err" 3>&-
    wait_for_line "$work/said" '[0-9]+ (full|resumed) [0-9A-F]+$'
    wait_for_line "$work/said" 'Keying material: '
    exec 3>&-
    rm "$work/typed"
    wait "$peer" || fail "s_client ended with $?"
}
for version in -tls1_2 -tls1_3; do
    s_client $version -sess_out "$work/session"
    ours=$(sed -n 's/^[0-9]* full //p' "$work/said")
    theirs=$(sed -n 's/^ *Keying material: //p' "$work/said")
    [ "$ours" = "$theirs" ] || fail "exported $ours, not $theirs"
    grep -q 'Cert Status: good' "$work/said" || fail 's_client finds no staple'
done
# The last session was of TLS 1.3. It takes early data along once.
echo 'sent early' >"$work/early"
for verdict in accepted rejected; do
    s_client -sess_in "$work/session" -early_data "$work/early"
    grep -q "^Early data was $verdict\$" "$work/said" || fail "early data not $verdict"
    [ "$verdict" = rejected ] || grep -q 'sent early$' "$work/said" || fail 'no early answer'
done
if command -v gnutls-cli >/dev/null; then
    expect 0 gnutls-cli --ocsp --x509cafile "$ca" --port "$port" localhost </dev/null
    grep -q '^- Options:.*OCSP status request' "$work/out" || fail 'gnutls-cli finds no staple'
fi

# Ours requires a staple; s_server greets it by what is typed there.
requires_staple() { # STATUS OPTION... : of s_server
    expected=$1
    shift
    mkfifo "$work/typed"
    exec 3<>"$work/typed"
    echo hello >&3
    start_s_server server "$@" <"$work/typed"
    expect "$expected" "$RINGTLS_SESSION_CLIENT" "$ca" "$port" 1 1.3 ocsp
    cut "$peer"
    exec 3>&-
    rm "$work/typed"
}
expect 0 "$RINGTLS_SESSION_CLIENT" "$ca" "$port" 1 1.2 ocsp
requires_staple 0 -status_file "$work/good"
grep -q '^full hello$' "$work/out" || fail 'no greeting of s_server'
requires_staple 1 -status_file "$work/revoked"
one_line 'localhost: no good OCSP response: the certificate is revoked$'
requires_staple 1
one_line 'the server stapled no OCSP response$'
