// SPDX-License-Identifier: MIT
// OpenSSL's objects into PEM.
#pragma once

#include <ringtls/tls/pem.hpp>

#include "openssl_handles.hpp"

#include <span>
#include <string_view>

namespace ringtls::detail {

/// In memory, the key not encrypted. Throws error with OpenSSL's code.
[[nodiscard]] identity write_identity(std::span<X509* const> chain, const EVP_PKEY* key,
                                      std::string_view operation);

} // namespace ringtls::detail
