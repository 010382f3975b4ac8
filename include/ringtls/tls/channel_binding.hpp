// SPDX-License-Identifier: MIT
// What ties an authentication inside a connection to that very connection.
#pragma once

namespace [[gnu::visibility("default")]] ringtls {

/// Kinds of channel binding (RFC 5056), by their IANA names.
enum class channel_binding_type {
    /// "tls-exporter" (RFC 9266): 32 bytes that no other connection has. Of TLS 1.2 only with
    /// extended master secret (RFC 7627).
    tls_exporter,
    /// "tls-server-end-point" (RFC 5929, section 4): the hash of the server's certificate. Not of
    /// certificates whose signature has no hash of its own, such as Ed25519's. Of a resumed
    /// connection the client takes the certificate that it once verified and the server the one
    /// that it has: they differ if the server has several, or has another since.
    tls_server_end_point,
};

} // namespace ringtls
