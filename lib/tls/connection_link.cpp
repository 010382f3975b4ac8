// SPDX-License-Identifier: MIT
// What a connection over a byte_stream does that one over a socket leaves to polls and the kernel.
// The whole is in connection.hpp.
#include "connection.hpp"

namespace ringtls::detail {

void connection::arrived() noexcept {
    tls_.socket().now_readable();
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && (op->waits(wait_for::readable) || op->waits(wait_for::hangup)))
            op->schedule();
    }
}

/// Of a failure, the link tells after a turn, from the loop's own frame. A handshake that waits for
/// an answer to what could not be sent hears of it, too.
void connection::taken() noexcept {
    auto& socket = tls_.socket();
    const auto& failed = link_->write_failure();
    socket.now_writable();
    if (failed)
        give_up_writing();
    else
        socket.flush();
    note_write_failure();
    for (auto* op : {reader_, writer_, rider_}) {
        if (op && (op->waits(wait_for::writable) || op->waits(wait_for::hangup) ||
                   (failed && op->waits(wait_for::readable))))
            op->schedule();
    }
    if (!socket.spilled() && !decision_)
        wake_notified();
}

void connection::give_up_writing() noexcept {
    auto& socket = tls_.socket();
    socket.give_up_writing(byte_link::errno_of(link_->write_failure()));
    socket.grant_receives(transport::receives_per_attempt);
    if (tls_.established())
        look_for_alert();
}

/// A socket would have taken the alert that says why by now. The coroutine may destroy the stream
/// as soon as it hears of the failure, so the link gets one turn to hand it on first.
bool connection::lingers(const stream_operation& op) noexcept {
    return link_ && first_ && op.failed() && link_->unsent() && !std::exchange(lingered_, true);
}

} // namespace ringtls::detail
