#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures ringtls beside its peers and beside the limit, on this machine:
#
#   sh bench/run.sh [quick] [WORD...]
#
# quick: fewer rounds and settings, under five minutes. Words: only comparisons whose names contain
# one of them. ROUNDS in the environment: other than five, or three when quick. Installs what it
# needs, builds in release mode in build/bench, and writes results.md, results.json and plots into
# bench/ (into build/bench when quick, or when words are given).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"

# Debian starts the nginx that it installs; the comparison runs one of its own and needs that not.
need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev openssl python3 \
    libboost1.81-dev golang-go rustc cargo librust-tokio-dev nginx \
    librust-tokio-rustls-dev librust-rustls-pemfile-dev gnuplot-nox strace valgrind util-linux

build=$root/build/bench
say "building in $build"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=release -Ddefault_library=static -Dbench=enabled \
        -Dtests=disabled -Dsamples=disabled ||
    fail "meson could not set the build up"
ninja -C "$build" || fail "the build failed"
sh "$here/peers/build_others.sh" "$build/others" || say "without Go or Rust: see above"

# prlimit(1) of util-linux: POSIX shells need not have ulimit -n.
prlimit --pid $$ --nofile="$(prlimit --nofile --output HARD --noheadings)"
exec python3 "$here/run.py" "$build" "$@"
