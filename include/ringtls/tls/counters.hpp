// SPDX-License-Identifier: MIT
// What streams have done so far, one by one and on a whole loop.
#pragma once

#include <cstdint>

namespace [[gnu::visibility("default")]] ringtls {

class event_loop;

/// What a stream has done so far.
struct stream_counters {
    std::uint64_t bytes_received = 0; ///< from the socket or byte_stream, encrypted
    std::uint64_t bytes_sent = 0;
    std::uint64_t receives = 0;         ///< recv(2) calls, or a byte_stream's reads
    std::uint64_t sends = 0;            ///< send(2) calls, or its writes
    std::uint64_t records_received = 0; ///< a ClientHello that chose a context: once more
    std::uint64_t records_sent = 0;
    std::uint64_t read_waits = 0;  ///< times OpenSSL wanted to read, and an operation waited
    std::uint64_t write_waits = 0; ///< times it wanted to write
    std::uint64_t other_waits = 0; ///< for the spill, a decision, or a reader to make way
    std::uint64_t spills = 0;      ///< times output went to a buffer of ours: the socket was full
    std::uint64_t key_updates_received = 0;
    std::uint64_t key_updates_sent = 0;

    stream_counters& operator+=(const stream_counters& other) noexcept;
};

/// First handshakes that did not succeed, each counted once.
struct failed_handshakes {
    std::uint64_t certificate = 0; ///< we refused the peer's: chain, name, pin, OCSP, a verdict
    std::uint64_t decision = 0;    ///< a decision refused the client, or threw without a code
    std::uint64_t by_peer = 0;     ///< the peer sent an alert
    std::uint64_t protocol = 0;    ///< we sent an alert for any other reason, or OpenSSL failed
    std::uint64_t closed = 0;      ///< the peer was gone
    std::uint64_t system = 0;      ///< another error of the system, such as a lack of memory
    std::uint64_t abandoned = 0;   ///< the stream was destroyed: canceled, timed out, or not wanted
};

/// What the streams of a loop have done so far, those that are gone included.
struct tls_counters {
    stream_counters streams; ///< the sum of theirs
    std::uint64_t made = 0;  ///< streams
    std::uint64_t open = 0;  ///< streams that there are now
    std::uint64_t full_handshakes = 0;
    std::uint64_t resumed_handshakes = 0;
    failed_handshakes failed;
};

/// On the loop's thread, or while it does not run. Its cost is a sum over the open streams;
/// counting itself costs next to nothing, and cannot be turned off.
[[nodiscard, gnu::visibility("default")]] tls_counters counters_of(event_loop& loop);

} // namespace ringtls
