#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's example is the file that the tests compile: readme.sh README EXAMPLE
set -eu
shown=$(sed -n '/^```cpp$/,/^```$/p' "$1" | sed '1d;$d')
[ "$shown" = "$(cat "$2")" ] || {
    echo "readme: the example in $1 is not $2" >&2
    exit 1
}
