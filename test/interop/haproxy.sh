#!/bin/sh
# SPDX-License-Identifier: MIT
# Two servers that share a ticket secret, behind HAProxy in TCP mode: each visit goes to the other
# one, which resumes what its neighbour began, for our client, s_client and gnutls-cli. Servers of
# different secrets do not.
set -eu
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need haproxy haproxy

start_one() { # SECRET
    start_listening "$RINGTLS_SESSION_SERVER" "$pki/server.pem" "$pki/server.key" "$1"
}

configure() {
    cat <<END
global
    stats socket $work/haproxy.sock
defaults
    mode tcp
    timeout connect 20s
    timeout client 20s
    timeout server 20s
listen fleet
    bind 127.0.0.1:$first
    balance roundrobin
    server one 127.0.0.1:$left
    server other 127.0.0.1:$right
END
}

start_fleet() { # PORT PORT
    left=$1 right=$2
    start_haproxy
    haproxy=$peer
    port=$first
}

visits() { # VERSION : both ends' words and the server's port, a line each
    expect 0 "$RINGTLS_SESSION_CLIENT" "$ca" "$port" 4 "$1"
    sed 's/ [0-9A-F]*$//' "$work/out"
}

openssl rand -out "$work/secret" 32
openssl rand -out "$work/another" 32
start_one "$work/secret"
one=$port
start_one "$work/secret"
other=$port
start_one "$work/another"
stranger=$port

start_fleet "$one" "$other"
for version in 1.2 1.3; do
    visits $version >"$work/visits"
    printf '%s\n' "full $one full" "resumed $other resumed" "resumed $one resumed" \
        "resumed $other resumed" | cmp - "$work/visits" || fail "TLS $version: $(cat "$work/visits")"
done

# Each comes twice.
expect 0 gnutls-cli --resume --waitresumption --x509cafile "$ca" --port "$port" localhost </dev/null
grep -q 'This is a resumed session' "$work/out" || fail 'gnutls-cli does not resume'

s_client() { # OPTION... : until it is greeted
    : >"$work/said"
    mkfifo "$work/typed"
    exec 3<>"$work/typed"
    background openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$ca" \
        -verify_return_error "$@" <"$work/typed" >>"$work/said" 2>"$work/s_client.err" 3>&-
    wait_for_line "$work/said" '^[0-9]+ (full|resumed) '
    exec 3>&-
    rm "$work/typed"
    wait "$peer" || fail "s_client ended with $?"
}
for version in -tls1_2 -tls1_3; do
    s_client $version -sess_out "$work/session"
    began=$(grep -E '^[0-9]+ full ' "$work/said") || fail 's_client begins with a resumed session'
    s_client $version -sess_in "$work/session"
    went_on=$(grep -E '^[0-9]+ resumed ' "$work/said") || fail 's_client is not resumed'
    [ "${began%% *}" != "${went_on%% *}" ] || fail 'both visits at the same server'
    grep -q '^Reused, ' "$work/said" || fail 's_client does not say that it is resumed'
done
cut "$haproxy"

start_fleet "$one" "$stranger"
visits 1.3 >"$work/visits"
[ "$(grep -c '^full [0-9]* full$' "$work/visits")" -ge 2 ] || fail "strangers: $(cat "$work/visits")"
sed -n 2p "$work/visits" | grep -q "^full $stranger full\$" || fail 'resumed under another secret'
