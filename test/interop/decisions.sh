#!/bin/sh
# SPDX-License-Identifier: MIT
# Contexts chosen by name and by coroutines for openssl s_client and gnutls-cli; certificates judged
# and chosen by coroutines with openssl s_server.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl
need gnutls-cli gnutls-bin
decider=${RINGTLS_DECIDER:?the program beside this script}

told() { # NAME VERSION
    grep -Eq "^$1 echo t$2d[0-9]{4}eo_[0-9a-f]{12}_[0-9a-f]{12}\$" "$work/out" ||
        fail "not what $1 should be told"
}

by_openssl() { # STATUS VERSION NAME
    expect "$1" openssl s_client -connect "127.0.0.1:$port" -servername "$3" -tls"$2" -alpn echo \
        -CAfile "$ca" -verify_hostname "$3" -verify_return_error </dev/null
}

by_gnutls() { # STATUS VERSION NAME
    expect "$1" gnutls-cli --x509cafile "$ca" --priority "NORMAL:-VERS-ALL:+VERS-TLS$2" \
        --alpn echo --sni-hostname "$3" --verify-hostname "$3" --port "$port" 127.0.0.1 </dev/null
}

start_listening "$decider" serve "$pki"
for name in localhost other.example any.wild.example; do
    by_openssl 0 1_2 $name
    by_openssl 0 1_3 $name
    by_gnutls 0 1.2 $name
    told $name 12
    by_gnutls 0 1.3 $name
    told $name 13
done
server_said_nothing
for version in 1_2 1_3; do
    by_openssl 1 $version elsewhere.example
    grep -q 'unrecognized name' "$work/err" || fail 's_client heard no unrecognized_name'
    server_said 'no server named "elsewhere.example"'
done
by_gnutls 1 1.3 elsewhere.example
grep -qi 'server name.*not recognized' "$work/out" "$work/err" ||
    fail 'gnutls-cli heard no unrecognized_name'
server_said 'no server named "elsewhere.example"'
cut "$server"

for version in -tls1_2 -tls1_3; do
    start_s_server server $version -rev -Verify 1 -CAfile "$ca" -verify_return_error
    expect 0 "$decider" visit "$pki" "$port"
    grep -qx 'CN=localhost: accepted' "$work/out" || fail 'not the verdict for localhost'
    grep -qx 'detisiv' "$work/out" || fail 'not reversed'
    cut "$peer"
    start_s_server elsewhere $version -rev
    expect 0 "$decider" visit "$pki" "$port"
    grep -qx 'CN=other.example: hostname mismatch' "$work/out" || fail 'not the objection'
    cut "$peer"
    start_s_server expired $version -rev
    expect 1 "$decider" visit "$pki" "$port"
    one_line 'certificate has expired'
    cut "$peer"
done
