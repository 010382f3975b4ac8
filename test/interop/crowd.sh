#!/bin/sh
# SPDX-License-Identifier: MIT
# Many connections held at once: 15,000 of echo_server on two threads, and through tls_proxy, which
# has two descriptors each, as many as the limit allows, at most 10,000. None is lost.
set -eu
. "$(dirname "$0")/common.sh"
# shellcheck disable=SC3045
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] && limit=1000000
ports=$(awk '{print $2 - $1}' /proc/sys/net/ipv4/ip_local_port_range)
most=$(((limit < ports ? limit : ports) - 300))
count=$((most < 15000 ? most : 15000))
[ "$count" -ge 5000 ] || skip "only $count open descriptors or ports"

holds() { # COUNT : echo_swarm's connections, all open before the first is closed
    expect 0 "$samples/echo_swarm" --ca "$ca" --server-name localhost --connections "$1" \
        --messages 1 --size 512 --timeout 280 --json --quiet 127.0.0.1 "$port"
    for fact in "\"connected\": $1" "\"messages_echoed\": $1" '"messages_lost": 0' \
        '"failures": {}'; do
        grep -qF -e "$fact" "$work/out" || fail "no $fact: $(cat "$work/out")"
    done
    echo "$1 connections at once"
}

start_server server --threads 2
holds "$count"
server_said_nothing
kill -TERM "$server"
wait "$server" || fail "echo_server ended with $?"

background "${RINGTLS_PLAIN_SERVER:?the program}" echo >"$work/backend.out"
wait_for_line "$work/backend.out" '^listening on '
start_listening "$samples/tls_proxy" --listen 127.0.0.1:0 --threads 2 --cert "$pki/server.pem" \
    --to "127.0.0.1:$(sed -n '1s/.*://p' "$work/backend.out")" --key "$pki/server.key"
half=$(((limit - 200) / 2))
holds $((half < 10000 ? half : 10000))
server_said_nothing
kill -TERM "$server"
wait "$server" || fail "tls_proxy ended with $?"
