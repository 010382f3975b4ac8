// SPDX-License-Identifier: MIT
// A listening socket.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/socket.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace ringtls::detail {
struct listener_state;
}

namespace [[gnu::visibility("default")]] ringtls {

/// Waits for a connection and takes it. Completes with its socket.
class [[nodiscard]] accept_operation final : public basic_operation<accept_operation, socket> {
  public:
    explicit accept_operation(detail::listener_state& from) noexcept;
    ~accept_operation() { abandon(); }
    [[nodiscard]] socket take_value() noexcept { return {loop(), accepted_->release()}; }

  private:
    /// Ends a pause.
    class alarm final : public detail::loop_entry {
      public:
        explicit alarm(accept_operation& of) noexcept : of_(of) {}
        void on(cause /*why*/, short /*events*/) override { of_.schedule(); }

      private:
        accept_operation& of_;
    };

    wait_for attempt() override;
    void withdraw() noexcept override;
    int descriptor() const noexcept override;
    wait_for refused(int code);
    wait_for pause() noexcept;

    detail::listener_state* from_;
    std::optional<socket> accepted_;
    alarm alarm_{*this};
};

/// How a listener is made. Each setter returns the options, so that they chain.
class listen_options {
  public:
    /// Gets the kernel's refusal, with the listener's address as its subject.
    using pressure_handler = std::function<void(const error&)>;

    listen_options() noexcept = default;

    /// Several listeners, on several threads, share the address; the kernel deals connections out
    /// (SO_REUSEPORT, socket(7)). When one of them is closed, connections that wait in its queue
    /// are reset, unless net.ipv4.tcp_migrate_req lets the kernel give them to the others.
    listen_options& share_port() noexcept {
        share_port_ = true;
        return *this;
    }
    /// Connections that wait to be accepted (listen(2)); the kernel caps it.
    listen_options& backlog(int connections) noexcept {
        backlog_ = connections;
        return *this;
    }
    /// An IPv6 address takes IPv4 connections too, as ::ffff:a.b.c.d (IPV6_V6ONLY off, ipv6(7)).
    /// Without this it never does, whatever net.ipv6.bindv6only says. Nothing to other addresses.
    listen_options& dual_stack() noexcept {
        dual_stack_ = true;
        return *this;
    }
    /// Takes the place of a unix socket's file that nobody listens on any more. To know that, it is
    /// connected to once. Not when two programs that do this start at the same moment: one may then
    /// remove the other's new file. Nothing to other addresses.
    listen_options& remove_stale() noexcept {
        remove_stale_ = true;
        return *this;
    }
    /// The permissions of a unix socket's file (chmod(2)), set before anybody can connect; the
    /// umask counts without this. Nothing to addresses without a file.
    listen_options& mode(unsigned permissions) noexcept {
        mode_ = permissions;
        return *this;
    }
    /// Called by the loop, as event_loop::post() does, once each time that accept() begins to pause
    /// for want of descriptors or memory.
    listen_options& on_pressure(pressure_handler handler) noexcept {
        on_pressure_ = std::move(handler);
        return *this;
    }

    [[nodiscard]] bool shares_port() const noexcept { return share_port_; }
    [[nodiscard]] int backlog() const noexcept { return backlog_; }
    [[nodiscard]] bool is_dual_stack() const noexcept { return dual_stack_; }
    [[nodiscard]] bool removes_stale() const noexcept { return remove_stale_; }
    [[nodiscard]] const std::optional<unsigned>& mode() const noexcept { return mode_; }
    [[nodiscard]] const pressure_handler& on_pressure() const noexcept { return on_pressure_; }

  private:
    bool share_port_ = false;
    bool dual_stack_ = false;
    bool remove_stale_ = false;
    int backlog_ = 4096;
    std::optional<unsigned> mode_;
    pressure_handler on_pressure_;
};

/// How often a listener was short of descriptors or memory.
struct listener_pressure {
    bool present = false;       ///< the last call of accept4(2) was refused for it
    std::uint64_t episodes = 0; ///< times that it began
    std::uint64_t refusals = 0; ///< calls of accept4(2) that were refused for it
};

/// A socket that listens. Thread rule: belongs to its loop's thread. Closing: the destructor closes
/// the socket, and removes a unix socket's file that bind() made; end every accept() first.
class listener {
  public:
    /// Port 0 picks a free one; local_address() tells which. Throws error with the system's code
    /// and the address as its subject.
    [[nodiscard]] static listener bind(event_loop& loop, const address& at,
                                       const listen_options& options = {});

    /// Takes ownership of a stream socket that listens already, and makes it non-blocking (for all
    /// who share it). Of the options on_pressure() counts. Throws error with the system's code if
    /// it is something else, and leaves it to the caller.
    [[nodiscard]] static listener adopt(event_loop& loop, int fd,
                                        const listen_options& options = {});

    listener(listener&& other) noexcept;
    listener& operator=(listener&& other) noexcept;
    ~listener();

    /// The next connection, with TCP_NODELAY on. A connection that ended or failed while it waited
    /// (ECONNABORTED, a firewall's EPERM, and the network errors of accept(2)) is passed over.
    /// Short of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM) it goes on: connections
    /// wait in the queue, and it asks again after 10 ms, 20 ms, ... at most 1 s. Fails with the
    /// system's code otherwise. A cancel loses no connection.
    [[nodiscard]] accept_operation accept() noexcept { return accept_operation(*state_); }

    [[nodiscard]] listener_pressure pressure() const noexcept;
    [[nodiscard]] address local_address() const;

    /// To look at, and to duplicate; still the listener's.
    [[nodiscard]] int fd() const noexcept;

  private:
    explicit listener(std::unique_ptr<detail::listener_state> state) noexcept;

    std::unique_ptr<detail::listener_state> state_;
};

} // namespace ringtls
