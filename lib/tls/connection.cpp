// SPDX-License-Identifier: MIT
#include "connection.hpp"

#include "../loop/loop_core.hpp"

#include <poll.h>

#include <cerrno>
#include <new>

namespace ringtls::detail {
namespace {

struct directions {
    bool reading;
    bool writing;
};

directions directions_of(stream_operation::call what) noexcept {
    using call = stream_operation::call;
    switch (what) {
    case call::handshake:
    case call::shutdown:
    case call::read_early:
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

/// 0 where there is none: a unix socket, or one whose peer is gone.
std::uint16_t port_of_peer(const socket& carrier) {
    try {
        const auto peer = carrier.peer_address();
        return peer.family() == address::family::unix_path ? 0 : peer.port();
    } catch (const error&) {
        return 0;
    }
}

} // namespace

connection::connection(socket transport, std::shared_ptr<const context> settings,
                       const std::string& name)
    : carrier_(std::move(transport)),
      tls_(std::move(settings), carrier_.fd(), name),
      totals_(carrier_.loop().core(), tls_.socket().counters()) {
    if (tls_.keeps_sessions())
        tls_.use_sessions(port_of_peer(carrier_));
}

connection::connection(std::unique_ptr<byte_stream> below, std::shared_ptr<const context> settings,
                       const std::string& name)
    : carrier_(below->loop(), -1),
      link_(std::make_unique<byte_link>(std::move(below), static_cast<link_waiter&>(*this))),
      tls_(std::move(settings), carrier_.fd(), name, link_.get()),
      totals_(carrier_.loop().core(), tls_.socket().counters()) {
    if (tls_.keeps_sessions())
        tls_.use_sessions(0);
}

address connection::peer_address() const {
    return link_ ? link_->below().peer_address() : carrier_.peer_address();
}

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

loop_clock::duration connection::limit_of(call what) const noexcept {
    switch (what) {
    case call::handshake:
        return loop_clock::duration::max();
    case call::read:
    case call::read_exactly:
    case call::read_early:
    case call::readable:
        return reading_limit_;
    case call::write:
    case call::write_pieces:
    case call::close_write:
    case call::shutdown:
    case call::key_update:
        return writing_limit_;
    }
    return loop_clock::duration::max();
}

bool connection::claim(stream_operation& op) {
    op.limit_within(limit_of(op.call_));
    const auto need = directions_of(op.call_);
    const bool writing_plainly =
        writer_ && (writer_->call_ == call::write || writer_->call_ == call::write_pieces);
    if (op.call_ == call::key_update && writing_plainly && !rider_) {
        rider_ = &op;
        return true;
    }
    const bool writes = op.call_ == call::write || op.call_ == call::write_pieces;
    const bool beside_rider = rider_ && need.writing && !writes;
    if ((need.reading && reader_) || (need.writing && writer_) || beside_rider) {
        op.fail(errc::busy);
        return false;
    }
    if (need.reading)
        reader_ = &op;
    if (need.writing)
        writer_ = &op;
    return true;
}

socket connection::detach() {
    const auto refuse = [](errc code, const char* why) {
        auto details = std::make_shared<error_details>();
        details->reason = why;
        throw error(code, "detach", std::move(details));
    };
    if (reader_ || writer_ || rider_)
        refuse(errc::busy, "end it first");
    if (link_)
        refuse(errc::not_available, "it is not over a socket");
    if (!tls_.receives_exactly())
        refuse(errc::not_available, "it was not made detachable");
    if (first_)
        throw error(first_.code, "detach", first_.details);
    if (!tls_.close_sent() || !tls_.close_received())
        refuse(errc::not_available, "close_notify was not sent and received");
    if (tls_.socket().spilled())
        refuse(errc::not_available, "close_notify has not left");
    return std::move(carrier_);
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
    socket.grant_receives(tls_.established() ? transport::receives_per_attempt
                                             : transport::receives_per_handshake_attempt);
    auto next = progress(op);
    if (!tend_spill() && next != wait_for::nothing)
        next = wait_for::next_turn; // to look again: nothing will leave any more
    note_write_failure();
    wake_others(op, socket.take_consumed());
    if (next == wait_for::readable) {
        ++socket.counters().read_waits;
        want_input();
    }
    if (next == wait_for::writable)
        ++socket.counters().write_waits;
    if (next == wait_for::notification || next == wait_for::hangup)
        ++socket.counters().other_waits;
    if (next == wait_for::hangup)
        want_input();
    if (next == wait_for::nothing && lingers(op))
        return wait_for::next_turn;
    if (next == wait_for::nothing)
        release(op);
    return next;
}

/// The first operation performs the handshake, and two at a time share it: SSL_do_handshake(3)
/// has no arguments that a retry could change.
wait_for connection::progress(stream_operation& op) {
    const bool reads = directions_of(op.call_).reading || !tls_.established();
    if (first_ && (reading_over_ || !reads))
        return fail(op, first_);
    if (deciding())
        return wait_for::notification;
    if (!tls_.established() && op.call_ != call::read_early && !answers_early(op)) {
        if (const auto first = early_data_first(op); first != wait_for::nothing || op.failed())
            return first;
        const auto step = tls_.handshake();
        if (tls_.established()) {
            totals_.note_handshake(tls_.resumed());
            if (early_abandoned_ && tls_.early_data() != early_data_status::accepted)
                return fail(op, {errc::early_data_rejected, nullptr});
        }
        if (step != step::done)
            return step == step::failed ? fail(op, tls_.what()) : want(step);
    }
    return perform(op);
}

wait_for connection::perform(stream_operation& op) {
    switch (op.call_) {
    case call::handshake:
        return once_shaken(op);
    case call::read:
        return read(op);
    case call::read_exactly:
        return read_exactly(op);
    case call::read_early:
        return read_early(op);
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

/// Over a link, what a handshake sent last may still be refused.
wait_for connection::once_shaken(stream_operation& op) {
    const bool waited = std::exchange(op.under_way_, tls_.socket().in_flight());
    if (op.under_way_)
        return wait_for::notification;
    if (waited && tls_.socket().write_error() != 0)
        return conclude(op, tls_.handshake());
    return wait_for::nothing;
}

/// Until a decision has ended, there is nothing to ask OpenSSL.
bool connection::deciding() noexcept {
    if (!decision_)
        return false;
    if (!decision_->over())
        return true;
    decision_.reset();
    return false;
}

/// What one step of a reading call leaves it waiting for.
wait_for connection::conclude(stream_operation& op, step ended) {
    switch (ended) {
    case step::done:
    case step::closed:
        return wait_for::nothing;
    case step::want_read:
    case step::want_write:
    case step::want_decision:
        return want(ended);
    case step::failed:
        return fail(op, tls_.what());
    }
    return wait_for::nothing;
}

wait_for connection::want(step what) {
    if (what == step::want_decision) {
        decision_waiter& self = *this;
        decision_ = std::make_unique<decision>(carrier_.loop().core(), tls_.asked(), self);
        return wait_for::notification;
    }
    if (what == step::want_read)
        return tls_.socket().paused() ? wait_for::next_turn : wait_for::readable;
    return tls_.socket().spilled() ? wait_for::notification : wait_for::writable;
}

/// A failed send ends writing alone; all else ends both directions. What tls_ calls its failure
/// changes when an alert is looked for, so this keeps its own.
wait_for connection::fail(stream_operation& op, const failure& reported) {
    const failure why = reported; // NOLINT(performance-unnecessary-copy-initialization)
    const bool sending_failed = !directions_of(op.call_).reading && tls_.established() &&
                                !reading_over_ && tls_.socket().write_error() != 0;
    if (sending_failed)
        look_for_alert();
    note_failure(why, !sending_failed);
    if (!tls_.established())
        totals_.note_failed_handshake(first_);
    op.fail(first_.code, first_.details);
    return wait_for::nothing;
}

/// A peer that refuses a connection sends an alert and closes; the send that fails by that is not
/// the cause. A reader in flight finds the alert itself.
void connection::look_for_alert() noexcept {
    if (reader_ || first_ || tls_.close_received())
        return;
    settle_write(); // what it finds may have OpenSSL write
    tls_.socket().now_readable();
    const auto& found = tls_.what();
    if (tls_.peek() == step::failed && found.details && found.details->alert)
        note_failure(found, true);
}

/// The first failure is the one that every later operation reports, and those that wait already.
/// What lay behind a failed send takes its place: an alert, or whatever ended reading if the send
/// knew no more than that there is nobody left to send to.
void connection::note_failure(const failure& why, bool reading_over) noexcept {
    const bool alerted = why.details && why.details->alert;
    const bool knew_no_cause = first_.code == std::errc::broken_pipe;
    if (!first_ || (reading_over && !reading_over_ && (alerted || knew_no_cause)))
        first_ = why;
    reading_over_ = reading_over_ || reading_over;
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && (reading_over_ || !directions_of(op->call_).reading))
            op->schedule();
    }
}

/// Frees OpenSSL from the half-sent record of the write in flight, by repeating that very call
/// with the transport told to take the rest.
void connection::settle_write() noexcept {
    if (!writer_ || !writer_->pending_)
        return;
    writer_->pending_ = false;
    std::size_t count = 0;
    const auto step = tls_.settle(next_record(*writer_), false, count);
    if (step == step::done)
        advance(*writer_, count);
    else if (step == step::failed)
        note_failure(tls_.what(), true);
}

void connection::withdraw(stream_operation& op) noexcept {
    if (writer_ == &op)
        settle_write();
    if (op.replayable_ && op.under_way_)
        abandon_early_data(op);
    release(op);
    static_cast<void>(tend_spill());
    note_write_failure();
}

/// What was consumed may hold what another operation waits for, and the socket stays silent. A
/// write that waits for a reader to make way looks again, too.
void connection::wake_others(const stream_operation& but, bool consumed) noexcept {
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && op != &but &&
            ((consumed && op->waits(wait_for::readable)) || op->waits(wait_for::hangup) ||
             (op->waits(wait_for::notification) && !tls_.socket().unsent() && !decision_)))
            op->schedule();
    }
}

/// A send that failed is the end of writing, noticed by whichever call; what the peer sent before
/// can still be read.
void connection::note_write_failure() noexcept {
    if (tls_.socket().write_error() != 0 && !first_)
        note_failure(tls_.write_failure(), false);
}

/// The spill leaves by itself, whoever filled it and whatever became of them; a link tells when it
/// can. False: without memory for a poll it cannot, and neither can anything after it.
bool connection::tend_spill() noexcept {
    try {
        if (tls_.socket().spilled() && poll == 0 && !link_)
            carrier_.loop().core().arm_poll(*this, carrier_.fd(), POLLOUT);
        return true;
    } catch (const std::bad_alloc&) {
        tls_.socket().give_up_writing(ENOMEM);
        return false;
    }
}

void connection::on(cause /*why*/, short events) {
    auto& socket = tls_.socket();
    if (events == no_room) // to ask again would be to spin
        socket.give_up_writing(ENOMEM);
    socket.now_writable();
    socket.flush();
    static_cast<void>(tend_spill());
    note_write_failure();
    if (!socket.spilled())
        wake_notified();
}

void connection::wake_notified() noexcept {
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && op->waits(wait_for::notification))
            op->schedule();
    }
}

} // namespace ringtls::detail
