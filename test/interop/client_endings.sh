#!/bin/sh
# SPDX-License-Identifier: MIT
# The ways in which a conversation of echo_client ends: the peer's, the input's, the output's, and
# time's.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl

connect() { # OPTION... : in the background, with this input, as the process $conversation
    background "$samples/echo_client" --ca "$ca" --verbose "$@" localhost "$port" \
        >"$work/out" 2>"$work/err" 9>&-
    conversation=$peer
    wait_for_line "$work/err" '^resumed:'
}
start_peer() { # OPTION... : openssl s_server, as the process $other; "typed" is open for our input
    exec 9<>"$work/typed"
    start_s_server server "$@" 9>&-
    other=$peer
}

ended() { # STATUS PATTERN : of one of the lines on stderr
    status=0
    wait "$conversation" || status=$?
    [ $status -eq "$1" ] || fail "echo_client ended with $status, not $1"
    grep -Eq -e "localhost:$port: .*$2" "$work/err" || fail "no line matches: $2"
    exec 9>&-
}

mkfifo "$work/typed" "$work/pipe"
openssl rand -out "$work/sent" 5242880

start_server server

# Its input.
expect 0 client </dev/null
[ ! -s "$work/out" ] || fail 'an echo of nothing'
expect 0 client <"$work/sent"
cmp "$work/sent" "$work/out"
cat "$work/sent" - </dev/null | expect 0 client
cmp "$work/sent" "$work/out"
expect 1 client <&-
one_line 'stdin'
{ sleep 2 && echo 'after some thought'; } | expect 0 client --timeout 1
[ "$(cat "$work/out")" = 'after some thought' ] || fail 'it did not wait for its input'

# Its output.
exec 8<>"$work/pipe"
background "$samples/echo_client" --ca "$ca" localhost "$port" <"$work/sent" \
    >"$work/pipe" 2>"$work/err" 8>&-
dd bs=1 count=1 <&8 >"$work/out" 2>/dev/null
exec 8>&-
status=0
wait "$peer" || status=$?
[ $status -eq 1 ] || fail "stdout that went away: exit $status"
one_line "localhost:$port: stdout: Broken pipe"
for command in 'client >/dev/full' 'client >&-'; do
    status=0
    eval "$command" <"$work/sent" 2>"$work/err" || status=$?
    [ $status -eq 1 ] || fail "$command: exit $status"
    one_line "localhost:$port: stdout: "
done
# shellcheck disable=SC2119
server_echoes
stop_server

# Its peer, which closes, is cut off, or is cut off with our bytes unread.
for version in -tls1_2 -tls1_3; do
    start_peer "$version" -rev
    connect <"$work/typed"
    echo CLOSE >&9
    ended 0 'the peer closed before the end of the input'
    cut "$other"

    exec 8<>"$work/pipe"
    start_peer "$version" <"$work/pipe" 8>&-
    connect <"$work/typed"
    echo 'last words' >&8
    wait_for_line "$work/out" '^last words$'
    cut "$other"
    exec 8>&-
    ended 1 'connection ended without close_notify'

    start_peer "$version" -rev
    connect </dev/zero
    kill -STOP "$other"
    cut "$other"
    ended 1 '(reset by peer|Broken pipe|without close_notify)'
done

# Time: while it connects, and after the end of its input.
start_peer -rev
kill -STOP "$other"
expect 1 client --timeout 0.2 </dev/null
one_line "localhost:$port: .*timed out"
cut "$other"
start_peer -rev
connect --timeout 1 <"$work/typed"
kill -STOP "$other"
exec 9>&-
ended 1 'timed out'
cut "$other"
