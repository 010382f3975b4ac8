// SPDX-License-Identifier: MIT
// What the PROXY protocol's reader and writer share: the numbers of its version 2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ringtls::detail {

inline constexpr std::array<std::uint8_t, 12> proxy_signature = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/// The signature, version and command, family and transport, length.
inline constexpr std::size_t proxy_prefix_size = 16;
inline constexpr std::size_t proxy_line_limit = 107;
/// "PROXY UNKNOWN" and the end of the line.
inline constexpr std::size_t proxy_line_least = 15;
inline constexpr std::size_t proxy_unique_id_limit = 128;
inline constexpr std::size_t proxy_unix_size = 108;
/// A tlv's type and length.
inline constexpr std::size_t proxy_tlv_prefix = 3;

enum class proxy_family : std::uint8_t { unspecified, ipv4, ipv6, unix_path };

/// Of one end: an IP address, or a path.
[[nodiscard]] constexpr std::size_t proxy_address_size(proxy_family of) noexcept {
    switch (of) {
    case proxy_family::unspecified:
        return 0;
    case proxy_family::ipv4:
        return 4;
    case proxy_family::ipv6:
        return 16;
    case proxy_family::unix_path:
        return proxy_unix_size;
    }
    return 0;
}

/// CRC-32C (RFC 3720, appendix B.4), as if the four bytes at `without` were 0.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> of, std::size_t without) noexcept;

} // namespace ringtls::detail
