#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs every test. The last line is "N passed, N failed, N skipped", and the exit status
# is 0 only if none failed.
#
#   sh test/run.sh [-b BUILD_DIR] [-s SUITE]... [MESON_OPTION...]
#
# -b: where to build; build/test otherwise. -s: only this suite of the Meson tests, or these, and no
# consumer builds. The rest goes to meson setup. CXX chooses the compiler of a new build directory.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
build=$root/build/test
suites=
while [ $# -gt 1 ]; do
    case $1 in
    -b) build=$2 ;;
    -s) suites="$suites --suite $2" ;;
    *) break ;;
    esac
    shift 2
done

# shellcheck source=samples/install.sh
. "$root/samples/install.sh"
need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev doctest-dev openssl
# Peers for the tests of interoperation, which skip without them.
[ -n "$suites" ] || (need_packages gnutls-bin curl nginx-light haproxy apache2-bin wrk) ||
    say "going on without the other TLS programs; the tests that need them skip"
# Installed, a mail server would begin to serve, and another one be removed for it. What it needs is
# installed, and takes nothing's place.
if [ -z "$suites" ]; then
    (need_packages libnss-wrapper libidn12 libgnutls-dane0 libdb5.3 libnsl2 python3) &&
        unpack_package "$build/peers" exim4-daemon-light ||
        say "going on without Exim; the test that needs it skips"
fi
# A loop to be driven by. 1.77 or newer for the sample, which is not Debian 12's libboost-dev.
[ -n "$suites" ] || (need_packages libboost1.81-dev) || (need_packages libboost-dev) ||
    say "going on without Boost; the tests that need it skip"

say "building in $build"
if [ -f "$build/build.ninja" ]; then
    meson setup --reconfigure "$build" "$root" "$@" >"$build/setup.log" ||
        fail "meson could not set the build up: see $build/setup.log"
else
    meson setup "$build" "$root" --buildtype=debugoptimized "$@" ||
        fail "meson could not set the build up"
fi
# With a suite, Meson builds only what that needs.
if [ -n "$suites" ]; then
    # shellcheck disable=SC2086 # a list of words
    set -- $suites
else
    set -- --no-rebuild
    ninja -C "$build" || fail "the build failed"
fi

counts=$build/counts
: >"$counts"
# The log of an earlier run must not stand in for one that does not begin.
rm -f "$build/meson-logs/testlog.json"
meson test -C "$build" --print-errorlogs "$@" || :
[ -f "$build/meson-logs/testlog.json" ] || fail "the build failed"
python3 "$here/count.py" "$build/meson-logs/testlog.json" >>"$counts"

# consumer KIND: a project that uses the library, as one script test.
consumer() {
    status=0
    sh "$here/consumer/run.sh" "$1" "$build/consumer-$1" >"$build/consumer-$1.log" 2>&1 ||
        status=$?
    case $status in
    0) echo "1 0 0" >>"$counts" ;;
    77)
        say "SKIPPED: consumer by $1: $(tail -n 1 "$build/consumer-$1.log")"
        echo "0 0 1" >>"$counts"
        ;;
    *)
        cat "$build/consumer-$1.log"
        say "FAILED: consumer by $1"
        echo "0 1 0" >>"$counts"
        ;;
    esac
}
if [ -z "$suites" ]; then
    consumer subproject
    consumer pkg-config
fi

# Lines of the counts are "passed failed skipped"; others are for people.
grep -vE '^[0-9]+ [0-9]+ [0-9]+$' "$counts" || :
awk '/^[0-9]+ [0-9]+ [0-9]+$/ { passed += $1; failed += $2; skipped += $3 }
    END {
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed > 0 || passed == 0
    }' "$counts"
