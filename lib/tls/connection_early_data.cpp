// SPDX-License-Identifier: MIT
// What a stream's calls do before its handshake is over. The whole is in connection.hpp.
//
//   client  write(replayable) -> sent with the ClientHello -> the handshake -> accepted: over
//                                                                           -> rejected: written
//   server  read_early -> some -> write(replayable), read_early, ... -> empty -> the handshake
#include "connection.hpp"

namespace ringtls::detail {

bool connection::answers_early(const stream_operation& op) const noexcept {
    return op.replayable_ && tls_.answers_early_data();
}

/// Before the handshake of an operation: its early data leaves, or that which the server has begun
/// to read is in the way.
wait_for connection::early_data_first(stream_operation& op) {
    if (tls_.early_data_unread()) {
        auto details = std::make_shared<error_details>();
        details->reason = "early data was not read to its end";
        op.fail(errc::not_available, std::move(details));
        return wait_for::nothing;
    }
    if (!op.replayable_ || op.under_way_ || !tls_.takes_early_data(op.from_.size()))
        return wait_for::nothing;
    op.under_way_ = true;
    return tls_.send_early_data(op.from_) == step::failed ? fail(op, tls_.what())
                                                          : wait_for::nothing;
}

/// Rejected, it is written like any other, unless it would be read as another protocol.
wait_for connection::after_early_data(stream_operation& op) {
    op.under_way_ = false;
    if (tls_.early_data() == early_data_status::accepted)
        advance(op, op.from_.size());
    else if (!tls_.same_protocol_as_early_data())
        op.fail(errc::early_data_rejected);
    return wait_for::nothing;
}

/// Nobody is left to send it once more. While the server has not said whether it takes it, it
/// counts as accepted, and if the server rejects it, nothing may follow as if it had been there.
void connection::abandon_early_data(stream_operation& op) noexcept {
    op.under_way_ = false;
    if (tls_.established() && tls_.early_data() != early_data_status::accepted)
        return;
    early_abandoned_ = !tls_.established();
    advance(op, op.from_.size());
}

wait_for connection::read_early(stream_operation& op) {
    if (tls_.is_client()) {
        op.fail(errc::not_available);
        return wait_for::nothing;
    }
    return conclude(op, tls_.read_early_data(op.into_, op.done_));
}

} // namespace ringtls::detail
