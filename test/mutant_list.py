# SPDX-License-Identifier: MIT
"""What mutants.py breaks: the promise, the source, the passage that keeps it, what takes the
passage's place, and the tests of which one has to notice."""
from typing import NamedTuple


class Mutant(NamedTuple):
    promise: str
    file: str
    old: str
    new: str
    tests: tuple


CALLS = "lib/tls/connection_calls.cpp"
CONNECTION = "lib/tls/connection.cpp"
CERTIFICATE = "lib/tls/certificate.cpp"
CONTEXT = "lib/tls/context.cpp"
CORE = "lib/loop/loop_core.cpp"
CORE_HEADER = "lib/loop/loop_core.hpp"
DRIVER = "lib/loop/io_uring_driver.cpp"
ENGINE = "lib/tls/engine.cpp"
LISTENER = "lib/net/listener.cpp"
NAMES = "lib/tls/server_name.cpp"
OPERATION = "lib/loop/operation.cpp"
OPERATIONS = "lib/tls/stream_operations.cpp"
PEM_LOADER = "lib/tls/pem_loader.cpp"
PKCS12 = "lib/tls/pkcs12.cpp"
POLICY = "lib/tls/policy.cpp"
READER = "lib/tls/certificate_reader.cpp"
TRANSPORT = "lib/tls/transport.cpp"
TRUST = "lib/tls/trust.cpp"

