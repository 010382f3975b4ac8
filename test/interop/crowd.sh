#!/bin/sh
# SPDX-License-Identifier: MIT
# Many connections held at once: 15,000 of echo_server on two threads, and 10,000 through two
# processes of tls_proxy that share a listening socket. None is lost.
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
# Two processes: each connection takes two descriptors.
start_listening python3 "$(dirname "$0")/hand_over.py" 2 "$samples/tls_proxy" \
    --cert "$pki/server.pem" --key "$pki/server.key" \
    --to "127.0.0.1:$(sed -n '1s/.*://p' "$work/backend.out")"
through=$(((limit - 200) / 2)) # that one process alone could have
[ "$limit" -lt 20000 ] || through=10000
holds $((through < most ? through : most))
server_said_nothing
kill -TERM "$server"
wait "$server" || fail "tls_proxy ended with $?"
