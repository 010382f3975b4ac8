#!/bin/sh
# SPDX-License-Identifier: MIT
# What cannot work ends with status 1, or 2 where it is the command line's fault, and with one line
# that says why; and the server goes on serving.
set -eu
. "$(dirname "$0")/common.sh"
need curl curl

server() {
    "$samples/echo_server" --listen 127.0.0.1:0 "$@"
}

refuses() { # PATTERN COMMAND...
    pattern=$1
    shift
    expect 1 "$@" </dev/null
    one_line "${1##*/}: .*$pattern"
}

clients_refuse() { # PATTERN HOST PORT OPTION...
    reason=$1 host=$2 at=$3
    shift 3
    for name in echo_client echo_swarm; do
        refuses "$host:$at: .*$reason" "$samples/$name" "$@" "$host" "$at"
    done
    refuses "$host:$at: .*$reason" "$samples/https_get" "$@" "https://$host:$at/"
}

misused() { # PATTERN COMMAND...
    pattern=$1
    shift
    expect 2 "$@" </dev/null
    one_line "${1##*/}: .*$pattern"
    [ ! -s "$work/out" ] || fail 'something on stdout'
}

each_misused() { # "OPTION..." COMMAND...
    options=$1
    shift
    for option in $options; do
        misused "--$option needs a value" "$@" "--$option"
        misused "--$option needs a value" "$@" "--$option="
        misused "unknown option '--${option}x" "$@" "--${option}x"
    done
}

# Certificates and keys that are none, or belong to somebody else.
start_server server
sed /END/d "$pki/server.pem" >"$work/cut.pem"
mkdir "$work/directory"
cp "$pki/empty.pem" "$pki/garbage.pem" "$pki/encrypted.key" "$work"
while IFS=, read -r file cert_reason key_reason; do
    file=$work/$file
    refuses "$file: .*$cert_reason" server --cert "$file" --key "$pki/server.key"
    refuses "$file: .*$key_reason" server --cert "$pki/server.pem" --key "$file"
    refuses "$file: .*$cert_reason" server --client-ca "$file"
    refuses "$file: .*$cert_reason" client --cert "$file" --key "$pki/client.key"
    refuses "$file: .*$key_reason" client --cert "$pki/client.pem" --key "$file"
    for name in echo_client echo_swarm; do
        refuses "$file: .*$cert_reason" "$samples/$name" --ca "$file" localhost "$port"
    done
    refuses "$file: .*$cert_reason" "$samples/https_get" --ca "$file" "https://localhost:$port/"
done <<END
missing.pem,No such file or directory,No such file or directory
directory,Is a directory,Is a directory
empty.pem,no start line,no private key that can be read
garbage.pem,no start line,no private key that can be read
encrypted.key,no start line,encrypted
cut.pem,(bad end line|bad base64),(no private key that can be read|bad end line)
END
echo short >"$work/short"
refuses "$work/short: shorter than 32 bytes" server --ticket-secret "$work/short"
refuses "$pki/client.key: .*match" server --cert "$pki/server.pem" --key "$pki/client.key"
refuses "$pki/server.key: .*match" client --cert "$pki/client.pem" --key "$pki/server.key"
server_echoes

# Addresses.
refuses "127.0.0.1:$port: .*in use" server --listen "127.0.0.1:$port"
refuses "127.0.0.1:$port: .*in use" server --listen "127.0.0.1:$port" --threads 2
refuses '192.0.2.1:0: .*Cannot assign' server --listen 192.0.2.1:0
refuses "$work/no/such: .*No such file" server --save-cert "$work/no/such"
server_echoes
clients_refuse 'Connection refused' localhost 1
clients_refuse 'Connection refused' 127.0.0.1 1
clients_refuse '(not known|resolution)' nosuchhost.invalid 1

# Certificates that the clients do not accept.
clients_refuse 'unable to get local issuer certificate at depth 0 .CN=localhost.' localhost \
    "$port" --ca "$pki/other-ca.pem"
server_echoes

