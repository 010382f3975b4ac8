#!/bin/sh
# SPDX-License-Identifier: MIT
# echo_swarm holds 5,000 connections to echo_server at once, each program on one thread.
set -eu
. "$(dirname "$0")/common.sh"
# shellcheck disable=SC3045
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] || [ "$limit" -ge 5100 ] || skip "only $limit open descriptors"

start_server server
expect 0 "$samples/echo_swarm" --ca "$ca" --connections 5000 --messages 2 --size 1024 \
    --timeout 120 --json 127.0.0.1 "$port"
cat "$work/out"
[ ! -s "$work/err" ] || fail 'the swarm complained'
for fact in '"connections": 5000' '"connected": 5000' '"messages": 10000' \
    '"messages_echoed": 10000' '"messages_lost": 0' '"bytes_echoed": 10240000' '"failures": {}'; do
    grep -qF -e "$fact" "$work/out" || fail "no $fact"
done
if command -v python3 >/dev/null; then
    python3 -m json.tool "$work/out" >/dev/null || fail 'not JSON'
fi
grep -q '^Threads:[^0-9]*1$' "/proc/$server/status" || fail 'the server has more than one thread'
server_said_nothing
# shellcheck disable=SC2119
server_echoes
stop_server
