// SPDX-License-Identifier: MIT
// Recordings of honest conversations: what the peer sent, which is valid once more wherever
// randomness is the same, until a byte of it is changed.
#pragma once

#include "conversation.hpp"

namespace ringtls::fuzz {

/// Which conversation it was: everything that our side does follows from this byte. Its lowest bit
/// is the role, the next two the manner; the rest is for the size of the pieces that it is
/// replayed in.
struct recording {
    std::uint8_t head = 0;
    std::span<const std::uint8_t> sent;

    [[nodiscard]] role ours() const noexcept {
        return (head & 1) != 0 ? role::server : role::client;
    }
    [[nodiscard]] manner how() const noexcept { return static_cast<manner>(head >> 1 & 3); }
    [[nodiscard]] std::size_t piece() const noexcept { return std::size_t(64) << (head >> 3 & 7); }
};

/// Holds the conversation with an honest peer; returns its bytes behind the head.
[[nodiscard]] bytes record(std::uint8_t head);

/// Replays it; returns the number of bytes read, what_peer_writes if nothing was changed.
std::size_t replay(const recording& what);

inline constexpr std::size_t what_peer_writes = 300;

} // namespace ringtls::fuzz
