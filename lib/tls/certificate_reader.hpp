// SPDX-License-Identifier: MIT
// OpenSSL's certificates as values.
#pragma once

#include <ringtls/tls/certificate.hpp>

#include "openssl_handles.hpp"

#include <string>

namespace ringtls::detail {

/// RFC 2253's form; control characters and non-ASCII bytes are escaped, so that it can be printed.
[[nodiscard]] std::string name_text(const X509_NAME* name);

/// SHA-256 of the public key with its kind (SubjectPublicKeyInfo); false if OpenSSL cannot write
/// it.
[[nodiscard]] bool digest_key(const X509& from, sha256_digest& digest) noexcept;

[[nodiscard]] certificate read_certificate(X509& from);

} // namespace ringtls::detail
