# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the scripts beside this share. Sourced first: makes a work directory and certificates, and
# sees that nothing a script started outlives it.
#   RINGTLS_SAMPLES  directory of the sample programs
#   RINGTLS_PKI      what make_pki.sh made; made here if unset

fail() {
    echo "FAILED: $*" >&2
    for file in "$work"/err "$work"/*.err; do
        [ ! -s "$file" ] || sed "s|^|${file##*/}: |" "$file" | tail -n 20 >&2
    done
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null || skip "no $1: install $2"
}

end_all() {
    jobs -p >"$work/jobs"
    while read -r pid; do
        kill -KILL "$pid" 2>/dev/null || :
    done <"$work/jobs"
    rm -rf "$work"
}

export LC_ALL=C
work=$(mktemp -d)
trap end_all EXIT
trap 'exit 1' HUP INT TERM
samples=${RINGTLS_SAMPLES:?directory of the sample programs}
pki=${RINGTLS_PKI:-$work/pki}
[ -d "$pki" ] || sh "$(dirname "$0")/../support/make_pki.sh" "$pki"
ca=$pki/ca.pem

client() { # OPTION... : echo_client to the server on $port, whose certificate it verifies
    "$samples/echo_client" --ca "$ca" "$@" localhost "$port"
}

# Starts echo_server on a free port: $server is its process, $port its port, server.err its stderr.
start_server() { # CERTIFICATE OPTION...
    name=$1
    shift
    start_listening "$samples/echo_server" --listen 127.0.0.1:0 --cert "$pki/$name.pem" \
        --key "$pki/$name.key" "$@"
}
start_listening() { # COMMAND... : whose first line on stdout ends with its port
    mkfifo "$work/ready"
    : >"$work/server.err"
    "$@" >"$work/ready" 2>>"$work/server.err" &
    server=$!
    read -r listening <"$work/ready" || fail "no line from $1"
    rm "$work/ready"
    port=${listening##*:}
}

stop_server() { # it ends with success when told to
    kill -TERM "$server"
    wait "$server" || fail "echo_server ended with $?"
}

server_said_nothing() {
    [ ! -s "$work/server.err" ] || fail "the server complained"
}
server_said() { # PATTERN : one line, the first or one more than at the last call
    wait_for_line "$work/server.err" "$1"
    [ "$(wc -l <"$work/server.err")" -eq 1 ] || fail "more than one line of the server"
    : >"$work/server.err"
}

server_echoes() { # OPTION... : of echo_client
    echo 'still here' >"$work/ping"
    client "$@" <"$work/ping" >"$work/pong" 2>"$work/client.err" ||
        fail "echo_client ended with $?"
    cmp "$work/ping" "$work/pong" || fail 'the echo is not what was sent'
}

# Starts openssl s_server as $peer on a free port, $port; s_server.log is all that it says.
start_s_server() { # CERTIFICATE OPTION...
    name=$1
    shift
    : >"$work/s_server.log"
    background openssl s_server -accept 127.0.0.1:0 -cert "$pki/$name.pem" -key "$pki/$name.key" \
        "$@" >>"$work/s_server.log" 2>&1
    wait_for_line "$work/s_server.log" '^ACCEPT 127'
    port=$(sed -n 's/^ACCEPT 127.0.0.1://p' "$work/s_server.log")
}

# Starts a command as process $peer, with the stdin that it has here: & alone would take it away.
background() { # COMMAND...
    exec 4<&0
    "$@" <&4 4<&- &
    # shellcheck disable=SC2034
    peer=$!
    exec 4<&-
}

# Starts a server that cannot listen on port 0 and tell which it was, as $peer, and waits for a file
# that shows that it does. The caller's `configure` prints its configuration, the file peer.conf, for
# ports from $first on; it tries a few.
start_configured() { # FILE COMMAND...
    shown=$1
    shift
    for attempt in 1 2 3 4 5; do
        first=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
        configure >"$work/peer.conf"
        rm -f "$shown"
        background "$@" 2>"$work/peer.err"
        wait_until is_shown_or_gone
        if kill -0 "$peer" 2>/dev/null; then
            return
        fi
        echo "attempt $attempt: ports from $first on are in use"
    done
    fail "$1 does not start"
}
is_shown_or_gone() {
    [ -e "$shown" ] || ! kill -0 "$peer" 2>/dev/null
}
start_haproxy() {
    start_configured "$work/haproxy.sock" haproxy -db -q -f "$work/peer.conf"
}
start_nginx() { # one process, which has bound its ports when it writes its number
    start_configured "$work/nginx.pid" nginx -p "$work" -c "$work/peer.conf"
}

cut() { # PROCESS : ends it without any farewell
    kill -KILL "$1"
    wait "$1" 2>/dev/null || :
}

# Runs a command to its end; stdout and stderr go to the files out and err.
expect() { # STATUS COMMAND...
    expected=$1
    shift
    status=0
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$expected" ] || fail "ended with $status, not $expected: $*"
}
one_line() { # PATTERN : all that the last command said on stderr
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on stderr"
    grep -Eq -e "$1" "$work/err" || fail "the line on stderr does not match: $1"
}

# For programs that cannot say when they are ready in another way.
wait_until() { # COMMAND...
    tries=400
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain: $*"
        sleep 0.05
    done
}
wait_for_line() { # FILE PATTERN
    wait_until grep -Eqs -e "$2" "$1"
}
wait_for_size() { # FILE BYTES
    wait_until has_size "$@"
}
has_size() {
    [ "$(wc -c <"$1")" -ge "$2" ]
}
