#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh STATIC SHARED: whether the shared library exports each function and variable of
# namespace ringtls that the static one has, but for those in ringtls::detail. The two compilers
# differ: for a function outside a class, Clang heeds the visibility of the namespace that defines
# it, GCC that of the one that declares it.
set -eu

symbols=$(mktemp -d)
trap 'rm -rf "$symbols"' EXIT

nm -g --defined-only "$1" |
    awk '$2 ~ /^[TDBR]$/ && $3 ~ /^_ZNK?7ringtls/ && $3 !~ /^_ZNK?7ringtls6detail/ { print $3 }' |
    sort -u > "$symbols/public"
nm -D --defined-only "$2" | awk '{ print $3 }' | sort -u > "$symbols/exported"

[ -s "$symbols/public" ] || {
    echo "exports.sh: $1: no symbol of ringtls" >&2
    exit 1
}
comm -23 "$symbols/public" "$symbols/exported" > "$symbols/hidden"
if [ -s "$symbols/hidden" ]; then
    echo "exports.sh: hidden in $2; say [[gnu::visibility(\"default\")]] where they are declared:" >&2
    c++filt < "$symbols/hidden" >&2
    exit 1
fi
echo "$(wc -l < "$symbols/public") functions and variables, all exported"
