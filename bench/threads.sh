#!/bin/sh
# SPDX-License-Identifier: MIT
# What a second thread gives a server: handshakes a second of echo_server with one thread and with
# two, interleaved, and what the load generator needed meanwhile.
#
#   sh bench/threads.sh [ROUNDS]
#
# The certificate's key is RSA with 8,192 bits: a signature costs the server many times what it
# costs the client to check it, so that on a machine of two cores the generator does not get in the
# way. Its share of a core is printed, for that to be seen.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"
need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev openssl python3

build=$root/build/threads
say "building in $build"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=release -Ddefault_library=static -Dbench=enabled \
        -Dtests=disabled -Dsamples=enabled -Dasio=disabled ||
    fail "meson could not set the build up"
ninja -C "$build" samples/echo_server bench/load/bench_load || fail "the build failed"
openssl req -x509 -newkey rsa:8192 -nodes -days 2 -subj /CN=localhost -keyout "$build/key.pem" \
    -out "$build/cert.pem" 2>/dev/null
exec python3 "$here/threads.py" "$build" "${1:-5}"
