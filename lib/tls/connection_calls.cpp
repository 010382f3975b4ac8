// SPDX-License-Identifier: MIT
// What each call on a stream does in one attempt: its steps of the engine, and what they leave it
// waiting for. The whole is in connection.hpp.
#include "connection.hpp"

#include "../loop/loop_core.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ringtls::detail {
namespace {

constexpr std::size_t record_size = SSL3_RT_MAX_PLAIN_LENGTH;

/// OpenSSL sets no limit; an honest peer updates its keys once in gigabytes (RFC 8446, 5.5).
constexpr int key_updates_allowed = 100;
constexpr auto key_update_window = std::chrono::seconds(1);

std::shared_ptr<const error_details> closed_too_early() {
    auto details = std::make_shared<error_details>();
    details->reason = "the peer closed too early";
    return details;
}

/// The peer's TCP connection is over: closed, or reset for what it had not read.
bool is_end_of_tcp(const std::error_code& code) {
    return code == errc::truncated || code == std::errc::connection_reset;
}

} // namespace

wait_for connection::read(stream_operation& op) {
    return conclude(op, read_step(op.into_, op.done_));
}

wait_for connection::read_exactly(stream_operation& op) {
    while (op.done_ < op.into_.size()) {
        std::size_t count = 0;
        const auto step = read_step(op.into_.subspan(op.done_), count);
        op.done_ += count;
        if (step == step::closed) {
            op.fail(errc::truncated, closed_too_early());
            return wait_for::nothing;
        }
        if (step != step::done)
            return conclude(op, step);
        if (op.done_ < op.into_.size() && !op.loop().core().spend())
            return wait_for::next_turn;
    }
    return wait_for::nothing;
}

wait_for connection::readable(stream_operation& op) {
    settle_write();
    return conclude(op, tls_.close_received() ? step::closed : check_key_updates(tls_.peek()));
}

/// The next record's share of the turn is taken before this one is sent: then nothing comes between
/// them, and the socket may keep the end of this one until it can fill a segment.
wait_for connection::write(stream_operation& op) {
    if (tls_.close_sent()) {
        op.fail(errc::write_closed);
        return wait_for::nothing;
    }
    advance(op, 0);
    if (op.replayable_ && op.under_way_) {
        if (const auto first = after_early_data(op); first != wait_for::nothing || op.failed())
            return first;
    }
    while (!op.from_.empty()) {
        if (const auto first = ready_to_write(op); first != wait_for::nothing || op.failed())
            return first;
        if (op.from_.empty())
            break; // settled meanwhile
        const bool more = exceeds_record(op) && op.loop().core().spend();
        std::size_t count = 0;
        const auto step = write_step(op, more, count);
        op.pending_ = step == step::want_write;
        if (tls_.socket().write_error() != 0)
            return fail(op, tls_.write_failure());
        switch (step) {
        case step::done:
            advance(op, count);
            break;
        case step::want_read:
        case step::want_write:
        case step::want_decision:
            return want(step);
        case step::closed:
        case step::failed:
            return fail(op, tls_.what());
        }
        if (!op.from_.empty() && !more && !op.loop().core().spend())
            return wait_for::next_turn;
    }
    return once_sent(op);
}

/// What has to happen before a record can be written: the spill leaves, a renegotiation ends.
wait_for connection::ready_to_write(stream_operation& op) {
    if (!tls_.socket().flush())
        return wait_for::notification;
    return tls_.renegotiating() ? past_handshake(op) : wait_for::nothing;
}

