#!/bin/sh
# SPDX-License-Identifier: MIT
# Has testssl.sh and sslscan look at echo_server as it is without options, but for a certificate
# that they can follow. Ends with the findings above LOW; the exit status is 0 only if there is none.
#
#   sh test/scan.sh [OPTION OF echo_server...]
#
# What they say is left in build/scan.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
build=$root/build/demo
out=$root/build/scan
# shellcheck source=samples/install.sh
. "$root/samples/install.sh"
need_packages g++ meson ninja-build pkg-config libssl-dev liburing-dev openssl testssl.sh sslscan \
    python3

[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$root" --buildtype=release -Dtests=disabled -Dbench=disabled -Dsamples=enabled ||
    fail "meson could not set the build up"
ninja -C "$build" >/dev/null || fail "the build failed"
rm -rf "$out"
mkdir -p "$out"

server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM

# An authority, and a certificate of it for localhost, as public ones are: for 90 days.
sh "$here/support/make_scan_pki.sh" "$out/pki"
mkfifo "$out/first-line"
"$build/samples/echo_server" --listen 127.0.0.1:0 --quiet --cert "$out/pki/server-chain.pem" \
    --key "$out/pki/server.key" "$@" >"$out/first-line" &
server=$!
read -r line <"$out/first-line" || fail "echo_server did not start"
port=${line##*:}

say "sslscan of localhost:$port"
sslscan --no-colour --show-certificate "localhost:$port" | tee "$out/sslscan.txt"
say "testssl.sh of localhost:$port"
testssl --quiet --color 0 --warnings off --add-ca "$out/pki/ca.pem" --jsonfile "$out/testssl.json" \
    --logfile "$out/testssl.txt" "localhost:$port" || :
[ -s "$out/testssl.json" ] || fail "testssl.sh found nothing to say"

say "above LOW:"
python3 - "$out/testssl.json" <<'EOF'
import collections, json, sys
findings = json.load(open(sys.argv[1]))
counts = collections.Counter(each["severity"] for each in findings)
worse = [each for each in findings if each["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
for each in worse:
    print(f'{each["severity"]}: {each["id"]}: {each["finding"]}')
print(", ".join(f"{count} {severity}" for severity, count in sorted(counts.items())))
sys.exit(1 if worse else 0)
EOF