# No TLS at all: each is one line of the server.
: >"$work/server.err"
# 52: an empty answer; newer ones tell of the reset, 56.
plain_http() { # ARGUMENT... : 0 if it ended as it should
    ended=0
    curl --silent --show-error "$@" "http://localhost:$port/" || ended=$?
    [ "$ended" -eq 52 ] || [ "$ended" -eq 56 ]
}
expect 0 plain_http
server_said '127.0.0.1:[0-9]+: handshake: http request$'
expect 0 plain_http --request FETCH
server_said '127.0.0.1:[0-9]+: handshake: wrong version number$'
expect 28 curl --silent --show-error --max-time 1 "telnet://localhost:$port" </dev/null
server_said '127.0.0.1:[0-9]+: handshake: .*without close_notify$'
server_echoes
server_said_nothing
stop_server

start_server elsewhere
clients_refuse 'hostname mismatch at depth 0 .CN=other.example.' localhost "$port" --ca "$ca"
clients_refuse 'IP address mismatch at depth 0 .CN=other.example.' 127.0.0.1 "$port" --ca "$ca"
server_echoes --server-name other.example
stop_server
start_server expired
clients_refuse 'certificate has expired at depth 0 .CN=localhost.' localhost "$port" --ca "$ca"
expect 0 openssl s_client -connect "localhost:$port" </dev/null
stop_server

# Command lines.
each_misused 'listen cert key client-ca alpn threads save-cert driver' server
each_misused 'ca server-name cert key alpn timeout' "$samples/echo_client" localhost 1
each_misused 'ca server-name connections messages size timeout' "$samples/echo_swarm" localhost 1
each_misused 'ca proxy proxy-ca timeout output' "$samples/https_get" https://localhost/
for flag in quiet help version; do
    misused "'--$flag=yes' takes no value" server "--$flag=yes"
done
misused "'--verbose=yes' takes no value" client --verbose=yes
misused "unknown option '-v'" client -v

for number in 0 -1 1x x '1 ' 0x1 257 99999999999999999999; do
    misused "--threads: '$number' is not a number" server --threads "$number"
done
for number in 0 -1 1x x 1e999 nan inf 86401; do
    for name in echo_client echo_swarm; do
        misused "--timeout: '$number' is not a number" "$samples/$name" --timeout "$number" h 1
    done
    misused "--timeout: '$number' is not a number" "$samples/https_get" --timeout "$number" \
        https://h
done
for number in 0 -1 1x x 99999999999999999999; do
    for option in connections messages size; do
        misused "--$option: '$number' is not a number" "$samples/echo_swarm" \
            "--$option" "$number" h 1
    done
done
for number in 0 -1 65536 1x https; do
    for name in echo_client echo_swarm; do
        misused "PORT: '$number' is not a number" "$samples/$name" -- localhost "$number"
    done
    misused "URL: .*'$number'" "$samples/https_get" "https://localhost:$number/"
done
for at in localhost:1 127.0.0.1 127.0.0.1:65536 127.0.0.1:-1 :1 ::1:1 '[::1]' unix:/tmp/x; do
    misused "--listen: '.*' is not ADDR:PORT" server --listen "$at"
done
long_name=$(head -c 256 /dev/zero | tr '\0' a)
for names in "," "a," ,a a,,b "$long_name"; do
    misused '--alpn: a protocol.s name has 1 to 255 bytes' server --alpn "$names"
    misused '--alpn: a protocol.s name has 1 to 255 bytes' client --alpn "$names"
done
misused "--driver: 'kqueue' is neither" server --driver kqueue
misused 'cert needs --key' server --cert x
misused 'key needs --cert' server --key x
misused 'cert needs --key' client --cert x
misused 'save-cert' server --cert x --key x --save-cert x
misused 'one argument too many' server 8443
for name in echo_client echo_swarm; do
    misused 'HOST is missing' "$samples/$name"
    misused 'PORT is missing' "$samples/$name" localhost
    misused 'HOST is empty' "$samples/$name" '' 1
    misused "one argument too many: 'x'" "$samples/$name" localhost 1 x
done
misused 'URL is missing' "$samples/https_get"
for url in http://h/ h https:// https:///x https://:1/ 'https://h/a b' https://u@h/ \
    'https://[::1/'; do
    misused 'URL: ' "$samples/https_get" "$url"
done

for name in echo_server echo_client echo_swarm https_get; do
    expect 0 "$samples/$name" --help
    grep -q "^usage: $name " "$work/out" || fail 'no usage'
    expect 0 "$samples/$name" --version
    grep -Eq "^$name [0-9]+\\.[0-9]+\\.[0-9]+$" "$work/out" || fail 'no version'
done
