// SPDX-License-Identifier: MIT
// Where to connect to or listen on: IPv4, IPv6, or a unix socket's path.
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
    enum class family { ipv4, ipv6, unix_path };

    /// An IP address in text ("127.0.0.1", "::1", "fe80::1%eth0", "fe80::1%2") and a port. Names
    /// are not looked up: that is resolve()'s work. Throws error with errc::invalid_address.
    address(std::string_view ip, std::uint16_t port);

    /// "127.0.0.1:443", "[::1]:443" or "unix:/run/echo.sock" (RFC 3986, section 3.2, for the
    /// brackets). Throws error with errc::invalid_address.
    [[nodiscard]] static address parse(std::string_view text);

    /// A unix socket's path, at most 108 bytes (unix(7)). Throws error with
    /// errc::invalid_address.
    [[nodiscard]] static address unix_path(std::string_view path);

    /// From the kernel's form. Throws error with errc::invalid_address for other families.
    [[nodiscard]] static address from(const sockaddr* raw, std::size_t size);

    [[nodiscard]] address::family family() const noexcept;
    /// 0 for a unix path.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// The address without port or brackets, or the path.
    [[nodiscard]] std::string host() const;
    /// What parse() reads.
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
