#!/bin/sh
# SPDX-License-Identifier: MIT
# From a fresh clone to a verified TLS 1.3 echo: installs, builds, sends, compares, shows.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
build=$root/build/demo
# shellcheck source=samples/install.sh
. "$here/install.sh"

tmp=
server=
clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
    [ -z "$tmp" ] || rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev

say "building in $build"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=release -Dtests=disabled -Dbench=disabled -Dsamples=enabled ||
    fail "meson could not set the build up"
ninja -C "$build" || fail "the build failed"

tmp=$(mktemp -d)
cert=$tmp/cert.pem

say "starting echo_server on a free port of 127.0.0.1"
mkfifo "$tmp/first-line"
"$build/samples/echo_server" --listen 127.0.0.1:0 --alpn echo --save-cert "$cert" \
    >"$tmp/first-line" &
server=$!
read -r line <"$tmp/first-line" || fail "echo_server did not start"
port=${line##*:}
say "echo_server is $line"

# send NAME: sends the file NAME.sent through the server, and leaves what comes back in NAME.back
# and what the client says of the connection in NAME.facts.
send() {
    timeout 300 "$build/samples/echo_client" --ca "$cert" --server-name localhost --alpn echo \
        --verbose 127.0.0.1 "$port" \
        <"$tmp/$1.sent" >"$tmp/$1.back" 2>"$tmp/$1.facts" ||
        fail "echo_client failed: $(tail -n 1 "$tmp/$1.facts")"
}

fact() { sed -n "s/^$1: *//p" "$tmp/text.facts"; }

sum() { sha256sum <"$1" | cut -d ' ' -f 1; }

printf '%s\n' 'Hello, echo.' 'Every byte of this comes back.' >"$tmp/text.sent"
say "sending text:"
sed 's/^/    /' "$tmp/text.sent"
send text
cmp -s "$tmp/text.sent" "$tmp/text.back" ||
    fail "something else came back: $(cat "$tmp/text.back")"
say "it came back; the connection was:"
grep -E '^(protocol|cipher|group|alpn|peer|verify):' "$tmp/text.facts" | sed 's/^/    /'
[ "$(fact protocol)" = TLSv1.3 ] || fail "the protocol is not TLS 1.3 but $(fact protocol)"
[ "$(fact verify)" = ok ] || fail "the certificate was not verified: $(fact verify)"
[ "$(fact alpn)" = echo ] || fail "ALPN did not choose 'echo' but $(fact alpn)"

mebibytes=64
head -c "$((mebibytes * 1024 * 1024))" /dev/urandom >"$tmp/random.sent"
say "sending $mebibytes MiB of random bytes"
send random
sent=$(sum "$tmp/random.sent")
back=$(sum "$tmp/random.back")
[ "$sent" = "$back" ] || fail "other bytes came back: SHA-256 $back instead of $sent"
say "they came back: SHA-256 $back"
say "throughput, there and back at once: $(sed -n 's/^rate: *//p' "$tmp/random.facts")"

say "stopping echo_server"
kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
[ "$status" -eq 0 ] || fail "echo_server ended with status $status"

say "a verified TLS 1.3 echo succeeded"
