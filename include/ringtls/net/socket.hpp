// SPDX-License-Identifier: MIT
// A connected socket that lives on a loop.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>

#include <chrono>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// Owns a stream socket's descriptor. What a TLS stream is made from.
///
/// Thread rule: belongs to its loop's thread. Closing: the destructor closes the descriptor; end
/// every operation on it first.
class socket {
  public:
    /// Takes ownership of a connected stream socket: TCP, unix, or one end of a socketpair(2). It
    /// may be blocking or not; the library never blocks on it and leaves its flags alone.
    socket(event_loop& loop, int fd) noexcept : loop_(&loop), fd_(fd) {}
    socket(socket&& other) noexcept : loop_(other.loop_), fd_(std::exchange(other.fd_, -1)) {}
    socket& operator=(socket&& other) noexcept {
        std::swap(loop_, other.loop_);
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~socket();

    [[nodiscard]] event_loop& loop() const noexcept { return *loop_; }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// Gives the descriptor away; the socket owns nothing then.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    /// getsockname(2), getpeername(2). Throw error with the system's code.
    [[nodiscard]] address local_address() const;
    [[nodiscard]] address peer_address() const;

    /// TCP_NODELAY (tcp(7)): small writes leave at once. On for every socket that listener and
    /// connect make. Nothing on a unix socket. Throws error with the system's code.
    void no_delay(bool on) const;

    /// Has TCP ask a silent peer whether it is still there (SO_KEEPALIVE, tcp(7)): first after
    /// idle, then each interval, and end the connection with ETIMEDOUT after count unanswered
    /// questions. 1 to 32,767 s and 1 to 127. Nothing on a unix socket. Throws error with EINVAL
    /// that names what is out of range, or the system's code.
    void keep_alive(std::chrono::seconds idle, std::chrono::seconds interval, int count) const;

    /// How long what was sent may stay unacknowledged before the connection ends with ETIMEDOUT
    /// (TCP_USER_TIMEOUT, tcp(7), RFC 5482); 0: as the system says. Nothing on a unix socket.
    /// Throws error as keep_alive() does.
    void user_timeout(std::chrono::milliseconds time) const;

  private:
    event_loop* loop_;
    int fd_;
};

} // namespace ringtls
