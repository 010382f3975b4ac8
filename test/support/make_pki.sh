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
#   ocsp.pem ocsp.key        an OCSP responder's, for ca's certificates
#   subject-only.pem .key    localhost as its common name alone
#   address-as-name.pem .key 127.0.0.1 as a DNS name
#   international.pem .key   xn--bcher-kva.example
#   between.pem .key         an authority under ca.pem
#   deep.pem .key            localhost, by between.pem; deep-chain.pem has that behind it
#   impostor.pem .key        localhost, by server.pem, which is no authority;
#                            impostor-chain.pem has that behind it
#   revoked.pem .key         localhost, revoked in crl.pem
#   crl.pem between-crl.pem  what ca and between have revoked; stale-crl.pem ended in 2020
#   encrypted.key            server.key under the passphrase "secret"; encrypted-old.key in the
#                            form before PKCS#8
#   deep.p12                 deep.key and its chain under "secret", the other authority too;
#                            open.p12: under an empty passphrase; keyless.p12: only certificates
#   trusted/                 a directory with ca.pem and what is no certificate
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

issuer=ca
issue() { # NAME COMMON_NAME SUBJECT_ALT_NAMES USAGE [START END] : by $issuer
    [ -f "$1.key" ] || ec_key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\n' "subjectAltName=$3" "extendedKeyUsage=$4" basicConstraints=CA:FALSE >"$1.ext"
    rm -f index.txt index.txt.attr
    : >index.txt
    [ "$4" != authority ] || printf '%s\n' basicConstraints=critical,CA:TRUE \
        keyUsage=critical,keyCertSign,cRLSign >"$1.ext"
    openssl ca -batch -notext -config ca.conf -cert "$issuer.pem" -keyfile "$issuer.key" \
        -in "$1.csr" -out "$1.pem" -extfile "$1.ext" \
        -startdate "${5:-20200101000000Z}" -enddate "${6:-20991231235959Z}" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
}

revocations() { # NAME START END [REVOKED] : by $issuer
    : >index.txt
    [ -z "${4:-}" ] || openssl ca -config ca.conf -cert "$issuer.pem" -keyfile "$issuer.key" \
        -revoke "$4.pem" 2>/dev/null
    openssl ca -gencrl -config ca.conf -cert "$issuer.pem" -keyfile "$issuer.key" \
        -crl_lastupdate "$2" -crl_nextupdate "$3" -out "$1.pem" 2>/dev/null
}

bundle() { # NAME PASSPHRASE OPTION...
    name=$1
    passphrase=$2
    shift 2
    openssl pkcs12 -export -passout "pass:$passphrase" -out "$name.p12" "$@"
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
default_crl_days = 30
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
issue ocsp 'a responder' DNS:ocsp.example OCSPSigning
issue subject-only localhost email:nobody@example.org serverAuth
issue address-as-name localhost DNS:127.0.0.1 serverAuth
issue international bookshop DNS:xn--bcher-kva.example serverAuth
issue between 'an authority between' none authority
issue revoked localhost "$local_names" serverAuth
revocations crl 20200101000000Z 20991231235959Z revoked
revocations stale-crl 20190101000000Z 20200101000000Z
issuer=server
issue impostor localhost "$local_names" serverAuth
cat impostor.pem server.pem >impostor-chain.pem
issuer=between
issue deep localhost "$local_names" serverAuth
cat deep.pem between.pem >deep-chain.pem
revocations between-crl 20200101000000Z 20991231235959Z
cat other-ca.pem ca.pem between.pem >unsorted.pem
bundle deep secret -inkey deep.key -in deep.pem -certfile unsorted.pem
bundle open '' -inkey client.key -in client.pem
bundle keyless secret -nokeys -in client.pem
mkdir -p trusted/below
cp ca.pem trusted/ca.crt
cp server.key trusted/key.pem
echo 'Authorities to trust.' >trusted/README
openssl ec -in server.key -aes128 -passout pass:secret -out encrypted-old.key 2>/dev/null
openssl pkey -in server.key -aes256 -passout pass:secret -out encrypted.key
echo 'this is not PEM' >garbage.pem
: >empty.pem
rm -f unsorted.pem ca.conf index.txt* [0-9A-F]*.pem other-ca.key
