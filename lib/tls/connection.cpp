// SPDX-License-Identifier: MIT
#include "connection.hpp"

#include "../loop/loop_core.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

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

/// The peer's TCP connection is over: closed, or reset for what it had not read. (EPIPE: a reset
/// after its FIN.)
bool is_end_of_tcp(const std::error_code& code) {
    return code == errc::truncated || code == std::errc::connection_reset ||
           code == std::errc::broken_pipe;
}

struct directions {
    bool reading;
    bool writing;
};

directions directions_of(stream_operation::call what) noexcept {
    using call = stream_operation::call;
    switch (what) {
    case call::handshake:
    case call::shutdown:
        return {true, true};
    case call::read:
    case call::read_exactly:
    case call::readable:
        return {true, false};
    case call::write:
    case call::write_pieces:
    case call::close_write:
    case call::key_update:
        return {false, true};
    }
    return {true, true};
}

} // namespace

connection::connection(socket transport, std::shared_ptr<const context> settings,
                       const std::string& name)
    : context_(std::move(settings)),
      carrier_(std::move(transport)),
      tls_(*context_, carrier_.fd(), name) {}

/// Operations in other coroutines end here; they are resumed later, by the loop.
connection::~connection() {
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && op->connection_) {
            op->connection_ = nullptr;
            op->interrupt(errc::canceled);
        }
    }
    carrier_.loop().core().forget(*this);
}

bool connection::claim(stream_operation& op) {
    const auto need = directions_of(op.call_);
    const bool writing_plainly =
        writer_ && (writer_->call_ == call::write || writer_->call_ == call::write_pieces);
    if (op.call_ == call::key_update && writing_plainly && !rider_) {
        rider_ = &op;
        return true;
    }
    if ((need.reading && reader_) || (need.writing && writer_)) {
        op.fail(errc::busy);
        return false;
    }
    if (need.reading)
        reader_ = &op;
    if (need.writing)
        writer_ = &op;
    return true;
}

void connection::release(stream_operation& op) noexcept {
    for (auto** place : {&reader_, &writer_, &rider_}) {
        if (*place == &op)
            *place = nullptr;
    }
}

wait_for connection::attempt(stream_operation& op) {
    auto& socket = tls_.socket();
    if ((op.ready_events() & ~POLLOUT) != 0)
        socket.now_readable();
    if ((op.ready_events() & ~POLLIN) != 0)
        socket.now_writable();
    socket.grant_receives();
    const auto next = progress(op);
    note_write_failure();
    tend_spill();
    wake_others(op, socket.take_consumed());
    if (next == wait_for::readable)
        ++socket.counters().read_waits;
    if (next == wait_for::writable)
        ++socket.counters().write_waits;
    if (next == wait_for::nothing)
        release(op);
    return next;
}

/// The first operation performs the handshake, and two at a time share it: SSL_do_handshake(3)
/// has no arguments that a retry could change.
wait_for connection::progress(stream_operation& op) {
    const bool reads = directions_of(op.call_).reading && op.call_ != call::handshake;
    if (first_ && (reading_over_ || !reads))
        return fail(op, first_);
    if (!tls_.established()) {
        const auto step = tls_.handshake();
        if (step != step::done)
            return step == step::failed ? fail(op, tls_.what()) : want(step);
    }
    return perform(op);
}

wait_for connection::perform(stream_operation& op) {
    switch (op.call_) {
    case call::handshake:
        return wait_for::nothing;
    case call::read:
        return read(op);
    case call::read_exactly:
        return read_exactly(op);
    case call::readable:
        return readable(op);
    case call::write:
    case call::write_pieces:
        return write(op);
    case call::close_write:
        return close_write(op);
    case call::shutdown:
        return shutdown(op);
    case call::key_update:
        return key_update(op);
    }
    return wait_for::nothing;
}

wait_for connection::read(stream_operation& op) {
    const auto step = read_step(op.into_, op.done_);
    switch (step) {
    case step::done:
    case step::closed:
        return wait_for::nothing;
    case step::want_read:
    case step::want_write:
        return want(step);
    case step::failed:
        return fail(op, tls_.what());
    }
    return wait_for::nothing;
}

