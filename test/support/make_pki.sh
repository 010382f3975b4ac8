#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the certificates that the tests use: make_pki.sh DIRECTORY
# At build time, so that nothing in the repository can expire or leak.
#   ca.pem ca.key            the authority the tests trust
#   other-ca.pem             one that they do not
#   server.pem server.key    localhost, 127.0.0.1, ::1; server-chain.pem has the authority behind it
#   rsa.pem rsa.key          the same names on an RSA key
#   expired.pem expired.key  the same names, expired in 2020
#   elsewhere.pem .key       other.example only
#   wildcard.pem .key        *.wild.example and pa*.wild.example
#   client.pem client.key    a client's
#   encrypted.key            server.key under the passphrase "secret"
#   garbage.pem empty.pem    no PEM, nothing at all
set -eu
umask 077
mkdir -p "$1"
cd "$1"

ec_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

authority() { # NAME COMMON_NAME
    ec_key "$1.key"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 3650 -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

issue() { # NAME COMMON_NAME SUBJECT_ALT_NAMES USAGE [START END]
    [ -f "$1.key" ] || ec_key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\n' "subjectAltName=$3" "extendedKeyUsage=$4" basicConstraints=CA:FALSE >"$1.ext"
    rm -f index.txt index.txt.attr
    : >index.txt
    openssl ca -batch -notext -config ca.conf -in "$1.csr" -out "$1.pem" -extfile "$1.ext" \
        -startdate "${5:-20200101000000Z}" -enddate "${6:-20991231235959Z}" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
}

cat >ca.conf <<EOF
[ca]
default_ca = tests
[tests]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
EOF

authority ca 'ringtls test authority'
authority other-ca 'another authority'
local_names=DNS:localhost,IP:127.0.0.1,IP:::1
issue server localhost "$local_names" serverAuth
cat server.pem ca.pem >server-chain.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key 2>/dev/null
issue rsa localhost "$local_names" serverAuth
issue expired localhost "$local_names" serverAuth 20190101000000Z 20200101000000Z
issue elsewhere other.example DNS:other.example serverAuth
issue wildcard wild.example 'DNS:*.wild.example,DNS:pa*.wild.example' serverAuth
issue client 'a client' email:client@example.org clientAuth
openssl pkey -in server.key -aes256 -passout pass:secret -out encrypted.key
echo 'this is not PEM' >garbage.pem
: >empty.pem
rm -f ca.conf index.txt* [0-9A-F]*.pem other-ca.key
