#!/bin/sh
# SPDX-License-Identifier: MIT
# tls_proxy in front of plain servers: half-closes both ways, connections that break off on either
# side, many at once; nginx behind it, asked by curl and by wrk.
#   RINGTLS_PLAIN_SERVER, RINGTLS_HALF_CLOSER  the plain server, and a client that ends second
set -eu
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin

# $backend is its process, $backend_port its port, backend.out what it says of its connections.
start_backend() { # MODE
    : >"$work/backend.out"
    background "${RINGTLS_PLAIN_SERVER:?the program}" "$1" >"$work/backend.out"
    backend=$peer
    wait_for_line "$work/backend.out" '^listening on '
    backend_port=$(sed -n '1s/.*://p' "$work/backend.out")
}
start_proxy() { # PORT OPTION...
    to=127.0.0.1:$1
    shift
    start_listening "$samples/tls_proxy" --listen 127.0.0.1:0 --to "$to" \
        --cert "$pki/server-chain.pem" --key "$pki/server.key" "$@"
}
stop_all() { # at the first signal those who are done, at the second the rest
    kill -TERM "$server"
    wait "$server" || fail "tls_proxy ended with $?"
    [ -z "$backend" ] || cut "$backend"
}
backend_said() { wait_for_line "$work/backend.out" "$1"; }

openssl rand -base64 3000000 >"$work/much"
size=$(wc -c <"$work/much")

for driver in io_uring epoll; do
    # Both ways at once, on two threads, and nothing is left of it.
    start_backend echo
    start_proxy "$backend_port" --threads 2 --driver "$driver"
    client <"$work/much" >"$work/back"
    cmp "$work/much" "$work/back" || fail 'the echo is not what was sent'
    backend_said "^closed $size$"
    expect 0 "$samples/echo_swarm" --ca "$ca" --server-name localhost --connections 300 \
        --messages 10 --size 3000 --quiet 127.0.0.1 "$port"
    # The client breaks off: to the backend that is no end.
    background "$samples/echo_client" --ca "$ca" localhost "$port" </dev/zero >"$work/part"
    wait_for_size "$work/part" 1048576
    kill -KILL "$peer"
    backend_said '^reset '
    server_said 'Connection reset|without close_notify|Broken pipe'
    stop_all

    # The client ends first, and gets its answer.
    start_backend count
    start_proxy "$backend_port" --driver "$driver"
    client <"$work/much" >"$work/back"
    [ "$(cat "$work/back")" = "$size" ] || fail "counted $(cat "$work/back"), not $size"
    server_said_nothing
    stop_all

    # The backend ends first, and gets the rest.
    start_backend farewell
    start_proxy "$backend_port" --driver "$driver"
    expect 0 "${RINGTLS_HALF_CLOSER:?the program}" "$ca" "$port" 5000000
    [ "$(cat "$work/out")" = bye ] || fail 'not what the backend said'
    backend_said '^closed 5000000$'
    server_said_nothing
    stop_all

    # The backend breaks off: to the client that is no end.
    start_backend reset
    start_proxy "$backend_port" --driver "$driver"
    expect 1 client <"$work/much"
    one_line 'without close_notify|reset'
    server_said 'reset|Broken pipe'
    stop_all
done

# Nobody there; and what makes no sense.
start_proxy "$backend_port"
expect 1 client </dev/null
server_said 'connect: .*127.0.0.1.*refused'
backend=
stop_all
for wrong in '--to localhost' '--to localhost:0' '--to ::1:80' '--to [::1]' '--listen here' \
    '--threads 0' '--preset old' '--driver kqueue' '--max-connections 0' '--grace never'; do
    # shellcheck disable=SC2086 # an option and its value
    expect 2 "$samples/tls_proxy" --to localhost:1 --cert "$pki/server.pem" --key "$pki/server.key" $wrong
    one_line "${wrong%% *}: "
done
expect 2 "$samples/tls_proxy" --cert "$pki/server.pem" --key "$pki/server.key"
one_line 'to HOST:PORT is missing'

# A real server behind it.
need nginx nginx
need curl curl
need wrk wrk
mkdir "$work/site"
head -c 3000000 "$work/much" >"$work/site/file"
echo hello >"$work/site/hello"
configure() {
    cat <<END
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/nginx.err;
events { worker_connections 1000; }
http {
    access_log off;
    client_body_temp_path $work/tmp;
    proxy_temp_path $work/tmp;
    fastcgi_temp_path $work/tmp;
    uwsgi_temp_path $work/tmp;
    scgi_temp_path $work/tmp;
    server {
        listen 127.0.0.1:$first;
        root $work/site;
    }
}
END
}
start_nginx
backend=$peer
start_proxy "$first" --threads 2
site=https://localhost:$port
expect 0 curl --silent --show-error --fail --cacert "$ca" --resolve "localhost:$port:127.0.0.1" \
    --output "$work/got" "$site/file"
cmp "$work/site/file" "$work/got"
expect 0 wrk --threads 1 --connections 50 --duration 2s "$site/hello"
grep -q 'Requests/sec' "$work/out" || fail 'wrk says nothing'
! grep -Eq 'Socket errors|Non-2xx' "$work/out" || fail "$(cat "$work/out")"
sed -n 's/^Requests.sec/requests a second through tls_proxy/p' "$work/out"
stop_all
