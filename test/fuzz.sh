#!/bin/sh
# SPDX-License-Identifier: MIT
# Feeds hostile bytes to the library, under libFuzzer, the address and the undefined-behaviour
# sanitizer. The last line is "N passed, N failed, N skipped", in targets; the exit status is 0 only
# if nothing was found.
#
#   sh test/fuzz.sh MINUTES [TARGET...]   a long run: the minutes are shared out among the targets
#   sh test/fuzz.sh -r RUNS [TARGET...]   so many executions of each, of the fast ones ten times as
#                                         many, from the seeds alone
#
# Everything is in build/fuzz: what a long run has learnt, for the next one, in corpus; inputs that
# found something in findings. Seeds are in test/fuzz/seeds, and more are made at the start, which
# need a key or a certificate. To make those in the repository anew:
#   sh test/fuzz.sh -r 0 && cp -r build/fuzz/seeds/[!pc]* test/fuzz/seeds/
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
build=$root/build/fuzz
all='client server recording pem certificate address server_name client_hello session proxy_protocol'

# shellcheck source=samples/install.sh
. "$root/samples/install.sh"

runs=
case ${1-} in
-r)
    runs=${2-}
    shift
    ;;
esac
case ${1-} in
'' | *[!0-9]*) fail "usage: sh test/fuzz.sh MINUTES|-r RUNS [TARGET...]" ;;
esac
minutes=$1
shift
[ $# -gt 0 ] || eval "set -- $all"
for target in "$@"; do
    case " $all " in
    *" $target "*) ;;
    *) fail "no target $target: there are $all" ;;
    esac
done

need_packages clang-19 libclang-rt-19-dev llvm-19 meson ninja-build pkg-config libssl-dev \
    liburing-dev g++
say "building in $build"
[ -f "$build/build.ninja" ] ||
    CXX=clang++-19 meson setup "$build" "$root" --buildtype=debugoptimized \
        -Ddefault_library=static -Dfuzz=enabled -Dtests=disabled -Dsamples=disabled \
        -Dbench=disabled -Dwerror=true >/dev/null || fail "meson could not set the build up"
ninja -C "$build" >"$build/build.log" || {
    cat "$build/build.log"
    fail "the build failed"
}

# Small quarantine and stacks: OpenSSL allocates so much that the defaults halve the rate.
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=4:max_malloc_fill_size=0
export UBSAN_OPTIONS=print_stacktrace=1
ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-19 || :)
export ASAN_SYMBOLIZER_PATH

rm -rf "$build/seeds"
"$build/test/fuzz/make_seeds" "$build/seeds" || fail "the seeds could not be made"

# Two at once: each gets this many seconds.
seconds=$((minutes * 60 * 2 / $#))
[ "$seconds" -gt 0 ] || seconds=1
[ $# -gt 1 ] || seconds=$((minutes * 60))

# seeds_of TARGET: the directories with its seeds.
seeds_of() {
    case $1 in
    client | server) kind=script ;;
    *) kind=$1 ;;
    esac
    for directory in "$here/fuzz/seeds/$kind" "$build/seeds/$kind"; do
        [ ! -d "$directory" ] || printf '%s\n' "$directory"
    done
}

# fuzz TARGET: one run, whose exit status is libFuzzer's.
fuzz() {
    target=$1
    log=$build/$target.log
    mkdir -p "$build/corpus/$target" "$build/findings/$target"
    corpus=$build/corpus/$target
    limit=-max_total_time=$seconds
    if [ -n "$runs" ]; then
        corpus=$build/fresh/$target
        rm -rf "$corpus"
        mkdir -p "$corpus"
        limit="-runs=$runs -seed=1"
        case $target in
        certificate | address | server_name | client_hello | session | proxy_protocol) limit="-runs=${runs}0 -seed=1" ;;
        esac
    fi
    longest=4096
    case $target in
    client | server) longest=512 ;;
    esac
    begun=$(date +%s.%N)
    status=0
    # shellcheck disable=SC2046,SC2086 # lists of words
    "$build/test/fuzz/$target" $limit -max_len=$longest -timeout=30 -rss_limit_mb=2048 \
        -malloc_limit_mb=64 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$build/findings/$target/" "$corpus" $(seeds_of "$target") \
        >"$log" 2>&1 || status=$?
    echo "took $(echo "$begun $(date +%s.%N)" | awk '{ print $2 - $1 }')" >>"$log"
    return "$status"
}

# report TARGET STATUS
report() {
    log=$build/$1.log
    statistic() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    executions=$(statistic number_of_executed_units)
    added=$(statistic new_units_added)
    took=$(sed -n 's/^took //p' "$log")
    rate=$(awk -v n="${executions:-0}" -v s="${took:-0}" 'BEGIN { printf "%.0f", (s > 0 ? n / s : 0) }')
    say "$1: ${executions:-?} executions, $rate a second, ${added:-?} new units"
    [ "$2" -eq 0 ] && return 0
    grep -aE '^broken promise|runtime error:|^SUMMARY:|what\(\):' "$log" | head -n 5 || :
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    say "$1: FAILED, see $log; once more: $build/test/fuzz/$1 ${input:-(no input was kept)}"
    return 1
}

passed=0 failed=0
# finish PROCESS TARGET
finish() {
    status=0
    wait "$1" || status=$?
    if report "$2" "$status"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

while [ $# -gt 0 ]; do
    first=$1 second=${2-}
    fuzz "$first" &
    first_process=$!
    shift
    if [ -n "$second" ]; then
        fuzz "$second" &
        second_process=$!
        shift
    fi
    finish "$first_process" "$first"
    [ -z "$second" ] || finish "$second_process" "$second"
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
