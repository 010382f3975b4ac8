#!/bin/sh
# SPDX-License-Identifier: MIT
# asio_echo, whose coroutines are Boost.Asio's, and our client: echoes, an idle connection that Asio's
# timer ends, and a timer that ticks beside all of it.
set -eu
. "$(dirname "$0")/common.sh"
[ -n "${RINGTLS_ASIO_ECHO-}" ] || skip "no Boost.Asio: install libboost1.81-dev or newer"

start_listening "$RINGTLS_ASIO_ECHO" --cert "$pki/server.pem" --key "$pki/server.key" --idle 1
# shellcheck disable=SC2119
server_echoes
head -c 1000000 /dev/urandom >"$work/sent"
expect 0 client <"$work/sent"
cmp "$work/sent" "$work/out" || fail 'the echo is not what was sent'

# Its end of the pipe stays open: only the server can end this connection.
mkfifo "$work/stdin"
exec 5<>"$work/stdin"
echo 'before the silence' >&5
expect 0 timeout 30 "$samples/echo_client" --ca "$ca" localhost "$port" <"$work/stdin"
[ "$(cat "$work/out")" = 'before the silence' ] || fail 'the echo is not what was sent'

expect 1 "$samples/echo_client" --ca "$pki/other-ca.pem" localhost "$port" </dev/null
server_said '^asio_echo: .*unknown ca'

# Told to end while a connection waits, it leaves it, and ends in order.
background "$samples/echo_client" --ca "$ca" localhost "$port" \
    <"$work/stdin" >"$work/held" 2>"$work/held.err"
echo 'held' >&5
wait_for_line "$work/held" '^held$'
kill -TERM "$server"
wait "$server" || fail "asio_echo ended with $?"
server_said '^asio_echo: 5 connections, [1-9][0-9]* ticks$'

# Out of descriptors it waits for some, and goes on.
# shellcheck disable=SC2016 # the inner shell's
start_listening sh -c 'ulimit -n 32; exec "$@"' sh "$RINGTLS_ASIO_ECHO" --cert "$pki/server.pem" \
    --key "$pki/server.key"
expect 1 "$samples/echo_swarm" --ca "$ca" --server-name localhost --connections 60 --timeout 2 \
    127.0.0.1 "$port"
wait_for_line "$work/server.err" '^asio_echo: accept: Too many open files$'
server_echoes
kill -TERM "$server"
wait "$server" || fail "asio_echo ended with $?"
