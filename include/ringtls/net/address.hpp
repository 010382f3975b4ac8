// SPDX-License-Identifier: MIT
// Where to connect to or listen on: IPv4, IPv6, or a unix socket's path or abstract name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct sockaddr;

namespace [[gnu::visibility("default")]] ringtls {

/// A socket address as a value.
class address {
  public:
    /// unix_path: every unix socket, also one with an abstract name, or without any.
    enum class family { ipv4, ipv6, unix_path };

    /// An IP address in text ("127.0.0.1", "::1", "fe80::1%eth0", "fe80::1%2") and a port. Names
    /// are not looked up: that is resolve()'s work. Throws error with errc::invalid_address.
    address(std::string_view ip, std::uint16_t port);

    /// "127.0.0.1:443", "[::1]:443" (RFC 3986, section 3.2, for the brackets),
    /// "unix:/run/echo.sock", or "unix:@name" for an abstract name; a relative path whose first
    /// letter is @ is "unix:./@path". Throws error with errc::invalid_address.
    [[nodiscard]] static address parse(std::string_view text);

    /// A unix socket's path, at most 108 bytes (unix(7)). Throws error with
    /// errc::invalid_address.
    [[nodiscard]] static address unix_path(std::string_view path);

    /// A unix socket's name in Linux's abstract namespace (unix(7)): any bytes, also none or zeros,
    /// at most 107. There is no file: any user may connect, and the name is free again when the
    /// last descriptor is closed. Throws error with errc::invalid_address.
    [[nodiscard]] static address unix_abstract(std::string_view name);

    /// From the kernel's form. Throws error with errc::invalid_address for other families.
    [[nodiscard]] static address from(const sockaddr* raw, std::size_t size);

    [[nodiscard]] address::family family() const noexcept;
    [[nodiscard]] bool is_abstract() const noexcept;
    /// 0 for a unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// The address without port or brackets; the path; @ and the abstract name; or nothing, which
    /// is what most clients of unix sockets have.
    [[nodiscard]] std::string host() const;
    /// What parse() reads, unless there is no name.
    [[nodiscard]] std::string to_string() const;

    /// For bind(2) and connect(2).
    [[nodiscard]] const sockaddr* raw() const noexcept;
    [[nodiscard]] std::size_t raw_size() const noexcept { return size_; }

    [[nodiscard]] bool operator==(const address& other) const noexcept;

  private:
    address() noexcept = default;

    alignas(8) std::array<std::byte, 128> storage_{}; ///< a sockaddr_storage
    std::size_t size_ = 0;
};

} // namespace ringtls
