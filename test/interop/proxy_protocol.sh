#!/bin/sh
# SPDX-License-Identifier: MIT
# The PROXY protocol, both versions, behind a real HAProxy and before it: a server learns who its
# client is from HAProxy's header, and HAProxy who the client is from ours.
set -eu
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need haproxy haproxy
need curl curl

# HAProxy's ports: to ours by version 1, 2, and 2 with all that it can tell; from ours, by either.
configure() {
    cat <<END
global
    stats socket $work/haproxy.sock
defaults
    mode tcp
    timeout connect 20s
    timeout client 20s
    timeout server 20s
listen v1
    bind 127.0.0.1:$first
    server ours 127.0.0.1:$port send-proxy
listen v2
    bind 127.0.0.1:$((first + 1))
    server ours 127.0.0.1:$port send-proxy-v2
listen options
    bind 127.0.0.1:$((first + 2)) ssl crt $work/both.pem alpn http/1.1
    unique-id-format visit-%lc
    server ours 127.0.0.1:$port ssl verify none send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl
listen both
    bind 127.0.0.1:$((first + 3)) accept-proxy
    server ours 127.0.0.1:$port send-proxy-v2
END
}

cat "$pki/server.pem" "$pki/server.key" >"$work/both.pem"
start_listening "$RINGTLS_PROXIED" serve "$pki/server.pem" "$pki/server.key"
start_haproxy

# curl's own port is what HAProxy has to tell, and the server to repeat.
told() { # NUMBER : one visit; what the server was told is in the file said
    : >"$work/said"
    curl -s --http0.9 --cacert "$ca" --connect-to "localhost:$((first + $1)):127.0.0.1:$((first + $1))" \
        -o "$work/said" -w '%{local_port}' "https://localhost:$((first + $1))/" >"$work/own" || :
    [ -s "$work/said" ] || fail "nothing was said by port $1"
}
for number in 0 1 2; do
    told $number
    head -n 1 "$work/said" |
        grep -q "^proxy 127.0.0.1:$(cat "$work/own") 127.0.0.1:$((first + number))\$" ||
        fail "port $number: $(cat "$work/said")"
done
grep -aq '^2 localhost$' "$work/said" || fail 'no authority'
grep -aq '^5 visit-' "$work/said" || fail 'no unique id'
grep -aq '^32 ' "$work/said" || fail 'nothing of the client'"'"'s TLS'
grep -aq '^3 ' "$work/said" || fail 'no checksum'

# Ours to HAProxy, which believes it, and says so to another of ours behind it.
for version in v1 v2; do
    for pair in '192.0.2.1:1234 198.51.100.2:443' '[2001:db8::1]:1 [2001:db8::2]:65535'; do
        # shellcheck disable=SC2086 # two words
        expect 0 "$RINGTLS_PROXIED" visit "$ca" $((first + 3)) $version $pair
        [ "$(cat "$work/out")" = "proxy $pair" ] || fail "$version: $(cat "$work/out"), not $pair"
    done
done
# HAProxy 2.6 takes this in version 1 alone.
expect 0 "$RINGTLS_PROXIED" visit "$ca" $((first + 3)) v1 unknown unknown
grep -q '^proxy 127.0.0.1:[0-9]* 127.0.0.1:' "$work/out" || fail 'of the unknown'

# Without a header, or with a bad one, there is no connection, and a word of it.
[ ! -s "$work/server.err" ] || fail 'the server complained'
expect 1 "$RINGTLS_PROXIED" visit "$ca" $((first + 1)) v1 192.0.2.1:1 192.0.2.2:2
expect 1 "$samples/echo_client" --ca "$ca" localhost "$port" </dev/null
wait_for_line "$work/server.err" "bad PROXY header: neither version's first bytes"