wait_for connection::read_exactly(stream_operation& op) {
    while (op.done_ < op.into_.size()) {
        std::size_t count = 0;
        const auto step = read_step(op.into_.subspan(op.done_), count);
        op.done_ += count;
        switch (step) {
        case step::done:
            break;
        case step::closed:
            op.fail(errc::truncated, closed_too_early());
            return wait_for::nothing;
        case step::want_read:
        case step::want_write:
            return want(step);
        case step::failed:
            return fail(op, tls_.what());
        }
        if (op.done_ < op.into_.size() && !op.loop().core().spend())
            return wait_for::next_turn;
    }
    return wait_for::nothing;
}

wait_for connection::readable(stream_operation& op) {
    settle_write();
    const auto step = tls_.close_received() ? step::closed : check_key_updates(tls_.peek());
    switch (step) {
    case step::done:
    case step::closed:
        return wait_for::nothing;
    case step::want_read:
    case step::want_write:
        return want(step);
    case step::failed:
        return fail(op, tls_.what());
    }
    return wait_for::nothing;
}

wait_for connection::write(stream_operation& op) {
    if (tls_.close_sent()) {
        op.fail(errc::write_closed);
        return wait_for::nothing;
    }
    advance(op, 0);
    while (!op.from_.empty()) {
        if (const auto first = ready_to_write(op); first != wait_for::nothing || op.failed())
            return first;
        if (op.from_.empty())
            break; // settled meanwhile
        std::size_t count = 0;
        const auto step = write_step(op, count);
        op.pending_ = step == step::want_write;
        switch (step) {
        case step::done:
            advance(op, count);
            break;
        case step::want_read:
        case step::want_write:
            return want(step);
        case step::closed:
        case step::failed:
            return fail(op, tls_.what());
        }
        if (!op.from_.empty() && !op.loop().core().spend())
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
        break;
    }
    if (!tls_.in_handshake())
        return tls_.socket().spilled() ? wait_for::notification : wait_for::nothing;
    return step == step::done ? wait_for::notification : want(step);
}

wait_for connection::close_write(stream_operation& op) {
    if (!tls_.close_sent()) {
        if (tls_.in_handshake()) {
            if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())
                return first;
        }
        if (tls_.close_write() != step::done)
            return fail(op, tls_.what());
    }
    return once_sent(op);
}

/// Goes on to read before its close_notify has left: the peer may be blocked in a write of its
/// own, and take nothing before we do. Past our close_notify, a peer that only closes its TCP
/// connection has said enough; the kernel makes that a reset if there was something that the peer
/// had not read.
wait_for connection::shutdown(stream_operation& op) {
    const auto leaving = close_write(op);
    if (!tls_.close_sent() || op.failed())
        return leaving;
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
            return want(step);
        case step::failed:
            if (!is_end_of_tcp(tls_.what().code))
                return fail(op, tls_.what());
            op.under_way_ = true;
            continue;
        }
        if (!op.loop().core().spend())
            return wait_for::next_turn;
    }
    return once_sent(op);
}

wait_for connection::key_update(stream_operation& op) {
    if (op.under_way_)
        return once_sent(op);
    if (!tls_.is_tls_1_3()) {
        op.fail(errc::key_update_refused);
        return wait_for::nothing;
    }
    if (tls_.close_sent()) {
        op.fail(errc::write_closed);
        return wait_for::nothing;
    }
    settle_write();
    if (tls_.in_handshake()) {
        if (const auto first = past_handshake(op); first != wait_for::nothing || op.failed())
            return first;
    }
    if (tls_.key_update(op.request_ == key_update_request::requested) == step::failed)
        return fail(op, tls_.what());
    op.under_way_ = true;
    return once_sent(op);
}

/// What was written is over when the socket has taken it. A peer that has sent its close_notify
/// need not stay to receive ours (RFC 8446, section 6.1).
wait_for connection::once_sent(stream_operation& op) {
    if (tls_.socket().write_error() != 0 && !(tls_.close_sent() && tls_.close_received()))
        return fail(op, tls_.write_failure());
    return tls_.socket().spilled() ? wait_for::notification : wait_for::nothing;
}

wait_for connection::want(step what) const noexcept {
    if (what == step::want_read)
        return tls_.socket().paused() ? wait_for::next_turn : wait_for::readable;
    return tls_.socket().spilled() ? wait_for::notification : wait_for::writable;
}

