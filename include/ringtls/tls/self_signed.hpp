// SPDX-License-Identifier: MIT
// A throwaway identity, for demonstrations and tests.
#pragma once

#include <ringtls/tls/pem.hpp>

#include <chrono>
#include <span>
#include <string>

namespace [[gnu::visibility("default")]] ringtls {

/// Makes an ECDSA P-256 key and a certificate that it signs itself, both in memory, valid from an
/// hour ago for this long.
///
/// names: DNS names and IP addresses, each an entry of subjectAltName (RFC 5280, section
/// 4.2.1.6); the first is the common name too. Throws error with errc::invalid_name if there is
/// none, and OpenSSL's code if it fails.
[[nodiscard, gnu::visibility("default")]] identity
self_signed(std::span<const std::string> names,
            std::chrono::seconds valid_for = std::chrono::days(30));

} // namespace ringtls
