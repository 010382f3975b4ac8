#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and runs every test on Debian 13 (GCC 14, Meson 1.7, liburing 2.9, OpenSSL 3.5): in a root
# made by debootstrap from nothing, with what test/run.sh installs there and nothing else. The last
# line is "N passed, N failed, N skipped".
#
#   sh test/debian13.sh [OPTION OF test/run.sh...]
#
# The root is in build/debian13, and stays there to be looked at. Needs to be root, or sudo.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
target=$root/build/debian13
mkdir -p "$root/build"
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"
need_packages debootstrap debian-archive-keyring util-linux git

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo

# The mirror that this machine has its own packages from, if that is Debian's, or debootstrap's.
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 '/debian/*$' || :)

say "making a root in $target"
$as_root rm -rf --one-file-system "$target"
# shellcheck disable=SC2086 # no mirror: no word
$as_root debootstrap --variant=minbase trixie "$target" $mirror >"$root/build/debian13.log" 2>&1 || {
    tail -n 5 "$root/build/debian13.log" >&2
    fail "debootstrap failed: see $root/build/debian13.log"
}
# How this machine reaches its mirrors; nothing that may hold a password stays.
# shellcheck disable=SC2317 # called by the trap
forget_mirrors() { $as_root rm -rf "$target"/etc/apt/auth.conf.d "$target"/etc/apt/apt.conf.d/*; }
trap forget_mirrors EXIT
trap 'exit 1' HUP INT TERM
for file in /etc/apt/apt.conf.d/* /etc/apt/auth.conf.d/*; do
    if [ -f "$file" ] && grep -q '^ *\(Acquire\|machine\)' "$file"; then
        $as_root cp "$file" "$target${file%/*}/"
    fi
done
for file in /etc/resolv.conf /etc/hosts; do
    [ ! -f "$file" ] || $as_root cp "$file" "$target/etc/"
done

# The sources alone: neither what was built nor what git ignores.
$as_root mkdir -p "$target/ringtls"
(cd "$root" && git ls-files -z --cached --others --exclude-standard |
    xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh |
    tar -c --null --files-from=-) | $as_root tar -x -C "$target/ringtls" --no-same-owner

# In a mount name space of its own, so that nothing stays mounted.
say "running the tests there"
# shellcheck disable=SC2016 # the inner shell's variables
$as_root unshare --mount --fork sh -eu -c '
    target=$1
    shift
    mount --rbind /dev "$target/dev"
    mount -t proc proc "$target/proc"
    mount --rbind /sys "$target/sys"
    exec chroot "$target" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        ${http_proxy:+http_proxy="$http_proxy"} sh -c '\''
            cd /ringtls
            sh test/run.sh "$@"
        '\'' sh "$@"
' sh "$target" "$@"
