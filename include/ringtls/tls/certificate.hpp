// SPDX-License-Identifier: MIT
// A certificate, as values.
#pragma once

#include <ringtls/tls/pem.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

using sha256_digest = std::array<std::uint8_t, 32>;

/// A certificate (RFC 5280). It refers to nothing: it may outlive its connection and go to other
/// threads.
struct certificate {
    certificate() = default; // no aggregate, for GCC 12 destroys such arguments twice

    /// The only one in these bytes. Throws error with errc::invalid_pem and OpenSSL's reason.
    [[nodiscard]] static certificate from_der(std::span<const std::uint8_t> encoded);
    /// All that are in this PEM, in their order, at least one. Throws error with errc::invalid_pem,
    /// the file and OpenSSL's reason.
    [[nodiscard]] static std::vector<certificate> from_pem(const pem& from);

    std::string subject; ///< distinguished name in RFC 2253's form
    std::string issuer;
    std::vector<std::string> alternative_names;       ///< "DNS:example.org", "IP:192.0.2.1", ...
    std::string serial;                               ///< hexadecimal, upper case: "01AB"
    std::chrono::system_clock::time_point not_before; ///< the nearest that the clock can tell
    std::chrono::system_clock::time_point not_after;
    std::string key_type; ///< OpenSSL's name: "RSA", "EC", "ED25519"; empty if it knows none
    int key_bits = 0;
    sha256_digest sha256{};        ///< of the whole certificate in DER
    sha256_digest key_sha256{};    ///< of its SubjectPublicKeyInfo in DER (RFC 7469, section 2.4)
    std::vector<std::uint8_t> der; ///< the certificate itself (X.690)

    /// The SHA-256 in hexadecimal, two digits a byte, upper case, with colons.
    [[nodiscard]] std::string fingerprint() const;
    /// The public key's, in the same form.
    [[nodiscard]] std::string key_fingerprint() const;
    /// PEM text (RFC 7468).
    [[nodiscard]] std::string to_pem() const;

    /// The same, byte by byte.
    [[nodiscard]] bool operator==(const certificate& other) const noexcept {
        return der == other.der;
    }
};

} // namespace ringtls
