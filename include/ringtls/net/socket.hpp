// SPDX-License-Identifier: MIT
// A connected socket that lives on a loop.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/socket_operations.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// Owns a stream socket's descriptor. What a TLS stream is made from; what is said in plain text
/// before TLS, after it or without it is read and written here.
///
/// Operations: read() and write() take within(), until() and cancel_on(), and fail with the
/// system's code. One may be in flight each way; two that read share out what comes, two that write
/// mix it, so that is for the caller to avoid. A cancel, or a frame destroyed while it waits: a
/// read loses nothing, a write's error says in bytes() how much was sent. The buffer stays
/// untouched and alive until the operation ends. Moving a socket is allowed meanwhile. Thread rule:
/// belongs to its loop's thread. SIGPIPE is never raised. Closing: the destructor closes the
/// descriptor; end every operation on it first.
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

    /// Completes with the number of bytes that were there, at least 1 (recv(2)); 0: the peer has
    /// sent all that it will. An empty buffer completes with 0 at once.
    [[nodiscard]] socket_read_operation read(std::span<std::byte> into) noexcept {
        return {*loop_, fd_, into};
    }
    /// Completes with the size, when the kernel has taken the last byte (send(2)).
    [[nodiscard]] socket_write_operation write(std::span<const std::byte> from) noexcept {
        return {*loop_, fd_, from};
    }
    [[nodiscard]] socket_write_operation write(std::string_view from) noexcept {
        return write(std::as_bytes(std::span(from)));
    }
    /// Ends writing: the peer reads to the end of what was written. Reading goes on (shutdown(2),
    /// SHUT_WR). Throws error with the system's code.
    void shutdown_write() const;

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
