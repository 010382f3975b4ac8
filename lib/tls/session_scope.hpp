// SPDX-License-Identifier: MIT
// What a session is bound to besides its server's name.
#pragma once

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "openssl_handles.hpp"

#include <array>
#include <cstdint>
#include <string_view>

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

/// A server that was chosen by the name that a client asked for resumes the sessions of that name
/// alone (RFC 6066, section 3). Throws error.
void bind_sessions(SSL* to, const session_scope& scope, std::string_view server_name);

} // namespace ringtls::detail
