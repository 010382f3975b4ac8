// SPDX-License-Identifier: MIT
// The input of the targets `client` and `server`: what happens, one thing after another.
#pragma once

#include "conversation.hpp"

namespace ringtls::fuzz {

/// What a byte of a script stands for; its two highest bits are the turns of the loop after it.
enum class deed : std::uint8_t {
    send_raw, ///< payload
    exchange,
    forward, ///< number
    forward_all,
    converse,          ///< byte: rounds
    corrupt,           ///< number: where; byte: bits to flip
    drop,              ///< number: where; byte: how many
    insert,            ///< number: where; payload
    repeat,            ///< number: where; number: how many
    peer_write,        ///< number
    peer_updates_keys, ///< byte: how often; byte: odd if it requests ours
    peer_renegotiates,
    peer_closes,
    forge, ///< byte: type; byte: padding; payload
    flood, ///< byte: type; byte: padding; number: how often; payload
    finish_sending,
    reset,
    handshake,    ///< each of our calls: limits
    read,         ///< limits; number
    read_exactly, ///< limits; number
    readable,     ///< limits
    write,        ///< limits; number
    write_pieces, ///< limits; number
    close_write,  ///< limits
    shutdown,     ///< limits
    key_update,   ///< limits; byte: odd if it requests the peer's
    keep_reading,
    advance_clock, ///< byte: tenths of a second
    request_stop,
    destroy_call,
    destroy_stream,
    move_stream,
};
inline constexpr unsigned deeds = 32;

/// Runs one input: the manner and the buffer in its first byte, then deeds.
void run_script(role ours, input script);

} // namespace ringtls::fuzz
