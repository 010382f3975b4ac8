// SPDX-License-Identifier: MIT
// Stapled OCSP responses (RFC 6066, section 8; RFC 6960): serving them, and holding peers to them.
#pragma once

#include "openssl_handles.hpp"

#include <cstddef>
#include <cstdint>
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

enum class staple_verdict : std::uint8_t {
    good,
    missing,
    unreadable,
    no_issuer,
    wrong_signer,
    wrong_certificate,
    revoked,
    unknown,
    out_of_date,
};

/// What the server's stapled response says of its certificate, which was verified before.
[[nodiscard]] staple_verdict verdict_of_staple(SSL* of);
[[nodiscard]] const char* text_of(staple_verdict verdict) noexcept;

} // namespace ringtls::detail
