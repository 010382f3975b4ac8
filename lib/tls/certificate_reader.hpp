// SPDX-License-Identifier: MIT
// OpenSSL's certificates as values.
#pragma once

#include <ringtls/tls/connection_info.hpp>

#include "openssl_handles.hpp"

#include <string>

namespace ringtls::detail {

/// RFC 2253's form; control characters and non-ASCII bytes are escaped, so that it can be printed.
[[nodiscard]] std::string name_text(const X509_NAME* name);

[[nodiscard]] certificate read_certificate(X509& from);

} // namespace ringtls::detail