/// A failed send ends writing alone; all else ends both directions.
wait_for connection::fail(stream_operation& op, const failure& why) {
    const bool sending_failed = !directions_of(op.call_).reading && tls_.established() &&
                                !reading_over_ && tls_.socket().write_error() != 0;
    if (sending_failed) {
        // OpenSSL still holds the record, and reading goes on: repeat the call, into the void.
        std::size_t ignored = 0;
        if (!op.from_.empty())
            static_cast<void>(tls_.settle(next_record(op), ignored));
        look_for_alert();
    }
    note_failure(why, !sending_failed);
    op.fail(first_.code, first_.details);
    return wait_for::nothing;
}

/// A peer that refuses a connection sends an alert and closes; the send that fails by that is not
/// the cause. A reader in flight finds the alert itself.
void connection::look_for_alert() {
    if (reader_ || first_ || tls_.close_received())
        return;
    tls_.socket().now_readable();
    const auto& found = tls_.what();
    if (tls_.peek() == step::failed && found.details && found.details->alert)
        note_failure(found, true);
}

/// The first failure is the one that every later operation reports, and those that wait already.
/// Only an alert that lay behind a failed send takes its place.
void connection::note_failure(const failure& why, bool reading_over) noexcept {
    const bool alerted = why.details && why.details->alert;
    if (!first_ || (reading_over && !reading_over_ && alerted))
        first_ = why;
    reading_over_ = reading_over_ || reading_over;
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && (reading_over_ || !directions_of(op->call_).reading))
            op->schedule();
    }
}

/// A read can make OpenSSL write (the answer to a key update, an alert), which a half-sent record
/// of the writer's would turn into a fatal error. So the writer's call is made once more first.
step connection::read_step(std::span<std::byte> into, std::size_t& count) {
    settle_write();
    return tls_.close_received() ? step::closed : check_key_updates(tls_.read(into, count));
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
step connection::write_step(stream_operation& op, std::size_t& count) {
    if (op.from_.size() >= record_size || op.pieces_.empty())
        return tls_.write(next_record(op), count);
    return gather_step(op, count);
}

/// The arguments of a write's call to OpenSSL, and of each retry: they change only when it is done.
/// One record and no more, for within a longer call OpenSSL would keep count of what it sent where
/// nobody can ask.
std::span<const std::byte> connection::next_record(const stream_operation& op) noexcept {
    return op.from_.first(std::min(op.from_.size(), record_size));
}

/// The record is settled, for what it was gathered in is gone before it could be tried again.
step connection::gather_step(stream_operation& op, std::size_t& count) {
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
    const auto step = tls_.settle(std::span(record).first(size), count);
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

/// Frees OpenSSL from the half-sent record of the write in flight, by repeating that very call
/// with the transport told to take the rest.
void connection::settle_write() noexcept {
    if (!writer_ || !writer_->pending_)
        return;
    writer_->pending_ = false;
    std::size_t count = 0;
    const auto step = tls_.settle(next_record(*writer_), count);
    if (step == step::done)
        advance(*writer_, count);
    else if (step == step::failed)
        note_failure(tls_.what(), true);
}

void connection::withdraw(stream_operation& op) noexcept {
    if (writer_ == &op)
        settle_write();
    release(op);
    try {
        note_write_failure();
        tend_spill();
    } catch (const std::bad_alloc&) {
        // The spill cannot be sent without a poll, and so neither can anything after it.
        tls_.socket().give_up_writing(ENOMEM);
    }
}

/// What was consumed may hold what another operation waits for, and the socket stays silent. A
/// write that waits for a reader to make way looks again, too.
void connection::wake_others(const stream_operation& but, bool consumed) noexcept {
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && op != &but &&
            ((consumed && op->waits(wait_for::readable)) ||
             (op->waits(wait_for::notification) && !tls_.socket().spilled())))
            op->schedule();
    }
}

/// A send that failed is the end of writing, noticed by whichever call; what the peer sent before
/// can still be read.
void connection::note_write_failure() noexcept {
    if (tls_.socket().write_error() != 0 && !first_)
        note_failure(tls_.write_failure(), false);
}

/// The spill leaves by itself, whoever filled it and whatever became of them.
void connection::tend_spill() {
    if (tls_.socket().spilled() && poll == 0)
        carrier_.loop().core().arm_poll(*this, carrier_.fd(), POLLOUT);
}

void connection::on(cause /*why*/, short /*events*/) {
    auto& socket = tls_.socket();
    socket.now_writable();
    const bool left = socket.flush();
    note_write_failure();
    tend_spill();
    if (!left)
        return;
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && op->waits(wait_for::notification))
            op->schedule();
    }
}

} // namespace ringtls::detail