/// Takes a handshake that has begun to its end. Application data that stands in the way waits for
/// a reader, and the operation for that.
wait_for connection::past_handshake(stream_operation& op) {
    settle_write();
    const auto step = check_key_updates(tls_.peek());
    switch (step) {
    case step::failed:
        return fail(op, tls_.what());
    case step::closed: // so that the handshake will never end
        op.fail(errc::truncated, closed_too_early());
        return wait_for::nothing;
    case step::done:
    case step::want_read:
    case step::want_write:
    case step::want_decision:
        break;
    }
    if (step == step::done && reader_ == &op) { // a shutdown is itself the reader to wait for
        std::array<std::byte, 4096> dropped;
        std::size_t count = 0;
        static_cast<void>(read_step(dropped, count));
        OPENSSL_cleanse(dropped.data(), count);
        return wait_for::next_turn;
    }
    if (!tls_.in_handshake())
        return tls_.socket().spilled() ? wait_for::notification : wait_for::nothing;
    return step == step::done ? behind_data(op) : want(step);
}

/// The peer's data stands in the way, and its reader wakes the operation. Without one, only the end
/// of the connection is left to wait for.
wait_for connection::behind_data(stream_operation& op) {
    const bool hung_up = link_ ? link_->hung_up() : (op.ready_events() & (POLLERR | POLLHUP)) != 0;
    if (!hung_up)
        return wait_for::hangup;
    tls_.socket().give_up_writing(EPIPE); // and a read finds the cause
    return fail(op, tls_.write_failure());
}

wait_for connection::close_write(stream_operation& op) {
    if (const auto first = send_close_notify(op); first != wait_for::nothing || op.failed())
        return first;
    return once_sent(op);
}

/// What has to happen before a close_notify can be sent, then that; it may still have to leave.
wait_for connection::send_close_notify(stream_operation& op) {
    if (tls_.close_sent())
        return wait_for::nothing;
    if (tls_.in_handshake()) {
        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())
            return first;
    }
    return tls_.close_write() == step::done ? wait_for::nothing : fail(op, tls_.what());
}

/// Goes on to read before its close_notify has left: the peer may be blocked in a write of its
/// own, and take nothing before we do; and if it is gone, its own close_notify may lie there. Past
/// our close_notify, a peer that only closes its TCP connection has said enough; the kernel makes
/// that a reset if there was something that the peer had not read.
wait_for connection::shutdown(stream_operation& op) {
    if (const auto first = send_close_notify(op); first != wait_for::nothing || op.failed())
        return first;
    while (!op.under_way_) {
        std::array<std::byte, 4096> dropped;
        std::size_t count = 0;
        const auto step = read_step(dropped, count);
        OPENSSL_cleanse(dropped.data(), count);
        switch (step) {
        case step::done:
            break;
        case step::closed:
            op.under_way_ = true;
            continue;
        case step::want_read:
        case step::want_write:
        case step::want_decision:
            return want(step);
        case step::failed:
            if (!is_end_of_tcp(tls_.what().code) || tls_.socket().write_error() != 0)
                return fail(op, tls_.what());
            op.under_way_ = true;
            continue;
        }
        if (!op.loop().core().spend())
            return wait_for::next_turn;
    }
    return once_sent(op);
}

/// Made only when nothing waits to leave: otherwise one that is cancelled over and over, with a
/// peer that does not read, would add to the spill each time.
wait_for connection::key_update(stream_operation& op) {
    if (op.under_way_)
        return once_left(op, tls_.socket().mark_has_left());
    if (!tls_.is_tls_1_3()) {
        op.fail(errc::key_update_refused);
        return wait_for::nothing;
    }
    if (tls_.close_sent()) {
        op.fail(errc::write_closed);
        return wait_for::nothing;
    }
    // One that was cancelled may still be on its way: a peer that takes nothing is not to make us
    // keep more and more of them.
    if (!tls_.socket().flush() || !tls_.socket().mark_has_left())
        return wait_for::notification;
    settle_write();
    if (tls_.in_handshake()) {
        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())
            return first;
    }
    if (tls_.key_update(op.request_ == key_update_request::requested) == step::failed)
        return fail(op, tls_.what());
    op.under_way_ = true;
    tls_.socket().mark();
    return once_left(op, tls_.socket().mark_has_left());
}

