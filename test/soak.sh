#!/bin/sh
# SPDX-License-Identifier: MIT
# Opens, uses, cancels, kills and resets connections at random for so many minutes, and checks every
# byte, and at the end that descriptors, memory and requests in the kernel are as at the start.
#
#   sh test/soak.sh [-s] MINUTES [SEED]
#
# -s: under the address and undefined-behaviour sanitizers. The seed is printed first; a run with the
# same seed makes the same connections. The last line is "soak: ok" or "soak: FAILED".
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"

build=$root/build/soak
sanitize=none
if [ "${1:-}" = -s ]; then
    build=$root/build/soak-asan
    sanitize=address,undefined
    export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1}"
    export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
    shift
fi
case $#:${1:-} in
1:*[!0-9]* | 2:*[!0-9]* | [12]:) fail "not a number of minutes: ${1:-}" ;;
1:* | 2:*) ;;
*) fail "usage: sh test/soak.sh [-s] MINUTES [SEED]" ;;
esac

need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev doctest-dev openssl

say "building in $build"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=debugoptimized -Db_sanitize="$sanitize" \
        -Dtests=enabled -Dsamples=disabled -Dbench=disabled ||
    fail "meson could not set the build up"
ninja -C "$build" test/soak test/pki || fail "the build failed"

exec "$build/test/soak" --seconds "$(($1 * 60))" ${2:+--seed "$2"}
