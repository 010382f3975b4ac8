// SPDX-License-Identifier: MIT
// A listening socket.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/socket.hpp>

#include <optional>

namespace [[gnu::visibility("default")]] ringtls {

/// Waits for a connection and takes it. Completes with its socket.
class [[nodiscard]] accept_operation final : public basic_operation<accept_operation, socket> {
  public:
    accept_operation(event_loop& loop, int fd) noexcept;
    ~accept_operation() { abandon(); }
    [[nodiscard]] socket take_value() noexcept { return {loop(), accepted_->release()}; }

  private:
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }
    wait_for refused(int code);

    int fd_;
    std::optional<socket> accepted_;
};

/// How a listener is made. Each setter returns the options, so that they chain.
class listen_options {
  public:
    listen_options() noexcept = default;

    /// Several listeners, on several threads, share the address; the kernel deals connections out
    /// (SO_REUSEPORT, socket(7)).
    listen_options& share_port() noexcept {
        share_port_ = true;
        return *this;
    }
    /// Connections that wait to be accepted (listen(2)); the kernel caps it.
    listen_options& backlog(int connections) noexcept {
        backlog_ = connections;
        return *this;
    }

    [[nodiscard]] bool shares_port() const noexcept { return share_port_; }
    [[nodiscard]] int backlog() const noexcept { return backlog_; }

  private:
    bool share_port_ = false;
    int backlog_ = 4096;
};

/// A socket that listens. Thread rule: belongs to its loop's thread.
class listener {
  public:
    /// Port 0 picks a free one; local_address() tells which. Throws error with the system's code
    /// and the address as its subject.
    [[nodiscard]] static listener bind(event_loop& loop, const address& at,
                                       const listen_options& options = {});

    /// The next connection, with TCP_NODELAY on. A connection that ended or failed while it waited
    /// (ECONNABORTED, a firewall's EPERM, and the network errors of accept(2)) is passed over.
    /// Fails with the system's code otherwise: after EMFILE, ENFILE or ENOBUFS the connection still
    /// waits, so pause before the next call. A cancel loses no connection.
    [[nodiscard]] accept_operation accept() noexcept { return {socket_.loop(), socket_.fd()}; }

    [[nodiscard]] address local_address() const { return socket_.local_address(); }

  private:
    explicit listener(socket from) noexcept : socket_(std::move(from)) {}

    socket socket_;
};

} // namespace ringtls
