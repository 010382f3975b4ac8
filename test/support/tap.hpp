// SPDX-License-Identifier: MIT
// Somebody between the two ends of an established pair, who passes on what a test likes.
#pragma once

#include "loopback.hpp"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

namespace ringtls::test {

/// Takes the place of each end's peer. What it passes on, and when, is the test's affair.
class tap {
  public:
    socket client_peer;
    socket server_peer;

    /// buffer: as of connected_pair(), for the server's new socket. No operation may wait yet.
    explicit tap(loopback& on, int buffer = 0)
        : client_peer(on.loop, ::dup(on.ends.server_fd)),
          server_peer(take_place(on, on.ends.server_fd, buffer)) {}

    socket& peer_of(bool is_client) noexcept { return is_client ? client_peer : server_peer; }

  private:
    /// A socket of the same kind, connected to one that takes the descriptor's place.
    static socket take_place(loopback& on, int fd, int buffer) {
        auto pair =
            on.over_tcp ? connected_tcp_pair(on.loop, buffer) : connected_pair(on.loop, buffer);
        check_system(::dup2(pair.client.fd(), fd) == fd);
        return std::move(pair.server);
    }
};

/// So many bytes that are there, or on their way.
inline std::string receive(const socket& from, std::size_t size) {
    std::string all(size, ' ');
    for (std::size_t got = 0; got < size;) {
        pollfd waiting = {from.fd(), POLLIN, 0};
        check_system(::poll(&waiting, 1, -1) == 1);
        const auto count = ::recv(from.fd(), all.data() + got, size - got, 0);
        REQUIRE(count > 0);
        got += static_cast<std::size_t>(count);
    }
    return all;
}

/// The socket has to have room for all of it.
inline void send(const socket& to, std::string_view all) {
    const auto sent = ::send(to.fd(), all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    REQUIRE(sent == static_cast<ssize_t>(all.size()));
}

/// Passes bytes on, so many a second of the clock's, and lets them be dealt with.
inline task<> trickle(loopback& on, const socket& from, const socket& to, std::size_t a_second) {
    std::string buffer(a_second, ' ');
    for (;;) {
        co_await on.loop.poll(to.fd(), poll_events::writable);
        co_await on.loop.poll(from.fd(), poll_events::readable);
        const auto count = ::recv(from.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count <= 0)
            break;
        const auto sent = ::send(to.fd(), buffer.data(), static_cast<std::size_t>(count),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != count)
            break; // gone: there was room
        co_await settle(on.loop);
        on.clock.advance(std::chrono::seconds(1));
    }
    ::shutdown(to.fd(), SHUT_WR);
}

} // namespace ringtls::test
