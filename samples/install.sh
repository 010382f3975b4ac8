# SPDX-License-Identifier: MIT
# Sourced by the scripts that build: installs what a fresh Debian or Ubuntu machine lacks.
# shellcheck shell=sh

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# unpack_package DIR PACKAGE: what a Debian package holds, in DIR/PACKAGE, without installing it.
unpack_package() {
    [ ! -d "$1/$2" ] || return 0
    say "unpacking $2 in $1"
    rm -rf "$1/$2.deb"
    mkdir -p "$1/$2.deb"
    (cd "$1/$2.deb" && apt-get download -q "$2" >/dev/null 2>&1 && dpkg -x ./*.deb unpacked) ||
        return 1
    mv "$1/$2.deb/unpacked" "$1/$2"
    rm -rf "$1/$2.deb"
}

# need_packages PACKAGE...: installs those of the Debian packages that are missing.
need_packages() {
    command -v apt-get >/dev/null ||
        fail "this machine has no apt-get; install what these Debian packages hold, and run meson and ninja as README.md says: $*"
    missing=
    for package in "$@"; do
        case $(dpkg -s "$package" 2>/dev/null) in
        *"Status: install ok installed"*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0

    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "no sudo here; have root run: apt-get install$missing"
        as_root=sudo
    fi
    say "installing with apt-get:$missing"
    $as_root apt-get update -q || say "apt-get update failed; trying with the package lists at hand"
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing ||
        fail "apt-get could not install:$missing"
}
