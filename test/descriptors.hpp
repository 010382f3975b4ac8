// SPDX-License-Identifier: MIT
// Pipes, socket pairs and eventfds that close themselves, for tests.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ringtls::test {

class descriptor {
  public:
    descriptor() noexcept = default;
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor() { close(); }

    void close() noexcept {
        if (fd_ >= 0)
            ::close(std::exchange(fd_, -1));
    }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    /// All of the text, which must fit.
    void put(std::string_view text) const {
        REQUIRE(::write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    /// What one read gives; empty at the end of file or if there is nothing.
    [[nodiscard]] std::string take() const {
        std::array<char, 4096> buffer;
        const auto size = ::read(fd_, buffer.data(), buffer.size());
        return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
    }

  private:
    int fd_ = -1;
};

struct pipe_ends {
    descriptor reader;
    descriptor writer;

    pipe_ends() {
        std::array<int, 2> fds{};
        REQUIRE(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        reader = descriptor(fds[0]);
        writer = descriptor(fds[1]);
    }
};

/// Two connected sockets: unix ones, or TCP over loopback.
struct socket_ends {
    descriptor a;
    descriptor b;

    [[nodiscard]] static socket_ends unix_pair() {
        std::array<int, 2> fds{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) ==
                0);
        return {descriptor(fds[0]), descriptor(fds[1])};
    }

    [[nodiscard]] static socket_ends tcp_pair() {
        const descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        auto* const generic = reinterpret_cast<sockaddr*>(&at);
        REQUIRE(::bind(listener.fd(), generic, size) == 0);
        REQUIRE(::listen(listener.fd(), 1) == 0);
        REQUIRE(::getsockname(listener.fd(), generic, &size) == 0);
        descriptor near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(near.fd(), generic, size) == 0);
        descriptor far(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        REQUIRE(far.fd() >= 0);
        REQUIRE(::fcntl(near.fd(), F_SETFL, O_NONBLOCK) == 0);
        return {std::move(near), std::move(far)};
    }
};

[[nodiscard]] inline descriptor make_eventfd(unsigned count = 0) {
    descriptor made(::eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK));
    REQUIRE(made.fd() >= 0);
    return made;
}

/// Writes until the socket takes no more; the number of bytes.
inline std::size_t fill(const descriptor& socket) {
    const std::array<char, 65536> block{};
    std::size_t total = 0;
    for (;;) {
        const auto sent = ::send(socket.fd(), block.data(), block.size(), MSG_NOSIGNAL);
        if (sent < 0)
            return total;
        total += static_cast<std::size_t>(sent);
    }
}

/// Reads until there is nothing more; the number of bytes.
inline std::size_t drain(const descriptor& socket) {
    std::size_t total = 0;
    for (;;) {
        const auto got = socket.take().size();
        if (got == 0)
            return total;
        total += got;
    }
}

} // namespace ringtls::test
