// SPDX-License-Identifier: MIT
// Keying material and channel bindings of an established connection.
#pragma once

#include <ringtls/tls/channel_binding.hpp>
#include <ringtls/tls/secret.hpp>

#include "openssl_handles.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ringtls::detail {

/// Throws error with OpenSSL's code.
[[nodiscard]] secret_bytes export_key(SSL* from, std::string_view label, std::size_t size,
                                      std::optional<std::span<const std::byte>> context);

/// Throws error with errc::not_available, and OpenSSL's code.
[[nodiscard]] std::vector<std::byte> channel_binding(SSL* of, channel_binding_type type);

} // namespace ringtls::detail
