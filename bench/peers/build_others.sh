#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the servers in other languages: DIR/bench_go and DIR/bench_rust. Installs nothing, downloads
# nothing, and skips with a line what cannot be built. Debian's packages:
#   bench_go:   golang-go
#   bench_rust: cargo rustc librust-tokio-dev librust-tokio-rustls-dev librust-rustls-pemfile-dev
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
to=$(cd "$1" && pwd)

skip() {
    echo "skipped: $1: $2"
}

build_go() {
    if ! command -v go >/dev/null; then
        skip bench_go "no Go (Debian's golang-go)"
        return
    fi
    if (cd "$here/go" && GOCACHE="$to/go-cache" GOPROXY=off GOFLAGS=-mod=mod GOTOOLCHAIN=local \
        nice -n 10 go build -p 1 -o "$to/bench_go" .); then
        echo "built: $to/bench_go"
    else
        skip bench_go "it does not build"
    fi
}

# Debian's own compiler and crates, which fit each other; not what else may come first in PATH.
build_rust() {
    registry=/usr/share/cargo/registry
    if [ ! -x /usr/bin/cargo ] || [ ! -x /usr/bin/rustc ]; then
        skip bench_rust "no /usr/bin/cargo and /usr/bin/rustc (Debian's cargo and rustc)"
        return
    fi
    for crate in tokio tokio-rustls rustls-pemfile; do
        if ! ls -d "$registry/$crate"-[0-9]* >/dev/null 2>&1; then
            skip bench_rust "no crate $crate (Debian's librust-$crate-dev)"
            return
        fi
    done
    rm -rf "$to/rust"
    mkdir -p "$to/rust/.cargo"
    cp -R "$here/rust/." "$to/rust/"
    cat >"$to/rust/.cargo/config.toml" <<END
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "$registry"
END
    if (cd "$to/rust" && RUSTC=/usr/bin/rustc CARGO_HOME="$to/cargo-home" \
        nice -n 10 /usr/bin/cargo build --release --offline --quiet --jobs 1); then
        cp "$to/rust/target/release/bench_rust" "$to/"
        echo "built: $to/bench_rust"
    else
        skip bench_rust "it does not build"
    fi
}

build_go
build_rust
