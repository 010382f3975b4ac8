// SPDX-License-Identifier: MIT
// How connections are made.
#pragma once

#include <ringtls/loop/clock.hpp>
#include <ringtls/net/address.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] ringtls {

/// How connect() makes a connection. Each setter returns the options, so that they chain. What
/// cannot be is refused by connect(), with EINVAL and the reason.
class connect_options {
  public:
    struct keep_alive_times {
        std::chrono::seconds idle;
        std::chrono::seconds interval;
        int count;
    };

    connect_options() noexcept = default;

    /// The connection's own address, of the same family as the one that it is made to; with port 0
    /// the kernel chooses one when it knows the peer (IP_BIND_ADDRESS_NO_PORT, ip(7)).
    connect_options& source(const address& from) noexcept {
        source_ = from;
        return *this;
    }
    /// Sends through this network interface alone (SO_BINDTODEVICE, socket(7)); not for unix
    /// sockets.
    connect_options& interface(std::string_view name) {
        interface_ = name;
        return *this;
    }
    /// TCP_NODELAY (tcp(7)); on, unless this is called with false.
    connect_options& no_delay(bool on) noexcept {
        no_delay_ = on;
        return *this;
    }
    /// As socket::keep_alive(); off otherwise.
    connect_options& keep_alive(std::chrono::seconds idle, std::chrono::seconds interval,
                                int count) noexcept {
        keep_alive_ = {idle, interval, count};
        return *this;
    }
    /// As socket::user_timeout(). It bounds the connecting, too.
    connect_options& user_timeout(std::chrono::milliseconds time) noexcept {
        user_timeout_ = time;
        return *this;
    }
    /// TCP Fast Open where the system has it (TCP_FASTOPEN_CONNECT, RFC 7413): once a server's
    /// cookie is known, connect() completes at once without having sent anything. The first bytes
    /// written, of TLS the ClientHello, leave with the SYN; a server that is not there is the first
    /// write's or read's error, and no other address is tried then. The SYN may reach the server
    /// twice, and so may those bytes: harmless for a ClientHello without early data.
    connect_options& fast_open() noexcept {
        fast_open_ = true;
        return *this;
    }
    /// How long one of a host's addresses is tried alone before the next one is tried beside it
    /// (Connection Attempt Delay of RFC 8305, section 5): 10 ms to 2 s; 250 ms unless set.
    template<class Rep, class Period>
    connect_options& attempt_delay(std::chrono::duration<Rep, Period> time) noexcept {
        attempt_delay_ = detail::loop_duration(time);
        return *this;
    }

    [[nodiscard]] const std::optional<address>& source() const noexcept { return source_; }
    [[nodiscard]] const std::string& interface() const noexcept { return interface_; }
    [[nodiscard]] bool no_delay() const noexcept { return no_delay_; }
    [[nodiscard]] const std::optional<keep_alive_times>& keep_alive() const noexcept {
        return keep_alive_;
    }
    [[nodiscard]] const std::optional<std::chrono::milliseconds>& user_timeout() const noexcept {
        return user_timeout_;
    }
    [[nodiscard]] bool uses_fast_open() const noexcept { return fast_open_; }
    [[nodiscard]] loop_clock::duration attempt_delay() const noexcept { return attempt_delay_; }

  private:
    std::optional<address> source_;
    std::string interface_;
    bool no_delay_ = true;
    bool fast_open_ = false;
    std::optional<keep_alive_times> keep_alive_;
    std::optional<std::chrono::milliseconds> user_timeout_;
    loop_clock::duration attempt_delay_ = std::chrono::milliseconds(250);
};

} // namespace ringtls
