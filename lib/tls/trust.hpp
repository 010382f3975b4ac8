// SPDX-License-Identifier: MIT
// Whom a context trusts: what OpenSSL is told, and the pins, which it does not know.
#pragma once

#include <ringtls/tls/certificate.hpp>

#include "openssl_handles.hpp"

#include <string>
#include <vector>

namespace ringtls::detail {

/// Authorities, revocation lists, depth and purpose. Returns the authorities, but for the system's.
/// Throws error with what cannot be read. Settings: client_settings or server_settings.
template<class Settings>
std::vector<x509_handle> apply_trust(SSL_CTX* ctx, const Settings& settings);

/// The certificates and public keys of which the peer must have one. Immutable once made.
class pin_set {
  public:
    /// Throws error with errc::invalid_setting and the pin that is none.
    pin_set(const std::vector<std::string>& certificates, const std::vector<std::string>& keys);

    [[nodiscard]] bool empty() const noexcept { return certificates_.empty() && keys_.empty(); }

    /// Whether a peer whose chain is accepted is one of them, if there are any; otherwise the store
    /// has the error.
    [[nodiscard]] bool accept(X509_STORE_CTX* store) const noexcept;

    /// For SSL_CTX_set_cert_verify_callback(3), with the set as argument: verifies the chain, and
    /// then the pins.
    static int verify_all(X509_STORE_CTX* store, void* pins);
    /// The pins decide alone. What else is wrong is left in the verify result.
    static int verify_pins(X509_STORE_CTX* store, void* pins);

  private:
    [[nodiscard]] bool match(const X509& own) const noexcept;
    [[nodiscard]] int judge(X509_STORE_CTX* store) const noexcept;

    std::vector<sha256_digest> certificates_;
    std::vector<sha256_digest> keys_;
};

} // namespace ringtls::detail
