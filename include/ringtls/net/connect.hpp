// SPDX-License-Identifier: MIT
// A TCP (or unix) connection to an address.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/connect_options.hpp>
#include <ringtls/net/socket.hpp>

#include <optional>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// Connects. Completes with the socket.
class [[nodiscard]] connect_operation final : public basic_operation<connect_operation, socket> {
  public:
    connect_operation(event_loop& loop, const address& to, connect_options options);
    ~connect_operation() { abandon(); }
    [[nodiscard]] socket take_value() noexcept { return std::move(*socket_); }

  private:
    wait_for attempt() override;
    void withdraw() noexcept override { socket_.reset(); }
    int descriptor() const noexcept override { return socket_->fd(); }
    wait_for start();
    wait_for refused(const error& why);

    address to_;
    connect_options options_;
    std::optional<socket> socket_;
};

/// Connects to an address (connect(2)). Fails with the system's code and the address as the error's
/// subject; with EAGAIN, at once, if a unix listener's queue is full. A cancel closes the socket.
[[nodiscard]] inline connect_operation connect(event_loop& loop, const address& to,
                                               connect_options options = {}) {
    return {loop, to, std::move(options)};
}

} // namespace ringtls
