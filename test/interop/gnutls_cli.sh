#!/bin/sh
# SPDX-License-Identifier: MIT
# gnutls-cli talks to echo_server: verified, with an echo compared, over each version.
set -eu
. "$(dirname "$0")/common.sh"
need gnutls-cli gnutls-bin

openssl rand -base64 200000 >"$work/sent"
start_server server --alpn echo
for version in 1.2 1.3; do
    expect 0 gnutls-cli --x509cafile "$ca" --priority "NORMAL:-VERS-ALL:+VERS-TLS$version" \
        --alpn echo --logfile "$work/log" --port "$port" localhost <"$work/sent"
    cmp "$work/sent" "$work/out" || fail 'the echo is not what was sent'
    for fact in 'certificate is trusted' "(TLS$version-" 'Application protocol: echo'; do
        grep -qF -e "$fact" "$work/log" || fail "gnutls-cli does not say: $fact"
    done
done
server_said_nothing
stop_server
