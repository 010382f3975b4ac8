// SPDX-License-Identifier: MIT
// A TCP connection to a host, by whichever of its addresses answers first (RFC 8305).
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/connect_options.hpp>
#include <ringtls/net/socket.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ringtls::detail {
class connect_race;
class lookup;
} // namespace ringtls::detail

namespace [[gnu::visibility("default")]] ringtls {

/// Connects to one of several addresses. Completes with the socket.
class [[nodiscard]] connect_host_operation final
    : public basic_operation<connect_host_operation, socket> {
  public:
    connect_host_operation(event_loop& loop, std::string_view host, std::uint16_t port,
                           connect_options options);
    connect_host_operation(event_loop& loop, std::vector<address> to, connect_options options);
    ~connect_host_operation();
    [[nodiscard]] socket take_value() noexcept { return std::move(*made_); }

  private:
    friend detail::connect_race;

    wait_for attempt() override;
    void withdraw() noexcept override;
    wait_for look_up();
    wait_for race();
    wait_for refuse(const char* reason);

    std::optional<std::string> host_; ///< nothing: the addresses are known
    std::uint16_t port_ = 0;
    std::vector<address> addresses_;
    connect_options options_;
    std::shared_ptr<detail::lookup> lookup_;
    std::unique_ptr<detail::connect_race> race_;
    std::optional<socket> made_;
};

/// Looks a host up as resolve() does, and connects to the first of its addresses that answers
/// (Happy Eyeballs version 2, RFC 8305): they are tried in getaddrinfo(3)'s order (RFC 6724), the
/// families in turns, at most 64 of them; the next one when the one before has failed, or beside it
/// after connect_options::attempt_delay(). With a source address, those of its family are tried.
/// (One getaddrinfo(3) asks for both families, so there is no Resolution Delay.)
///
/// Fails as resolve() does, or if no address takes the connection as connect() to the first one
/// did; what() tells of the others, too. A modifier bounds look-up and connections together. A
/// cancel, and the first success, close all the other sockets.
[[nodiscard]] inline connect_host_operation
connect(event_loop& loop, std::string_view host, std::uint16_t port, connect_options options = {}) {
    return {loop, host, port, std::move(options)};
}

/// The same for addresses that are known, of which there has to be one.
[[nodiscard]] inline connect_host_operation connect(event_loop& loop, std::vector<address> to,
                                                    connect_options options = {}) {
    return {loop, std::move(to), std::move(options)};
}

} // namespace ringtls
