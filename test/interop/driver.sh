#!/bin/sh
# SPDX-License-Identifier: MIT
# The samples where io_uring is refused, and where epoll is asked for.
set -eu
. "$(dirname "$0")/common.sh"
filter=${RINGTLS_WITHOUT_IO_URING:?program that runs another one without io_uring}

listen() { # COMMAND OPTION... : echo_server by way of a command, on a free port
    start_listening "$@" --listen 127.0.0.1:0 --cert "$pki/server.pem" --key "$pki/server.key"
}

listen "$filter" "$samples/echo_server"
server_said '^echo_server: going on with epoll: .*io_uring_setup: Operation not permitted$'
server_echoes
server_said_nothing
stop_server

listen "$filter" "$samples/echo_server" --quiet --threads 2
server_echoes
server_said_nothing
expect 0 "$filter" "$samples/echo_swarm" --ca "$ca" --server-name localhost --connections 20 \
    --messages 20 --quiet 127.0.0.1 "$port"
stop_server

for forced in '--driver io_uring' '--driver io_uring --quiet'; do
    # shellcheck disable=SC2086 # a list of words
    expect 1 "$filter" "$samples/echo_server" --listen 127.0.0.1:0 $forced
    one_line '^echo_server: .*io_uring_setup: Operation not permitted$'
done

listen "$samples/echo_server" --driver epoll
server_echoes
server_said_nothing
stop_server
