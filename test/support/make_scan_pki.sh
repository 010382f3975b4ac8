#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes an authority, and a certificate for localhost of 90 days, as public ones are:
#   make_scan_pki.sh DIRECTORY
set -eu
umask 077
mkdir -p "$1"
cd "$1"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

key ca.key
openssl req -x509 -new -key ca.key -subj '/CN=An authority for a scan' -days 3650 -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
key server.key
openssl req -new -key server.key -subj /CN=localhost -out server.csr
printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 extendedKeyUsage=serverAuth \
    keyUsage=critical,digitalSignature basicConstraints=CA:FALSE \
    crlDistributionPoints=URI:http://crl.example/crl.der \
    authorityInfoAccess=OCSP\;URI:http://ocsp.example >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 \
    -extfile server.ext -out server.pem 2>/dev/null
cat server.pem ca.pem >server-chain.pem
rm -f server.csr server.ext