/// What was written is over when the socket has taken it.
wait_for connection::once_sent(stream_operation& op) {
    return once_left(op, !tls_.socket().unsent());
}

/// A peer that has sent its close_notify need not stay to receive ours (RFC 8446, section 6.1).
wait_for connection::once_left(stream_operation& op, bool has_left) {
    if (tls_.socket().write_error() != 0 && !(tls_.close_sent() && tls_.close_received()))
        return fail(op, tls_.write_failure());
    return has_left ? wait_for::nothing : wait_for::notification;
}

/// A read can make OpenSSL write (the answer to a key update, an alert), which a half-sent record
/// of the writer's would turn into a fatal error. So the writer's call is made once more first.
step connection::read_step(std::span<std::byte> into, std::size_t& count) {
    settle_write();
    if (tls_.close_received())
        return step::closed;
    const auto step = check_key_updates(tls_.read(into, count));
    if (step == step::failed) { // what came behind a flood of key updates was not read
        OPENSSL_cleanse(into.data(), count);
        count = 0;
    }
    return step;
}

/// A step that found one key update too many has failed, whatever it answered.
step connection::check_key_updates(step after) noexcept {
    const int received = tls_.take_key_updates();
    if (received == 0)
        return after;
    const auto now = carrier_.loop().now();
    if (now - key_updates_since_ >= key_update_window) {
        key_updates_since_ = now;
        key_updates_ = 0;
    }
    key_updates_ += received;
    return key_updates_ > key_updates_allowed ? tls_.fail_with(errc::key_update_flood) : after;
}

/// One record from where the caller's bytes are, or of small pieces gathered.
step connection::write_step(stream_operation& op, bool more, std::size_t& count) {
    if (!tls_.established())
        return tls_.write_early_data(next_record(op), count);
    if (op.from_.size() >= record_size || op.pieces_.empty())
        return tls_.write(next_record(op), more, count);
    return gather_step(op, more, count);
}

/// The arguments of a write's call to OpenSSL, and of each retry: they change only when it is done.
/// One record and no more, for within a longer call OpenSSL would keep count of what it sent where
/// nobody can ask.
std::span<const std::byte> connection::next_record(const stream_operation& op) noexcept {
    return op.from_.first(std::min(op.from_.size(), record_size));
}

/// Whether more is left to write than one record holds.
bool connection::exceeds_record(const stream_operation& op) noexcept {
    std::size_t left = op.from_.size();
    for (const auto& piece : op.pieces_) {
        if (left > record_size)
            break;
        left += piece.size();
    }
    return left > record_size;
}

/// The record is settled, for what it was gathered in is gone before it could be tried again.
step connection::gather_step(stream_operation& op, bool more, std::size_t& count) {
    std::array<std::byte, record_size> record;
    std::size_t size = 0;
    const auto take = [&](std::span<const std::byte> piece) {
        const auto part = std::min(piece.size(), record.size() - size);
        std::copy_n(piece.begin(), part, record.begin() + static_cast<std::ptrdiff_t>(size));
        size += part;
    };
    take(op.from_);
    for (const auto& piece : op.pieces_) {
        if (size == record.size())
            break;
        take(piece);
    }
    const auto step = tls_.settle(std::span(record).first(size), more, count);
    OPENSSL_cleanse(record.data(), size);
    return step;
}

/// Past these bytes, and past pieces that are empty.
void connection::advance(stream_operation& op, std::size_t count) noexcept {
    op.done_ += count;
    for (;;) {
        const auto part = std::min(count, op.from_.size());
        op.from_ = op.from_.subspan(part);
        count -= part;
        if (!op.from_.empty() || op.pieces_.empty())
            return;
        op.from_ = op.pieces_.front();
        op.pieces_ = op.pieces_.subspan(1);
    }
}

} // namespace ringtls::detail
