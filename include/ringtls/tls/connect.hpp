// SPDX-License-Identifier: MIT
// From a host's name to an established TLS connection.
#pragma once

#include <ringtls/loop/operation.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/connect_options.hpp>
#include <ringtls/tls/stream.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] ringtls {

/// Where to connect to, and under which name.
class endpoint {
  public:
    endpoint(std::string_view host, std::uint16_t port) : host_(host), port_(port) {}

    /// An address, a unix socket's too, which needs a server name.
    explicit endpoint(const ringtls::address& at) : port_(at.port()), address_(at) {
        if (at.family() != ringtls::address::family::unix_path)
            host_ = at.host();
    }

    /// The name to verify and to send, where it is not the host's.
    endpoint& server_name(std::string_view name) {
        server_name_ = name;
        return *this;
    }

    /// How the connection is made.
    endpoint& options(connect_options how) {
        options_ = std::move(how);
        return *this;
    }

    /// As stream::resume().
    endpoint& resume(ringtls::session with) {
        session_ = std::move(with);
        return *this;
    }

    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] const std::string& server_name() const noexcept {
        return server_name_.empty() ? host_ : server_name_;
    }
    /// Nothing: the host's are looked up.
    [[nodiscard]] const std::optional<ringtls::address>& address() const noexcept {
        return address_;
    }
    [[nodiscard]] const connect_options& options() const noexcept { return options_; }
    [[nodiscard]] const std::optional<ringtls::session>& session() const noexcept {
        return session_;
    }

  private:
    std::string host_;
    std::uint16_t port_;
    std::string server_name_;
    std::optional<ringtls::address> address_;
    connect_options options_;
    std::optional<ringtls::session> session_;
};

/// A connection being made. Awaited like an operation, with the same modifiers, which bound all
/// of it together; unlike a stream's operations it owns a coroutine.
class [[nodiscard]] tls_connect {
  public:
    tls_connect(event_loop& loop, const client_context& context, endpoint to)
        : loop_(&loop), context_(context), to_(std::move(to)) {}

    template<class Rep, class Period>
    tls_connect&& within(std::chrono::duration<Rep, Period> time) && {
        limits_.until(detail::later(loop_->now(), detail::loop_duration(time)));
        return std::move(*this);
    }
    tls_connect&& until(loop_clock::time_point deadline) && {
        limits_.until(deadline);
        return std::move(*this);
    }
    tls_connect&& cancel_on(std::stop_token token) && {
        limits_.cancel_on(std::move(token));
        return std::move(*this);
    }

    /// The task itself, for as_result() and when_all().
    [[nodiscard]] task<stream> as_task() &&;

    auto operator co_await() && {
        work_.emplace(std::move(*this).as_task());
        return std::move(*work_).operator co_await();
    }

  private:
    event_loop* loop_;
    client_context context_;
    endpoint to_;
    limits limits_;
    std::optional<task<stream>> work_;
};

/// Connects as a client: looks the host up and connects to the first of its addresses that answers
/// (connect() of a host, net/connect_host.hpp), and performs the handshake, which verifies chain
/// and name. A time given with within() counts from this call, and bounds it all. Fails as
/// resolve(), the TCP connect() (with the first address's error if none takes it) and
/// stream::handshake() do; with errc::invalid_name, before it connects, for a unix socket without a
/// server name.
[[nodiscard]] inline tls_connect connect(event_loop& loop, const client_context& context,
                                         endpoint to) {
    return {loop, context, std::move(to)};
}
[[nodiscard]] inline tls_connect connect(event_loop& loop, const client_context& context,
                                         std::string_view host, std::uint16_t port) {
    return {loop, context, endpoint(host, port)};
}

} // namespace ringtls
