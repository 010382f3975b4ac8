// SPDX-License-Identifier: MIT
// What a session is bound to besides its server's name.
#pragma once

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "openssl_handles.hpp"

#include <array>
#include <cstdint>

namespace ringtls::detail {

/// SHA-256 of every setting that decides whom a peer may be and how it is spoken to. Contexts of
/// the same scope may resume each other's sessions: the certificate that a session stands for was
/// accepted by the very same rules.
///
/// Most of it is read from the finished context, where settings leave their traces. One that leaves
/// none there (a callback's verdict, pins) has to be added in session_scope.cpp.
using session_scope = std::array<std::uint8_t, 32>;

/// Throws error.
[[nodiscard]] session_scope scope_of(SSL_CTX* made, const client_settings& from);
[[nodiscard]] session_scope scope_of(SSL_CTX* made, const server_settings& from);

} // namespace ringtls::detail
