// SPDX-License-Identifier: MIT
// A relay between two sockets that treats the bytes as badly as a network may.
#pragma once

#include "loopback.hpp"

#include <unistd.h>

#include <cstdint>
#include <optional>
#include <random>

namespace ringtls::test {

/// How a lossy pipe misbehaves. All of it follows from the seed.
class mischief {
  public:
    mischief() noexcept = default;
    explicit mischief(unsigned seed) noexcept : seed(seed) {}

    unsigned seed = 1;
    std::size_t most = 65536;                ///< chops: forwards 1 to so many bytes at a time
    int delay_turns = 0;                     ///< delays: up to so many turns of the loop between
    std::optional<std::uint64_t> cut_after;  ///< cuts: ends after so many bytes, with FIN
    std::optional<std::uint64_t> corrupt_at; ///< corrupts: flips a bit of this byte
};

/// Forwards from one descriptor to the other until end of file, then passes the end on.
inline task<> relay(event_loop& loop, int from, int to, mischief how) {
    std::mt19937 generator(how.seed);
    bytes buffer(how.most);
    std::uint64_t forwarded = 0;
    for (;;) {
        co_await loop.poll(from, poll_events::readable);
        std::size_t size = std::uniform_int_distribution<std::size_t>(1, how.most)(generator);
        if (how.cut_after)
            size = std::min<std::uint64_t>(size, *how.cut_after - forwarded);
        const auto count = ::recv(from, buffer.data(), size, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            continue;
        if (count <= 0)
            break;
        const auto end = forwarded + static_cast<std::uint64_t>(count);
        if (how.corrupt_at && *how.corrupt_at >= forwarded && *how.corrupt_at < end)
            buffer[*how.corrupt_at - forwarded] ^= std::byte{4};
        forwarded = end;
        for (int turns = std::uniform_int_distribution(0, how.delay_turns)(generator); turns > 0;
             --turns)
            co_await loop.yield();
        for (std::size_t sent = 0; sent < static_cast<std::size_t>(count);) {
            const auto some =
                ::send(to, buffer.data() + sent, static_cast<std::size_t>(count) - sent,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
            if (some > 0)
                sent += static_cast<std::size_t>(some);
            else if (errno == EAGAIN)
                co_await loop.poll(to, poll_events::writable);
            else
                co_return;
        }
    }
    ::shutdown(to, SHUT_WR);
}

/// Two sockets with the pipe between them. Its relays run on the loop until both ways have ended.
class lossy_pipe {
  public:
    lossy_pipe(event_loop& loop, const mischief& to_server, const mischief& to_client,
               int buffer = 0)
        : left_(connected_pair(loop, buffer)), right_(connected_pair(loop, buffer)) {
        loop.spawn(relay(loop, left_.server.fd(), right_.client.fd(), to_server));
        loop.spawn(relay(loop, right_.client.fd(), left_.server.fd(), to_client));
    }

    /// The outer ends, once.
    socket_pair ends() { return {std::move(left_.client), std::move(right_.server)}; }

  private:
    socket_pair left_;
    socket_pair right_;
};

} // namespace ringtls::test
