// SPDX-License-Identifier: MIT
// What a client asked for in its first message, as values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// An extension as the client sent it, whether OpenSSL knows it or not (RFC 8446, section 4.2).
struct client_hello_extension {
    std::uint16_t type = 0;
    std::vector<std::byte> data;
};

/// A ClientHello (RFC 8446, section 4.1.2). Numbers are IANA's, in the order in which they were
/// sent, GREASE (RFC 8701) included. What an extension says is empty where it was not sent, or is
/// malformed, in which case OpenSSL refuses the client later.
struct client_hello {
    client_hello() = default;

    std::uint16_t legacy_version = 0;
    std::array<std::byte, 32> random{};
    std::vector<std::byte> session_id;
    std::vector<std::uint16_t> ciphers;
    std::vector<client_hello_extension> extensions;

    std::string server_name;             ///< RFC 6066, section 3: as it was sent
    std::vector<std::string> alpn;       ///< RFC 7301
    std::vector<std::uint16_t> versions; ///< supported_versions; the legacy version without it
    std::vector<std::uint16_t> groups;   ///< supported_groups
    std::vector<std::uint16_t> signature_algorithms;

    /// JA4, FoxIO's fingerprint of TLS clients, e.g. "t13d1516h2_8daaf6152771_e5627efa2ab1". It
    /// tells one TLS stack and its settings from another. Any client can imitate it.
    [[nodiscard]] std::string ja4() const;
};

} // namespace ringtls
