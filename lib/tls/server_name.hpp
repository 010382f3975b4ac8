// SPDX-License-Identifier: MIT
// The name that a client asks for, and holds the certificate to.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace ringtls::detail {

/// Requires the peer's certificate to be valid for this DNS name or IP address, and sends a DNS
/// name as SNI. Throws error with errc::invalid_name if it is neither. verified: otherwise it is
/// sent, but required of nobody.
void set_server_name(SSL* ssl, std::string name, bool verified);

/// Labels of 1 to 63 letters, digits, hyphens (and the underscores that are found in practice),
/// 253 bytes in all (RFC 1123, section 2.1; RFC 1035, section 2.3.4).
[[nodiscard]] bool is_host_name(const std::string& name);

} // namespace ringtls::detail
