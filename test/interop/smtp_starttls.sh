#!/bin/sh
# SPDX-License-Identifier: MIT
# smtp_starttls begins TLS with Exim, and has it take a message; servers that cannot be trusted, that
# offer no TLS, or that push plain text into it are given up.
#
# Exim is Debian's, unpacked and not installed: it would take the place of a mail server that this
# machine may have. Where it looks for its user, libnss_wrapper shows it one.
set -eu
. "$(dirname "$0")/common.sh"
here=$(dirname "$0")
exim=$RINGTLS_PEERS/exim4-daemon-light/usr/sbin/exim4
[ -f "$exim" ] || skip "no Exim in $RINGTLS_PEERS: test/run.sh puts it there"
wrapper=$(find /usr/lib -name libnss_wrapper.so | head -n 1)
[ -n "$wrapper" ] || skip 'no libnss_wrapper.so: install libnss-wrapper'

# Root's Exim becomes somebody else, who has to find his way here, and has to own what he reads.
user=$(id -u)
group=$(id -g)
[ "$user" -ne 0 ] || user=65534 group=65534
chmod 755 "$work"
mkdir "$work/spool"
cp "$exim" "$work/exim4"
chmod 755 "$work/exim4"
cp "$pki/server.pem" "$pki/server.key" "$work"
printf '%s\n' "Debian-exim:x:$user:$group::$work:/bin/false" 'root:x:0:0::/:/bin/false' \
    >"$work/passwd"
echo "Debian-exim:x:$group:" >"$work/group"
cat >"$work/exim.conf" <<END
primary_hostname = localhost
spool_directory = $work/spool
log_file_path = $work/spool/%slog
keep_environment =
tls_advertise_hosts = \${if exists{$work/plain}{}{*}}
tls_certificate = $work/server.pem
tls_privatekey = $work/server.key
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
message_size_limit = 20M
queue_only = true
host_lookup =
begin acl
accept_all:
    accept
END
[ "$(id -u)" -ne 0 ] || chown -R "$user:$group" "$work/spool" "$work/server.key" "$work/server.pem"

start_listening env "LD_PRELOAD=$wrapper" "NSS_WRAPPER_PASSWD=$work/passwd" \
    "NSS_WRAPPER_GROUP=$work/group" python3 "$here/inetd.py" "$work/exim4" -C "$work/exim.conf" -bs

mail() { # OPTION...
    "$samples/smtp_starttls" --ca "$ca" "$@" localhost "$port"
}

expect 0 mail --verbose </dev/null
grep -q '^< 250 STARTTLS' "$work/err" || fail 'STARTTLS is not offered'
grep -q '^protocol: *TLSv1.3$' "$work/err" || fail 'not TLS 1.3'
[ "$(grep -c '^> EHLO' "$work/err")" -eq 2 ] || fail 'not greeted twice'
[ "$(sed '/^protocol/,$d' "$work/err" | grep -c '^> ')" -eq 2 ] || fail 'more was said in plain text'

# Lines with dots, one alone; a last line without an end; more than one record.
{
    printf '.\n..\n.hidden\nplain\n'
    openssl rand -base64 300000
    printf 'the end'
} >"$work/body"
printf 'Subject: dots\n\n' | cat - "$work/body" >"$work/message"
expect 0 mail --from me@example.org --to you@example.org <"$work/message"
grep -q 'id=' "$work/out" || fail 'no word of the message'
[ ! -s "$work/err" ] || fail 'complaints about a message'
echo >>"$work/body"
sed 1d "$(find "$work/spool/input" -name '*-D')" | cmp - "$work/body" || fail 'another message'
header=$(find "$work/spool/input" -name '*-H')
grep -q '^-tls_cipher TLS1.3' "$header" || fail 'the message did not come by TLS'
grep -q '^<me@example.org>$' "$header" || fail 'another sender'
grep -q '^you@example.org$' "$header" || fail 'another recipient'

expect 1 mail --server-name other.example </dev/null
one_line "localhost:$port: handshake: other.example: certificate verify failed"
expect 1 "$samples/smtp_starttls" localhost "$port" </dev/null
one_line 'certificate verify failed'
touch "$work/plain"
expect 1 mail --verbose </dev/null
tail -n 1 "$work/err" | grep -q 'does not offer STARTTLS' || fail 'TLS was not missed'
rm "$work/plain"

expect 2 mail --from me@example.org </dev/null
one_line 'belong together'
expect 2 mail --from 'me>,<x' --to you@example.org </dev/null
one_line 'not a mailbox'
expect 2 mail extra </dev/null

# A server made of what it says, for each line that it hears.
scripted() { # LINE... : printf formats
    cat >"$work/script.sh" <<'END'
for line; do
    printf "$line"
    read -r _ || exit 0
done
END
    cut "$server"
    start_listening python3 "$here/inetd.py" sh "$work/script.sh" "$@"
}
scripted '220 hello\r\n' '250-me\r\n250 STARTTLS\r\n' '220 go\r\n250 injected\r\n'
expect 1 mail </dev/null
one_line 'plain text behind its answer to STARTTLS'
scripted '220 hello\r\n' '250-me\r\n250 starttls\r\n' '454 no\r\n'
expect 1 mail </dev/null
one_line 'STARTTLS: answered 454 no'
scripted '220 hello\r\n' '250-me\r\n251 STARTTLS\r\n'
expect 1 mail </dev/null
one_line 'a reply with two codes'
scripted 'HTTP/1.1 400 Bad Request\r\n'
expect 1 mail </dev/null
one_line 'not an SMTP reply'
scripted "220 $(printf '%2100s' x)"
expect 1 mail --timeout 5 </dev/null
one_line 'a line of more than 2048 bytes'
scripted "$(i=0; while [ $i -lt 200 ]; do printf '220-x\\r\\n'; i=$((i + 1)); done)"
expect 1 mail --timeout 5 </dev/null
one_line 'a reply of more than 128 lines'
scripted '220-still'
expect 1 mail --timeout 0.3 </dev/null
one_line 'timed out'
