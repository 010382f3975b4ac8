#!/bin/sh
# SPDX-License-Identifier: MIT
# echo_server told to end by a signal says close_notify on every connection and exits with 0.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl
need curl curl

connect() { # NAME OPTION... : a client in the background whose input stays open
    name=$1
    shift
    background "$samples/echo_client" --ca "$ca" --verbose "$@" localhost "$port" \
        >"$work/$name.out" 2>"$work/$name.err"
    wait_for_line "$work/$name.err" '^resumed:'
}
connect_s_client() { # NAME OPTION...
    name=$1
    shift
    background openssl s_client -connect "localhost:$port" -CAfile "$ca" -msg -quiet "$@" \
        >>"$work/$name.out" 2>"$work/$name.err"
    wait_for_line "$work/$name.out" '<<<.*Finished'
}

ends() { # SIGNAL
    kill "-$1" "$server"
    wait "$server" || fail "echo_server ended with $? at SIG$1"
}

told() { # NAME PROCESS : s_client was told
    wait "$2" || fail "$1 ended with $?"
    grep -q '<<<.*Alert.*close_notify' "$work/$1.out" || fail "no close_notify for $1"
}

told_early() { # NAME PROCESS : echo_client was told, though it had not said all
    wait "$2" || fail "$1 ended with $?"
    grep -q 'the peer closed before the end of the input' "$work/$1.err" || fail "$1 was not told"
}

mkfifo "$work/open"
exec 9<>"$work/open"

for signal in TERM INT; do
    start_server server
    ends $signal
    server_said_nothing

    start_server server --threads 2
    rm -f "$work"/*.out
    connect_s_client old -tls1_2 <&9 9>&-
    old=$peer
    connect_s_client new -tls1_3 <&9 9>&-
    new=$peer
    connect idle <&9 9>&-
    idle=$peer
    connect busy </dev/zero 9>&-
    busy=$peer
    wait_for_size "$work/busy.out" 1048576
    ends $signal
    server_said_nothing
    told old "$old"
    told new "$new"
    told_early idle "$idle"
    told_early busy "$busy"
    expect 1 client </dev/null
    one_line 'Connection refused'
done

# Nobody can keep it: a client that never says hello, one that does not answer, one that does not
# read.
start_server server
background curl --silent --verbose "telnet://localhost:$port" <&9 9>&- 2>"$work/mute.err"
wait_for_line "$work/mute.err" '^. Connected to'
connect_s_client deaf <&9 9>&-
kill -STOP "$peer"
connect glutted </dev/zero 9>&-
wait_for_size "$work/glutted.out" 1048576
kill -STOP "$peer"
ends TERM
[ "$(grep -c 'timed out$' "$work/server.err")" -eq 2 ] || fail 'not a line for each deaf peer'
[ "$(wc -l <"$work/server.err")" -eq 2 ] || fail 'a line for one that was not there yet'
