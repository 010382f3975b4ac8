#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs the consumer: sh run.sh subproject|pkg-config WORK_DIR
#
# subproject: ringtls in its subprojects/. pkg-config: ringtls installed in a
# prefix of its own. Exit status 0: works.
set -eu

kind=$1
mkdir -p "$2"
work=$(CDPATH='' cd -- "$2" && pwd)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")

rm -rf "$work/consumer" "$work/build" "$work/library" "$work/prefix"
mkdir "$work/consumer"
cp "$here/meson.build" "$here/main.cpp" "$work/consumer"

case $kind in
subproject)
    mkdir "$work/consumer/subprojects"
    ln -s "$root" "$work/consumer/subprojects/ringtls"
    meson setup "$work/build" "$work/consumer" --force-fallback-for=ringtls
    # Its tests and samples are off unless they are asked for.
    meson introspect "$work/build" --targets | python3 -c '
import json, sys
extra = {target["name"] for target in json.load(sys.stdin)} - {"consumer", "ringtls"}
sys.exit(f"built in a subproject: {sorted(extra)}" if extra else 0)'
    ;;
pkg-config)
    meson setup "$work/library" "$root" --prefix "$work/prefix" --libdir lib \
        -Dtests=disabled -Dsamples=disabled -Dbench=disabled
    meson install -C "$work/library"
    # With the source tree out of sight: nothing but what was installed.
    PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
    LD_LIBRARY_PATH=$work/prefix/lib
    export PKG_CONFIG_PATH LD_LIBRARY_PATH
    [ "$(pkg-config --variable=prefix ringtls)" = "$work/prefix" ]
    meson setup "$work/build" "$work/consumer"
    ;;
*)
    echo "unknown kind: $kind" >&2
    exit 2
    ;;
esac

ninja -C "$work/build"
"$work/build/consumer"
