// SPDX-License-Identifier: MIT
// PEM into OpenSSL's objects.
#pragma once

#include <ringtls/tls/pem.hpp>

#include "openssl_handles.hpp"

#include <vector>

namespace ringtls::detail {

/// Every certificate in it, at least one. Throws error with errc::invalid_pem, what it was read
/// for, the file and OpenSSL's reason.
[[nodiscard]] std::vector<x509_handle> load_certificates(const pem& from, const char* purpose);

/// The same, but there may be none.
[[nodiscard]] std::vector<x509_handle> find_certificates(const pem& from, const char* purpose);
/// The same for certificate revocation lists, at least one.
[[nodiscard]] std::vector<crl_handle> load_revocation_lists(const pem& from);

/// Throws the same; errc::bad_passphrase if it is encrypted and the passphrase, asked for once, is
/// missing or wrong; and what the callback throws.
[[nodiscard]] key_handle load_private_key(const pem& from,
                                          const passphrase_callback& passphrase = nullptr);

/// A context's own certificate, chain and key, which must match. A context has one for each kind of
/// key: a second of the same kind is refused with errc::invalid_setting.
void use_identity(SSL_CTX* ctx, const identity& self);

/// One connection's, in place of its context's.
void use_identity(SSL* ssl, const identity& self);

} // namespace ringtls::detail