MUTANTS = [Mutant(*each) for each in [
    # ---- what stream operations complete with ----
    ("handshake: goes on where a stop left it", CONNECTION,
     "    if (writer_ == &op)\n        settle_write();\n    release(op);",
     "    if (writer_ == &op)\n        settle_write();\n"
     "    if (!tls_.established())\n        note_failure({errc::canceled, nullptr}, true);\n"
     "    release(op);",
     ("tls/stream", "tls/adversity")),
    ("handshake: the first read or write performs it", CONNECTION,
     "    if (!tls_.established()) {\n        const auto step = tls_.handshake();",
     "    if (!tls_.established() && op.call_ == call::handshake) {\n"
     "        const auto step = tls_.handshake();",
     ("tls/connection_info",)),
    ("read: an empty span completes at once and touches nothing", OPERATIONS,
     "        if (into_.empty())\n            return false;\n", "",
     ("tls/stream_operations", "tls/stream")),
    ("read: 0 only when the peer sent close_notify", CALLS,
     "    case step::done:\n    case step::closed:\n        return wait_for::nothing;\n"
     "    case step::want_read:\n    case step::want_write:\n        return want(step);\n"
     "    case step::failed:\n        return fail(op, tls_.what());\n    }\n"
     "    return wait_for::nothing;\n}\n\nwait_for connection::read_exactly",
     "    case step::done:\n    case step::closed:\n        return wait_for::nothing;\n"
     "    case step::want_read:\n    case step::want_write:\n        return want(step);\n"
     "    case step::failed:\n        if (tls_.what().code == errc::truncated)\n"
     "            return wait_for::nothing;\n        return fail(op, tls_.what());\n    }\n"
     "    return wait_for::nothing;\n}\n\nwait_for connection::read_exactly",
     ("tls/endings",)),
    ("read_exactly: a close before the last byte is truncation", CALLS,
     "            op.fail(errc::truncated, closed_too_early());\n            return wait_for::nothing;\n"
     "        case step::want_read:",
     "            return wait_for::nothing;\n        case step::want_read:",
     ("tls/stream", "tls/endings")),
    ("read_exactly: says how many bytes did arrive", CALLS,
     "        op.done_ += count;\n        switch (step) {\n        case step::done:\n            break;\n"
     "        case step::closed:",
     "        op.done_ = count;\n        switch (step) {\n        case step::done:\n            break;\n"
     "        case step::closed:",
     ("tls/stream", "tls/endings")),
    ("write: completes only when the socket has taken the last byte", CALLS,
     "            return wait_for::next_turn;\n    }\n    return once_sent(op);\n}\n\n"
     "/// What has to happen before a record can be written",
     "            return wait_for::next_turn;\n    }\n    return wait_for::nothing;\n}\n\n"
     "/// What has to happen before a record can be written",
     ("tls/stream",)),
    ("write: small pieces of a sequence share records", CALLS,
     "        if (size == record.size())\n            break;\n        take(piece);",
     "        if (size > 0)\n            break;\n        take(piece);",
     ("tls/stream", "tls/transport")),
    ("write: of nothing is done at once", OPERATIONS,
     "        if (from_.empty() && std::ranges::all_of(pieces_, "
     "[](auto each) { return each.empty(); }))\n            return false;\n", "",
     ("tls/stream_operations", "tls/stream")),
    ("write: empty pieces are passed over", CALLS,
     "        if (!op.from_.empty() || op.pieces_.empty())\n            return;",
     "        if (op.pieces_.empty() || part > 0)\n            return;",
     ("tls/stream", "tls/stream_operations")),
    ("readable: completes only once a read would not wait", CALLS,
     "    const auto step = tls_.close_received() ? step::closed : check_key_updates(tls_.peek());",
     "    const auto step = op.ready_events() != 0 ? step::done : check_key_updates(tls_.peek());",
     ("tls/stream", "tls/adversity", "tls/endings")),
    ("readable: counts the end as readable", CALLS,
     "    const auto step = tls_.close_received() ? step::closed : check_key_updates(tls_.peek());",
     "    const auto step = tls_.close_received() ? step::want_read : check_key_updates(tls_.peek());",
     ("tls/stream", "tls/endings", "tls/adversity")),
    ("close_write: sends close_notify", CALLS,
     "    return tls_.close_write() == step::done ? wait_for::nothing : fail(op, tls_.what());",
     "    return wait_for::nothing;",
     ("tls/stream", "tls/endings")),
    ("close_write: a later write is refused", CALLS,
     "    if (tls_.close_sent()) {\n        op.fail(errc::write_closed);\n        return wait_for::nothing;\n"
     "    }\n    advance(op, 0);",
     "    advance(op, 0);",
     ("tls/stream", "tls/endings")),
    ("close_write: twice sends once", CALLS,
     "    if (tls_.close_sent())\n        return wait_for::nothing;\n", "",
     ("tls/stream", "tls/endings")),
    ("shutdown: reads and drops until the peer's close_notify", CALLS,
     "        case step::done:\n            break;\n        case step::closed:\n"
     "            op.under_way_ = true;\n            continue;",
     "        case step::done:\n        case step::closed:\n"
     "            op.under_way_ = true;\n            continue;",
     ("tls/stream", "tls/endings")),
    ("shutdown: the peer's plain close after our close_notify is no error", CALLS,
     "            if (!is_end_of_tcp(tls_.what().code) || tls_.socket().write_error() != 0)\n",
     "", ("tls/stream", "tls/endings")),
    ("shutdown: waits until its own close_notify has left", CALLS,
     "        if (!op.loop().core().spend())\n            return wait_for::next_turn;\n    }\n"
     "    return once_sent(op);\n}\n\n/// Made only",
     "        if (!op.loop().core().spend())\n            return wait_for::next_turn;\n    }\n"
     "    return wait_for::nothing;\n}\n\n/// Made only",
     ("tls/endings",)),
    ("key_update: TLS 1.3 only", CALLS,
     "    if (!tls_.is_tls_1_3()) {\n        op.fail(errc::key_update_refused);\n"
     "        return wait_for::nothing;\n    }\n", "",
     ("tls/stream", "tls/adversity")),
    ("key_update: waits its turn behind the record that a write has begun", CALLS,
     "    settle_write();\n    if (tls_.in_handshake()) {\n"
     "        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())\n"
     "            return first;\n    }\n    if (tls_.key_update",
     "    if (tls_.in_handshake()) {\n"
     "        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())\n"
     "            return first;\n    }\n    if (tls_.key_update",
     ("tls/stream", "tls/adversity", "tls/duplex")),
    ("key_update: made only when nothing waits to leave", CALLS,
     "    if (!tls_.socket().flush())\n        return wait_for::notification;\n    settle_write();",
     "    settle_write();", ("tls/memory", "tls/adversity", "tls/slow_peers")),
    ("renegotiation: a write that data keeps from its end ends with the connection", CALLS,
     "    if ((op.ready_events() & (POLLERR | POLLHUP)) == 0)\n        return wait_for::hangup;\n",
     "    return wait_for::notification;\n", ("tls/endings",)),
    ("renegotiation: a write that data keeps from its end goes on behind a reader", CONNECTION,
     " || op->waits(wait_for::hangup) ||\n", " ||\n", ("tls/endings", "tls/duplex")),
    # ---- limits ----
    ("within: counts from when the operation is awaited", OPERATION,
     "    if (within_ != loop_clock::duration::max())\n"
     "        limits_.until(detail::later(loop_->now(), within_));\n", "",
     ("loop/operation",)),
    ("until: a deadline ends an operation", OPERATION,
     "    if (limits_.deadline() && !timer.armed)\n"
     "        loop_->core().arm_timer(*this, *limits_.deadline());\n", "",
     ("loop/operation",)),
    ("cancel_on: a stop ends an operation", OPERATION,
     "    if (limits_.token().stop_possible())\n"
     "        stop_.emplace(limits_.token(), stop_hook{this});\n", "",
     ("loop/operation",)),
    ("cancel_on: a stop before the operation fails it untried", OPERATION,
     "    if (limits_.token().stop_requested()) {\n        fail(errc::canceled);\n"
     "        state_ = state::over;\n        return true;\n    }\n", "",
     ("loop/operation",)),
    ("cancel_on: a stop wakes a loop that waits", CORE,
     "    remote_.push_back(entry);\n    if (!std::exchange(woken_, true))\n        driver_->wake();\n",
     "    remote_.push_back(entry);\n", ("loop/operation",)),
    # ---- one operation a direction ----
    ("busy: at most one operation a direction", CONNECTION,
     "    if ((need.reading && reader_) || (need.writing && writer_) || beside_rider) {",
     "    if (beside_rider) {",
     ("tls/stream", "tls/stream_operations")),
    ("busy: the handshake and shutdown occupy both directions", CONNECTION,
     "    case call::shutdown:\n        return {true, true};\n    case call::read:",
     "    case call::shutdown:\n        return {false, true};\n    case call::read:",
     ("tls/stream", "tls/stream_operations")),
    # ---- cancelled, late, destroyed ----
    ("cancelled write: the error says how many bytes were accepted", CONNECTION,
     "    if (step == step::done)\n        advance(*writer_, count);\n",
     "    if (step == step::done)\n        static_cast<void>(count);\n",
     ("tls/adversity", "tls/stream")),
    ("cancelled write: the record that was begun is taken to its end", CONNECTION,
     "    if (writer_ == &op)\n        settle_write();\n    release(op);", "    release(op);",
     ("tls/adversity", "tls/stream")),
    ("cancelled write: what was accepted leaves by itself", CONNECTION,
     "        if (tls_.socket().spilled() && poll == 0)\n"
     "            carrier_.loop().core().arm_poll(*this, carrier_.fd(), POLLOUT);\n", "",
     ("tls/adversity", "tls/duplex")),
    ("destroyed frame: the operation is withdrawn", OPERATIONS,
     "stream_operation::~stream_operation() {\n    abandon();\n}",
     "stream_operation::~stream_operation() = default;", ("tls/stream", "tls/adversity")),
    ("destroyed frame: nothing of the loop's keeps it", OPERATION,
     "    stop_.reset();\n    loop_->core().forget(*this);\n", "    stop_.reset();\n",
     ("loop/operation",)),
    ("destroyed frame: neither a stop's request", CORE,
     "    const std::scoped_lock lock(remote_mutex_);\n    remote_.remove(entry);\n", "",
     ("loop/operation",)),
    ("destroyed frame: nor a timer", CORE_HEADER,
     "        timers_.disarm(entry);\n        ready_.remove(entry);", "        ready_.remove(entry);",
     ("loop/operation", "loop/clock")),
    ("destroyed frame: nor a poll", CORE_HEADER,
     "        cancel_poll(entry);\n        timers_.disarm(entry);", "        timers_.disarm(entry);",
     ("loop/poll", "loop/operation", "loop/loop_faults")),
    ("destroyed stream: operations in flight complete with canceled", CONNECTION,
     "            op->interrupt(errc::canceled);\n", "", ("tls/stream", "tls/adversity")),
    ("busy: a key update that waits lets nothing but a write begin", CONNECTION,
     " || beside_rider) {", ") {", ("tls/stream",)),
    ("again: an operation that is awaited once more completes as it did", OPERATION,
     "    if (state_ != state::fresh)\n        return true; // awaited once more: it stays what it was\n",
     "", ("loop/operation",)),
    ("within: no deadline passes before the kernel was asked", OPERATION,
     "    } else if (poll != 0 && look_ == loop_->core().looks() && !put_off_) {",
     "    } else if (false) {", ("loop/poll",)),
    ("exceptions: what waits behind one out of run() is not lost", CORE,
     "        while (loop_entry* entry = remote_.pop_front())\n            ready_.push_back(*entry);\n",
     "        if (loop_entry* entry = remote_.pop_front())\n            ready_.push_back(*entry);\n",
     ("loop/event_loop",)),
    ("exceptions: each of two is reported", CORE,
     "    ++turns_;\n    reap();\n", "    ++turns_;\n", ("loop/event_loop",)),
    # ---- failures ----
    ("reset: handshake() on an established stream takes nothing from reading", CONNECTION,
     "    const bool reads = directions_of(op.call_).reading || !tls_.established();",
     "    const bool reads = directions_of(op.call_).reading && op.call_ != call::handshake;",
     ("tls/endings",)),
    ("shutdown: is itself the reader that a renegotiation waits for", CALLS,
     "    if (step == step::done && reader_ == &op) {", "    if (false) {", ("tls/endings",)),
    ("truncation: EOF without close_notify is truncated, however worded", ENGINE,
     "    } else if (transport_.ended()) {\n        cause.code = errc::truncated;\n"
     "        details->reason = \"connection ended without close_notify\";\n", "",
     ("tls/endings",)),
    ("sticky: every later operation reports the first cause", CONNECTION,
     "    if (!first_ || (reading_over && !reading_over_ && (alerted || knew_no_cause)))\n"
     "        first_ = why;", "    first_ = why;", ("tls/endings", "tls/adversity")),
    ("sticky: a failed connection is not asked again", CONNECTION,
     "    if (first_ && (reading_over_ || !reads))\n        return fail(op, first_);\n", "",
     ("tls/endings", "tls/stream", "tls/adversity")),
    ("reset: data that arrived before it is still read first", CONNECTION,
     "        note_failure(tls_.write_failure(), false);",
     "        note_failure(tls_.write_failure(), true);",
     ("tls/endings", "tls/adversity")),
    ("reset: a failed send does not end reading", CONNECTION,
     "    const bool sending_failed = !directions_of(op.call_).reading && tls_.established() &&\n"
     "                                !reading_over_ && tls_.socket().write_error() != 0;",
     "    const bool sending_failed = false;", ("tls/endings", "tls/adversity")),
    ("reset: an alert that lies behind a failed send is the cause", CONNECTION,
     "        look_for_alert();\n", "", ("tls/endings",)),
    ("handshake: tickets that find nobody lose nothing", ENGINE,
     "    if (step == step::failed || transport_.write_error() == 0)\n        return step;",
     "    if (step == step::failed || transport_.write_error() == 0)\n        return step;\n"
     "    return fail();", ("tls/endings",)),
    ("traps: a failed send leaves OpenSSL with no record that it would insist on", TRANSPORT,
     "    if (write_error_ != 0)\n        return size;\n    if (mode_",
     "    if (write_error_ != 0) {\n        errno = write_error_;\n        return -1;\n    }\n"
     "    if (mode_", ("tls/endings", "tls/faults")),
    ("writes: the record that a failed send swallowed is not counted as written", CALLS,
     "        if (tls_.socket().write_error() != 0)\n"
     "            return fail(op, tls_.write_failure());\n", "", ("tls/endings", "tls/adversity")),
    ("handshake: one whose send failed does not wait for ever", ENGINE,
     "    if (left == step::want_read && !transport_.paused())\n        return fail();\n", "",
     ("tls/endings",)),
    ("handshake: a close_notify in its place is a failure", ENGINE,
     "    return step == step::closed ? fail() : step;", "    return step;",
     ("tls/adversity", "tls/endings")),
    ("writes: one that failed after the peer's close_notify has failed", ENGINE,
     "    return step == step::closed ? fail() : step;",
     "    return step == step::closed ? step::done : step;", ("tls/endings", "tls/adversity")),
    ("signals: no SIGPIPE", TRANSPORT, "MSG_NOSIGNAL | MSG_DONTWAIT", "MSG_DONTWAIT",
     ("tls/endings", "tls/transport")),
    # ---- threads and order ----
    ("threads: a loop refuses another thread", CORE,
     "        if (!core.owner_.compare_exchange_strong(owner, self) && owner != self)\n"
     "            throw error(errc::wrong_thread, \"run\");\n", "", ("loop/event_loop",)),
    ("threads: post wakes a loop that waits", CORE,
     "    posted_.push_back(std::move(call));\n    if (!std::exchange(woken_, true))\n"
     "        driver_->wake();\n",
     "    posted_.push_back(std::move(call));\n", ("loop/event_loop",)),
    ("threads: stop wakes a loop that waits", CORE,
     "    stopping_.store(true);\n    driver_->wake();", "    stopping_.store(true);",
     ("loop/event_loop",)),
    ("order: completions resume as the kernel reports them", CORE,
     "    entry.poll = 0;\n    dispatch(entry, loop_entry::cause::readiness, events);\n"
     "    dispatch_ready();",
     "    entry.poll = 0;\n    static bool late = false;\n    if ((late = !late)) {\n"
     "        ready_.push_back(entry);\n        return;\n    }\n"
     "    dispatch(entry, loop_entry::cause::readiness, events);\n    dispatch_ready();",
     ("loop/poll", "loop/event_loop")),
    ("fairness: an operation that need not wait lets others run", OPERATION,
     "    if (!loop_->core().spend()) {\n        next_ = wait_for::next_turn;\n        return false;\n    }\n",
     "", ("loop/operation",)),
    ("fairness: coroutines that yield do not keep the kernel waiting", CORE,
     "    constexpr int most = 1024;", "    constexpr int most = 1 << 30;", ("loop/event_loop",)),
    # ---- OpenSSL's traps ----
    ("traps: a retry has the same address and length", CALLS,
     "    return op.from_.first(std::min(op.from_.size(), record_size));",
     "    return op.from_.first(std::min(op.from_.size(), record_size - (op.pending_ ? 1 : 0)));",
     ("tls/adversity", "tls/stream", "tls/transport")),
    ("traps: the error queue is cleared before a read", ENGINE,
     "    clear_errors();\n    return classify(SSL_read_ex",
     "    return classify(SSL_read_ex", ("tls/adversity",)),
    ("traps: a second key update request during a pending write", CALLS,
     "step connection::read_step(std::span<std::byte> into, std::size_t& count) {\n"
     "    settle_write();\n",
     "step connection::read_step(std::span<std::byte> into, std::size_t& count) {\n",
     ("tls/adversity", "tls/duplex")),
    ("traps: the same while readable() waits", CALLS,
     "wait_for connection::readable(stream_operation& op) {\n    settle_write();\n",
     "wait_for connection::readable(stream_operation& op) {\n", ("tls/adversity", "tls/duplex")),
    ("traps: a flood of key updates ends the connection", CALLS,
     "    return key_updates_ > key_updates_allowed ? tls_.fail_with(errc::key_update_flood) : after;",
     "    return after;", ("tls/adversity", "tls/duplex")),
    ("traps: honest key updates do not add up to a flood", CALLS,
     "        key_updates_since_ = now;\n        key_updates_ = 0;\n",
     "        key_updates_since_ = now;\n", ("tls/adversity", "tls/duplex")),
    ("traps: a peer that asks for answers and reads none is bounded", TRANSPORT,
     "waiting + rest.size() > spill_bound", "waiting + rest.size() > (spill_bound << 10)",
     ("tls/adversity", "tls/memory", "tls/slow_peers")),
    ("traps: a reader that takes what a writer waits for wakes it", CONNECTION,
     "(consumed && op->waits(wait_for::readable))", "(false)",
     ("tls/duplex", "tls/adversity")),
    ("traps: a write during a renegotiation waits for its end", CALLS,
     "    return tls_.renegotiating() ? past_handshake(op) : wait_for::nothing;",
     "    return wait_for::nothing;", ("tls/duplex", "tls/adversity")),
    ("traps: a write and a close during a renegotiation", CALLS,
     "    if (tls_.in_handshake()) {\n"
     "        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())\n"
     "            return first;\n    }\n    return tls_.close_write()",
     "    return tls_.close_write()", ("tls/endings",)),
    ("traps: errors of the socket are not taken for would-block", TRANSPORT,
     "        if (errno == EAGAIN) {\n            drained_ = true;",
     "        if (errno == EAGAIN || errno == ENOTCONN || errno == ECONNRESET) {\n"
     "            drained_ = true;", ("tls/transport", "tls/endings")),
    ("traps: a wanted callback that nobody knows is an error", ENGINE,
     "        failure_ = {errc::unsupported_want, nullptr};\n        return step::failed;",
     "        return step::want_read;", ("tls/adversity",)),
    ("traps: an interrupted receive is repeated", TRANSPORT,
     "        } else if (errno != EINTR) {\n            read_error_ = errno;",
     "        } else {\n            read_error_ = errno;", ("tls/faults",)),
    ("traps: an interrupted send is repeated", TRANSPORT,
     "        } else if (errno != EINTR) {\n            give_up_writing",
     "        } else {\n            give_up_writing", ("tls/faults",)),
    ("traps: the peer that always has more does not keep the thread", TRANSPORT,
     "    while (!drained_ && receives_left_ > 0) {", "    while (!drained_) {",
     ("tls/adversity",)),
    ("segments: the records of a write say that more follows", TRANSPORT,
     "(more ? MSG_MORE : 0)", "0", ("tls/segments",)),
    ("segments: a write that waits for its next turn leaves nothing behind", CALLS,
     "!op.from_.empty() && !more && ", "!op.from_.empty() && ", ("tls/segments",)),
    ("segments: a full socket sends what it kept", TRANSPORT,
     "            push();\n", "", ("tls/segments",)),
    ("traps: idle connections hold no buffers", CONTEXT,
     "SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS", "SSL_MODE_ENABLE_PARTIAL_WRITE",
     ("tls/memory", "tls/allocation")),
    ("traps: a call ends with a record", CONTEXT,
     "SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS", "SSL_MODE_RELEASE_BUFFERS",
     ("tls/slow_peers",)),
    # ---- secure by default ----
    ("secure: clients verify", CONTEXT,
     "    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, engine::callbacks::verify);\n    if",
     "    if", ("tls/client_context",)),
    ("secure: the name is verified", NAMES,
     "    check_openssl(X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()),\n"
     "                  \"X509_VERIFY_PARAM_set1_host\", name);\n", "",
     ("tls/client_context",)),
    ("secure: the IP address is verified", NAMES,
     "            check_openssl(X509_VERIFY_PARAM_set1_ip(rules, ip.raw.data(), ip.size),\n"
     "                          \"X509_VERIFY_PARAM_set1_ip\", name);\n", "            ;\n",
     ("tls/client_context",)),
    ("secure: an address with something behind it is a name, and refused", NAMES,
     "    if (inet_pton(AF_INET, name.c_str(), ip.raw.data()) == 1)",
     "    if (inet_pton(AF_INET, name.substr(0, name.find(' ')).c_str(), ip.raw.data()) == 1)", ("tls/client_context", "tls/stream")),
    ("secure: servers ask for the certificates that they require", CONTEXT,
     "SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT", "SSL_VERIFY_PEER",
     ("tls/server_context",)),
    ("secure: versions below the minimum are refused", POLICY,
     "    check_openssl(SSL_CTX_set_min_proto_version(ctx, number_of(settings.minimum_version())),\n"
     "                  \"minimum version\");\n", "", ("tls/server_context", "tls/client_context")),
    ("secure: no renegotiation unless it was allowed", CONTEXT,
     "settings.renegotiation() ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION\n"
     "                                                      : SSL_OP_NO_RENEGOTIATION",
     "settings.renegotiation() ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION\n"
     "                                                      : SSL_OP_ALLOW_CLIENT_RENEGOTIATION",
     ("tls/server_context", "tls/adversity", "tls/client_context")),
    # ---- trust, identity, policy ----
    ("certificate: the key's digest is of the key with its kind", READER,
     "i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&from), &encoded)", "i2d_X509(&from, &encoded)",
     ("tls/certificate",)),
    ("certificate: DER with something behind it is refused", CERTIFICATE,
     "    if (!parsed || at != encoded.data() + encoded.size())", "    if (!parsed)",
     ("tls/certificate",)),
    ("policy: an unknown cipher is refused beside known ones", POLICY,
     "        if (!is_in(maybe_empty, part))\n"
     "            set_list(ctx, SSL_CTX_set_cipher_list, part, \"ciphers\");\n", "",
     ("tls/policy",)),
    ("policy: an unknown suite is refused beside known ones", POLICY,
     "        if (!name.empty() && !name.starts_with('?'))\n"
     "            set_list(ctx, set, name, setting);\n", "        ;\n", ("tls/policy",)),
    ("policy: what counts only at a list's beginning is refused elsewhere", POLICY,
     "part.starts_with(\"DEFAULT\") || part.starts_with(\"SUITEB\")", "part.empty()",
     ("tls/policy",)),
    ("policy: a cipher list does not lower the security level", POLICY,
     "wanted < SSL_CTX_get_security_level(ctx)", "wanted < 0", ("tls/policy",)),
    ("policy: optional groups that OpenSSL lacks are left out", POLICY,
     "    if (optional && !accepts(ctx, set_groups, name)) {", "    if (false) {", ("tls/policy",)),
    ("policy: signature algorithms take effect", POLICY,
     "        set_names(ctx, set_signature_algorithms, settings.signature_algorithms(),\n"
     "                  \"signature algorithms\");\n", "        ;\n", ("tls/policy",)),
    ("identity: a passphrase is asked for once", PEM_LOADER,
     "    if (!request.asked)\n        ask(request);", "    ask(request);", ("tls/identity",)),
    ("identity: a wrong passphrase is told apart", PEM_LOADER,
     "        throw_openssl_error(\"load\", std::move(subject), errc::bad_passphrase);",
     "        throw_openssl_error(\"load\", std::move(subject), errc::invalid_pem);",
     ("tls/identity",)),
    ("identity: what a passphrase's callback throws comes out", PEM_LOADER,
     "        std::rethrow_exception(request.thrown);\n", "", ("tls/identity",)),
    ("identity: a second certificate with the same kind of key is refused", PEM_LOADER,
     "    if (has_kind(ctx, key.get()))", "    if (false && has_kind(ctx, key.get()))",
     ("tls/identity",)),
    ("identity: a requested client certificate may be missing", CONTEXT,
     "        return SSL_VERIFY_PEER;", "        break;", ("tls/identity",)),
    ("identity: a requested client certificate is verified", CONTEXT,
     "        return SSL_VERIFY_PEER;", "        return SSL_VERIFY_NONE;", ("tls/identity",)),
    ("identity: a bundle's chain is put in order", PKCS12,
     "    std::vector<X509*> chain = {from.own.get()};\n",
     "    std::vector<X509*> chain = {from.own.get()};\n"
     "    for (int i = 0; i < sk_X509_num(from.others.get()); ++i)\n"
     "        chain.push_back(sk_X509_value(from.others.get(), i));\n"
     "    if (chain.size() > 1)\n        return chain;\n", ("tls/pkcs12",)),
    ("identity: a bundle's wrong passphrase is told apart", PKCS12,
     "wrong ? errc::bad_passphrase : errc::invalid_pem", "errc::invalid_pem", ("tls/pkcs12",)),
    ("trust: revoked certificates are refused", TRUST,
     "    unsigned long flags = X509_V_FLAG_CRL_CHECK;", "    unsigned long flags = 0;",
     ("tls/trust",)),
    ("trust: revocation is looked up for the whole chain", TRUST,
     "        flags |= X509_V_FLAG_CRL_CHECK_ALL;", "        ;", ("tls/trust",)),
    ("trust: any certificate that is trusted may end a chain", TRUST,
     "X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN)",
     "X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), 0)", ("tls/trust",)),
    ("trust: hidden files of a directory are passed over", TRUST,
     " && !entry.path().filename().string().starts_with('.')", "", ("tls/trust",)),
    ("trust: a directory without a certificate is refused", TRUST,
     "    if (all.empty())\n        throw_openssl_error", "    if (false)\n        throw_openssl_error",
     ("tls/trust",)),
    ("trust: pins are held to", CONTEXT, "    if (pins_.empty())\n", "    if (true)\n",
     ("tls/trust",)),
    ("trust: a pin does not stand in for the chain", TRUST,
     "    if (X509_verify_cert(store) != 1)\n        return 0;",
     "    static_cast<void>(X509_verify_cert(store));", ("tls/trust",)),
    ("trust: certificate pins are no key pins", TRUST,
     "is_in(keys_, digest)", "(is_in(keys_, digest) || is_in(certificates_, digest))",
     ("tls/trust",)),
    ("trust: a pin is a whole SHA-256", TRUST,
     "return good && size == digest.size() &&", "return good &&", ("tls/trust",)),
    ("trust: a pin that is missed has an error of its own", ENGINE,
     "X509_V_ERR_APPLICATION_VERIFICATION ? errc::pin_mismatch",
     "X509_V_ERR_APPLICATION_VERIFICATION ? errc::verify_failed", ("tls/trust",)),
    ("trust: the depth of a chain is limited", TRUST,
     "        SSL_CTX_set_verify_depth(ctx, static_cast<int>(std::min(*most, 100U)));", "        ;",
     ("tls/trust",)),
    ("trust: any name is accepted only if that was asked for", CONTEXT,
     "checks_name_(!settings.accepts_any_name())", "checks_name_(false)",
     ("tls/trust", "tls/client_context")),
    ("trust: a server that asks clients trusts somebody", CONTEXT,
     "    if (asked && !trusts)", "    if (false)", ("tls/trust",)),
    ("trust: names in the subject do not count", NAMES,
     "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |\n"
     "                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT",
     "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS", ("tls/trust",)),
    ("trust: a wildcard is a whole label", NAMES,
     "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |\n"
     "                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT",
     "X509_CHECK_FLAG_NEVER_CHECK_SUBJECT", ("tls/trust",)),
    # ---- io_uring's traps ----
    ("io_uring: a half-closed peer with a full send buffer costs nothing", DRIVER,
     "            slot.multishot = true;\n", "", ("loop/poll", "tls/adversity")),
    ("io_uring: a cancel ends a poll that is looked at right now", DRIVER,
     "        io_uring_prep_cancel64(sqe, token_of(index), 0);",
     "        io_uring_prep_poll_remove(sqe, token_of(index));",
     ("loop/io_uring_driver", "loop/driver_faults", "loop/driver_model")),
    ("io_uring: a multishot poll that outlives its cancel is cancelled again", DRIVER,
     "            release(index);\n            return;\n        }\n"
     "        slot.state = slot_state::leaving;\n        enqueue(index);\n",
     "            release(index);\n            return;\n        }\n", ("loop/driver_faults", "loop/driver_model")),
    ("io_uring: a completion belongs to one generation of its slot", DRIVER,
     "        return index < slots_.size() && token_of(index) == poll;",
     "        return index < slots_.size();", ("loop/driver_faults", "loop/driver_model")),
    ("io_uring: a poll cancelled before its submission never reaches the kernel", DRIVER,
     "        slot.state = slot_state::dropped;\n        return;",
     "        return;", ("loop/io_uring_driver", "loop/driver_faults", "loop/driver_model")),
    ("io_uring: a full submission queue loses nothing", DRIVER,
     "    if (!sqe)\n        return false;",
     "    if (!sqe)\n        return true;", ("loop/driver_faults", "loop/driver_model", "loop/event_loop")),
    ("io_uring: EBUSY, EAGAIN and ENOMEM are for later", DRIVER,
     "    case -EBUSY:\n", "", ("loop/loop_faults", "loop/driver_faults")),
    ("io_uring: EINTR is for later", DRIVER, "    case -EINTR:\n", "",
     ("loop/loop_faults", "loop/driver_faults")),
    ("io_uring: what the kernel refuses for good is an error", DRIVER,
     "        if (result < 0)\n            refuse(result, \"io_uring_enter\");\n        return result;",
     "        return result < 0 ? 0 : result;", ("loop/loop_faults", "loop/driver_faults")),
    ("io_uring: sockets closed in a run's last turn are closed", CORE,
     "        turn();\n    driver_->flush();\n}", "        turn();\n}", ("loop/event_loop",)),
    ("io_uring: flags that a kernel does not know are left away", DRIVER,
     "            if (result != -EINVAL)\n                break;",
     "            break;", ("loop/driver_faults", "loop/io_uring_driver")),
    # ---- the rest of the loop, and sockets ----
    ("listener: a connection that failed while it waited is passed over", LISTENER,
     "    if (code == EAGAIN || code == EINTR || is_of_the_connection(code))",
     "    if (code == EAGAIN || code == EINTR)", ("net/listener",)),
    ("operation: no memory for a poll fails it", OPERATION,
     "        withdraw();\n        fail(std::make_error_code(std::errc::not_enough_memory));\n"
     "        return false;",
     "        return true;", ("tls/faults", "loop/operation")),
]]
