// SPDX-License-Identifier: MIT
// What may be negotiated: versions, ciphers, groups, signature algorithms.
#pragma once

#include "openssl_handles.hpp"

namespace ringtls::detail {

/// Throws error with errc::invalid_setting and, of a list, the one name that OpenSSL does not
/// know. Settings: client_settings or server_settings.
template<class Settings>
void apply_policy(SSL_CTX* ctx, const Settings& settings);

} // namespace ringtls::detail
