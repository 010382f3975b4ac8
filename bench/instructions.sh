#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the instructions that an echo of 64 B takes in user space, ours and the floor's, and compares
# with what is kept in instructions.json: more than 5 percent above it fails. Valgrind counts, so that
# neither the machine's speed nor its load matters.
#
#   sh bench/instructions.sh           compares
#   sh bench/instructions.sh --keep    keeps what it counts
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"

need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev openssl python3 valgrind \
    util-linux

build=$root/build/instructions
say "building in $build"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=release -Ddefault_library=static -Dbench=enabled \
        -Dtests=disabled -Dsamples=disabled ||
    fail "meson could not set the build up"
ninja -C "$build" bench/load/bench_load bench/peers/bench_ringtls bench/peers/bench_uring ||
    fail "the build failed"
exec python3 "$here/instructions.py" "$build" "$@"
