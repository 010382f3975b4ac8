// SPDX-License-Identifier: MIT
// What a server's connections have in common: who it is, whom it asks for a certificate.
#pragma once

#include <ringtls/tls/settings.hpp>

#include <memory>
#include <utility>
#include <vector>

struct ssl_ctx_st;

namespace ringtls::detail {
class context;
}

namespace [[gnu::visibility("default")]] ringtls {

/// How a server_context is made.
class server_settings final : public tls_settings<server_settings> {
  public:
    explicit server_settings(identity self) : identity_(std::move(self)) {}

    /// Refuses clients without a certificate from one of these authorities. May be called several
    /// times.
    server_settings& require_client_certificate(pem authorities) {
        client_authorities_.push_back(std::move(authorities));
        return *this;
    }
    /// TLS 1.3 tickets sent after a full handshake (SSL_CTX_set_num_tickets(3)): 2 unless set.
    server_settings& tickets(unsigned count) noexcept {
        tickets_ = count;
        return *this;
    }

    [[nodiscard]] const identity& own_identity() const noexcept { return identity_; }
    [[nodiscard]] const std::vector<pem>& client_authorities() const noexcept {
        return client_authorities_;
    }
    [[nodiscard]] unsigned tickets() const noexcept { return tickets_; }

  private:
    identity identity_;
    std::vector<pem> client_authorities_;
    unsigned tickets_ = 2;
};

/// An SSL_CTX for servers (SSL_CTX_new(3)): TLS 1.2 or newer; no compression, no renegotiation.
///
/// Immutable, cheap to copy, and shared freely between threads. Streams keep what they need of it.
class server_context {
  public:
    /// Throws error: errc::invalid_pem, errc::key_mismatch, errc::invalid_setting or OpenSSL's
    /// code, with the file or setting as its subject and OpenSSL's reason.
    explicit server_context(const server_settings& settings);

    /// The SSL_CTX, owned by this object. What is changed through it is the caller's to answer for.
    [[nodiscard]] ssl_ctx_st* native_handle() const noexcept;
    /// The library's own way in.
    [[nodiscard]] const std::shared_ptr<detail::context>& shared() const noexcept {
        return context_;
    }

  private:
    std::shared_ptr<detail::context> context_;
};

} // namespace ringtls
