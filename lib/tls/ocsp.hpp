// SPDX-License-Identifier: MIT
// Stapled OCSP responses (RFC 6066, section 8; RFC 6960): serving them, and holding peers to them.
#pragma once

#include "openssl_handles.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ringtls::detail {

/// What a server staples; empty: nothing. DER.
using ocsp_source = std::function<std::vector<std::byte>()>;

/// The file's content for good. Throws error with errc::invalid_setting and the file as its subject
/// if it is no OCSP response.
[[nodiscard]] ocsp_source ocsp_from_file(const std::string& path);

/// Staples a response to a handshake, for SSL_CTX_set_tlsext_status_cb(3) of a server.
int staple(SSL* to, const ocsp_source& from) noexcept;

/// Null if the server's stapled response says that its certificate, which was verified before, is
/// good; otherwise what is wrong.
[[nodiscard]] const char* staple_refusal(SSL* of);

} // namespace ringtls::detail
