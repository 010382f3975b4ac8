// SPDX-License-Identifier: MIT
// The awaiters that a socket's calls return: plain bytes, before, after or without TLS.
#pragma once

#include <ringtls/loop/operation.hpp>

#include <cstddef>
#include <span>

namespace [[gnu::visibility("default")]] ringtls {

/// Reads what is there. Completes with the number of bytes.
class [[nodiscard]] socket_read_operation final
    : public basic_operation<socket_read_operation, std::size_t> {
  public:
    socket_read_operation(event_loop& loop, int fd, std::span<std::byte> into) noexcept
        : basic_operation(loop, "read"), fd_(fd), into_(into) {}
    ~socket_read_operation() { abandon(); }
    [[nodiscard]] std::size_t take_value() const noexcept { return count_; }

  private:
    bool claim() override { return !into_.empty(); }
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }

    int fd_;
    std::span<std::byte> into_;
    std::size_t count_ = 0;
};

/// Writes all of it. Completes with its size.
class [[nodiscard]] socket_write_operation final
    : public basic_operation<socket_write_operation, std::size_t> {
  public:
    socket_write_operation(event_loop& loop, int fd, std::span<const std::byte> from) noexcept
        : basic_operation(loop, "write"), fd_(fd), from_(from) {}
    ~socket_write_operation() { abandon(); }
    [[nodiscard]] std::size_t take_value() const noexcept { return sent_; }
    [[nodiscard]] std::size_t bytes_done() const noexcept { return sent_; }

  private:
    bool claim() override { return !from_.empty(); }
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }

    int fd_;
    std::span<const std::byte> from_;
    std::size_t sent_ = 0;
};

} // namespace ringtls
