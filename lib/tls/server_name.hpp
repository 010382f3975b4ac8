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

} // namespace ringtls::detail
