#!/bin/sh
# SPDX-License-Identifier: MIT
# https_get talks to nginx: files small, empty and large in three framings, errors, truncation; and
# every client is told when it speaks TLS to a plain HTTP port.
set -eu
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need nginx nginx

serve() { # PROTOCOL
    protocol=$1
    start_nginx
    nginx=$peer
    port=$first plain_port=$((first + 1))
}

# Server side includes make it forget a body's length: then it sends chunks, or closes at the end.
configure() {
    cat <<END
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/nginx.err;
events {}
http {
    access_log off;
    client_body_temp_path $work/tmp;
    proxy_temp_path $work/tmp;
    fastcgi_temp_path $work/tmp;
    uwsgi_temp_path $work/tmp;
    scgi_temp_path $work/tmp;
    default_type application/octet-stream;
    ssl_certificate $pki/server-chain.pem;
    ssl_certificate_key $pki/server.key;
    ssl_protocols $protocol;
    limit_rate \$arg_rate;
    server {
        listen 127.0.0.1:$first ssl;
        root $work/site;
        location /chunked/ {
            alias $work/site/;
            ssi on;
            ssi_types *;
        }
        location /to-the-end/ {
            alias $work/site/;
            ssi on;
            ssi_types *;
            chunked_transfer_encoding off;
        }
        location /moved {
            return 302 https://elsewhere.invalid/;
        }
    }
    server {
        listen 127.0.0.1:$((first + 1));
        root $work/site;
    }
}
END
}

get() { # PATH OPTION...
    path=$1
    shift
    "$samples/https_get" --ca "$ca" "$@" "https://localhost:$port/$path"
}

same() { # PATH FILE
    expect 0 get "$1" --output "$work/got"
    [ ! -s "$work/err" ] || fail "complaints about $1"
    [ "$(openssl dgst -sha256 -r <"$work/site/$2")" = "$(openssl dgst -sha256 -r <"$work/got")" ] ||
        fail "$1: another SHA-256"
    rm "$work/got"
}

cut_short() { # PATH
    background "$samples/https_get" --ca "$ca" --verbose --output "$work/got" \
        "https://localhost:$port/$1?rate=64k" 2>"$work/err"
    wait_for_line "$work/err" '^200 OK'
    cut "$nginx"
    status=0
    wait "$peer" || status=$?
    [ $status -eq 1 ] || fail "a body cut short: exit $status"
    tail -n 1 "$work/err" | grep -q "localhost:$port.*without close_notify" || fail 'not called cut'
    for file in "$work"/got*; do
        [ ! -e "$file" ] || fail "the short body was left in $file"
    done
}

mkdir "$work/site"
echo small >"$work/site/small"
: >"$work/site/empty"
openssl rand -base64 7864320 >"$work/site/large"

for version in TLSv1.2 TLSv1.3; do
    serve $version
    for file in small empty large; do
        for way in . chunked to-the-end; do
            same $way/$file $file
        done
    done
    expect 0 get small --verbose
    [ "$(cat "$work/out")" = small ] || fail 'not the body on stdout'
    grep -q "^protocol: *$version\$" "$work/err" || fail "not $version"
    grep -q '^alpn: *http/1.1$' "$work/err" || fail 'no ALPN'
    grep -q '^Content-Length: 6' "$work/err" || fail 'no header on stderr'

    expect 1 get nowhere
    one_line "localhost:$port: answered 404 Not Found"
    expect 0 get moved
    one_line 'answered 302 .*not followed: https://elsewhere.invalid/'

    cut_short ./large
    for way in chunked to-the-end; do
        serve $version
        cut_short $way/large
    done
done

serve TLSv1.3
for command in echo_client echo_swarm; do
    expect 1 "$samples/$command" --ca "$ca" localhost "$plain_port" </dev/null
    one_line "localhost:$plain_port: .*wrong version number"
done
expect 1 "$samples/https_get" --ca "$ca" "https://localhost:$plain_port/small"
one_line "localhost:$plain_port: .*wrong version number"
expect 0 get small
