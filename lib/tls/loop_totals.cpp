// SPDX-License-Identifier: MIT
#include "loop_totals.hpp"

#include <ringtls/loop/event_loop.hpp>

#include <system_error>
#include <utility>

namespace ringtls {

stream_counters& stream_counters::operator+=(const stream_counters& other) noexcept {
    bytes_received += other.bytes_received;
    bytes_sent += other.bytes_sent;
    receives += other.receives;
    sends += other.sends;
    records_received += other.records_received;
    records_sent += other.records_sent;
    read_waits += other.read_waits;
    write_waits += other.write_waits;
    other_waits += other.other_waits;
    spills += other.spills;
    key_updates_received += other.key_updates_received;
    key_updates_sent += other.key_updates_sent;
    return *this;
}

tls_counters counters_of(event_loop& loop) {
    return detail::loop_totals::of(loop.core()).sum();
}

namespace detail {

loop_totals::member::member(loop_core& loop, const stream_counters& counters)
    : totals_(of(loop)), counters_(counters), next_(totals_.members_) {
    if (next_)
        next_->previous_ = this;
    totals_.members_ = this;
    ++totals_.past_.made;
}

loop_totals::member::~member() {
    (previous_ ? previous_->next_ : totals_.members_) = next_;
    if (next_)
        next_->previous_ = previous_;
    totals_.past_.streams += counters_;
    if (!handshake_noted_)
        ++totals_.past_.failed.abandoned;
}

void loop_totals::member::note_handshake(bool resumed) noexcept {
    handshake_noted_ = true;
    ++(resumed ? totals_.past_.resumed_handshakes : totals_.past_.full_handshakes);
}

/// The first cause that an operation reports.
void loop_totals::member::note_failed_handshake(const failure& why) noexcept {
    if (std::exchange(handshake_noted_, true))
        return;
    auto& failed = totals_.past_.failed;
    const auto& code = why.code;
    const bool heard =
        why.details && why.details->alert && why.details->alert->way == alert::direction::received;
    if (code == errc::verify_failed || code == errc::pin_mismatch || code == errc::ocsp_refused)
        ++failed.certificate;
    else if (code == errc::handshake_refused || code == errc::decision_failed)
        ++failed.decision;
    else if (heard)
        ++failed.by_peer;
    else if (code == errc::truncated || code == std::errc::connection_reset ||
             code == std::errc::broken_pipe)
        ++failed.closed;
    else if (code.category() == std::system_category() ||
             code.category() == std::generic_category())
        ++failed.system;
    else
        ++failed.protocol;
}

loop_totals& loop_totals::of(loop_core& loop) {
    if (!loop.tls)
        loop.tls = std::make_unique<loop_totals>();
    return static_cast<loop_totals&>(*loop.tls);
}

tls_counters loop_totals::sum() const noexcept {
    auto all = past_;
    for (const auto* each = members_; each; each = each->next_) {
        all.streams += each->counters_;
        ++all.open;
    }
    return all;
}

} // namespace detail
} // namespace ringtls
