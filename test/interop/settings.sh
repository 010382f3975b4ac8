#!/bin/sh
# SPDX-License-Identifier: MIT
# What the settings promise, seen from OpenSSL's and GnuTLS's programs: trust, identity, policy.
set -eu
. "$(dirname "$0")/common.sh"
need openssl openssl
need gnutls-cli gnutls-bin
probe=${RINGTLS_PROBE:?the program tls_probe}

connects() { # PATTERN SETTING... : in what the probe tells
    pattern=$1
    shift
    expect 0 "$probe" client "$port" "$@"
    grep -Eq -e "$pattern" "$work/out" || fail "the probe does not say: $pattern"
}
is_refused() { # PATTERN SETTING...
    pattern=$1
    shift
    expect 1 "$probe" client "$port" "$@"
    one_line "$pattern"
}

start_probe() { # SETTING... : what it tells goes to server.log
    mkfifo "$work/ready"
    "$probe" server "$@" >"$work/ready" 2>"$work/server.err" &
    server=$!
    exec 5<"$work/ready"
    rm "$work/ready"
    read -r listening <&5 || fail 'no line from the probe'
    port=${listening##*:}
}
tells() { # PATTERN : the probe, of the next connection
    read -r line <&5 || fail 'the probe is gone'
    echo "$line" | grep -Eq -e "$1" || fail "the probe says \"$line\", not $1"
}
stop_probe() {
    exec 5<&-
    cut "$server"
}

s_client() { # STATUS OPTION...
    status_of_client=$1
    shift
    expect "$status_of_client" openssl s_client -connect "127.0.0.1:$port" \
        -servername localhost -verify_hostname localhost -verify_return_error -CAfile "$ca" "$@" \
        </dev/null
}
gnutls() { # PRIORITY OPTION...
    priority=$1
    shift
    expect 0 gnutls-cli --x509cafile "$ca" --priority "$priority" --port "$port" "$@" localhost \
        </dev/null
}

fingerprint() { # NAME : of the certificate
    openssl x509 -in "$pki/$1.pem" -noout -fingerprint -sha256 | sed 's/.*=//'
}
key_pin() { # NAME : as in RFC 7469
    openssl x509 -in "$pki/$1.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
        openssl dgst -sha256 -binary | openssl base64
}

for version in -tls1_2 -tls1_3; do
    # ---- trust: servers of OpenSSL's ----
    start_s_server server "$version" -rev
    serial=$(openssl x509 -in "$pki/server.pem" -noout -serial | sed 's/.*=//')
    connects "peer=CN=localhost serial=$serial key=EC256" ca="$ca" crl="$pki/crl.pem"
    connects . ca-directory="$pki/trusted"
    connects . ca="$ca" pin="$(fingerprint server)" key-pin="$(key_pin rsa)"
    connects . ca="$ca" key-pin="$(key_pin server)"
    is_refused 'not pinned' ca="$ca" pin="$(fingerprint rsa)"
    is_refused 'not pinned' ca="$ca" key-pin="$(key_pin rsa)"
    cut "$peer"
    start_s_server revoked "$version" -rev
    connects . ca="$ca"
    is_refused 'certificate revoked' ca="$ca" crl="$pki/crl.pem"
    cut "$peer"
    start_s_server deep "$version" -rev -cert_chain "$pki/between.pem"
    connects . ca="$ca" crl="$pki/crl.pem" crl="$pki/between-crl.pem" depth=1
    is_refused 'chain too long' ca="$ca" depth=0
    is_refused 'unable to get certificate CRL' ca="$ca" crl="$pki/crl.pem"
    cut "$peer"

    # ---- identity: to a server that demands one ----
    start_s_server server "$version" -rev -CAfile "$ca" -Verify 1 -verify_return_error
    connects . ca="$ca" identity="$pki/open.p12,"
    is_refused 'alert (certificate required|handshake failure)' ca="$ca"
    cut "$peer"

    # ---- identity: of a server with two kinds of keys, one encrypted ----
    start_probe identity="$pki/server.pem,$pki/encrypted.key,secret" \
        identity="$pki/rsa.pem,$pki/rsa.key" ca="$ca" request-client-certificate
    s_client 0 "$version" -sigalgs RSA-PSS+SHA256
    grep -Eq 'Peer signature type: (RSA-PSS|rsa_pss_)' "$work/out" || fail 'not the RSA certificate'
    tells '^TLSv1.* group=(x25519|X25519MLKEM768)$'
    s_client 0 "$version" -sigalgs ECDSA+SHA256
    grep -Eq 'Peer signature type: (ECDSA|ecdsa_)' "$work/out" || fail 'not the ECDSA certificate'
    tells '^TLSv1.* group=(x25519|X25519MLKEM768)$'
    s_client 0 "$version" -cert "$pki/client.pem" -key "$pki/client.key"
    grep -Eq 'CN ?= ?ringtls test authority' "$work/out" || fail 'no authority was named'
    tells 'peer=CN=a client serial=[0-9A-F]* key=EC256$'
    gnutls NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256 \
        --x509certfile "$pki/client.pem" --x509keyfile "$pki/client.key"
    tells 'peer=CN=a client'
    stop_probe
    start_probe identity="$pki/deep.p12,secret"
    s_client 0 "$version"
    tells '^TLSv1'
    gnutls NORMAL
    tells '^TLSv1'
    stop_probe
done

# ---- policy ----
start_probe identity="$pki/server.pem,$pki/server.key" preset=modern
s_client 1 -tls1_2
tells 'unsupported protocol'
s_client 0
tells '^TLSv1.3'
gnutls NORMAL:-GROUP-ALL:+GROUP-X25519
tells '^TLSv1.3 .* group=x25519$'
stop_probe
start_probe identity="$pki/server.pem,$pki/server.key" preset=intermediate
s_client 1 -tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384
tells 'no shared cipher'
s_client 0 -tls1_2 -groups P-384:P-256
tells '^TLSv1.2 ECDHE-ECDSA-.* group=secp256r1$' # by the server's order
gnutls NORMAL:-VERS-ALL:+VERS-TLS1.2:-GROUP-ALL:+GROUP-SECP256R1
tells '^TLSv1.2 ECDHE-ECDSA-.* group=secp256r1$'
stop_probe
