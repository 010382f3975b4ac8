// SPDX-License-Identifier: MIT
// What a client's connections have in common: whom it trusts, who it is, what it offers.
#pragma once

#include <ringtls/tls/session.hpp>
#include <ringtls/tls/settings.hpp>
#include <ringtls/tls/trust.hpp>

#include <memory>
#include <optional>
#include <utility>

struct ssl_ctx_st;

namespace ringtls::detail {
class context;
}

namespace [[gnu::visibility("default")]] ringtls {

/// How a client_context is made. With trust() or trust_directory() the system's roots are no longer
/// trusted unless they are asked for too.
class client_settings final : public tls_settings<client_settings>,
                              public trust_settings<client_settings> {
  public:
    /// Presents this certificate to a server that asks for one.
    client_settings& identify_as(identity self) {
        identity_ = std::move(self);
        return *this;
    }
    /// Has the application judge each certificate that a server presents, after OpenSSL has
    /// verified it (SSL_set_retry_verify(3), OpenSSL 3.0.2). A session that was
    /// accepted against OpenSSL's objection is not resumed; another is, without asking again, by
    /// this context alone. Not with danger_accept_any_certificate(), which judges nothing. See
    /// decisions.hpp.
    client_settings& on_server_certificate(server_certificate_decision ask) {
        verify_ = std::move(ask);
        return *this;
    }
    /// Accepts whatever certificate comes: no protection against anyone on the way, unless it is
    /// pinned. The verify result is still in connection_info.
    client_settings& danger_accept_any_certificate() noexcept {
        accept_any_ = true;
        return *this;
    }
    /// Refuses a server, with errc::ocsp_refused, unless it staples an OCSP response (RFC 6066,
    /// section 8) that is signed by its certificate's issuer, or by a responder that the issuer has
    /// certified, in force, and says that the certificate is good. A resumed session counts as it
    /// was accepted.
    client_settings& require_stapled_ocsp() noexcept {
        stapled_ocsp_ = true;
        return *this;
    }
    /// Keeps sessions in this cache and resumes them: unless set, each connection starts anew, and
    /// nobody can tell that two were the same client's. A resumed handshake sends no certificates;
    /// what was verified then counts for as long as the session lives, and those that the server
    /// sends in resumed connections: until the certificate expires, if it goes on so.
    client_settings& sessions(session_cache cache) {
        sessions_ = std::move(cache);
        return *this;
    }

    /// Does not compare the name with the certificate's: whoever has a certificate of a trusted
    /// authority, for whatever name, can pass as the server.
    client_settings& danger_accept_any_name() noexcept {
        any_name_ = true;
        return *this;
    }

    [[nodiscard]] bool system_roots() const noexcept {
        return trust_settings::system_roots() ||
               (trusted().empty() && trusted_directories().empty());
    }
    [[nodiscard]] const std::optional<identity>& own_identity() const noexcept { return identity_; }
    [[nodiscard]] const server_certificate_decision& server_certificate() const noexcept {
        return verify_;
    }
    [[nodiscard]] bool accepts_any_certificate() const noexcept { return accept_any_; }
    [[nodiscard]] bool accepts_any_name() const noexcept { return any_name_; }
    [[nodiscard]] bool requires_stapled_ocsp() const noexcept { return stapled_ocsp_; }
    [[nodiscard]] const std::optional<session_cache>& sessions() const noexcept {
        return sessions_;
    }

  private:
    std::optional<identity> identity_;
    server_certificate_decision verify_;
    bool accept_any_ = false;
    bool any_name_ = false;
    bool stapled_ocsp_ = false;
    std::optional<session_cache> sessions_;
};

/// An SSL_CTX for clients (SSL_CTX_new(3)): verifies the server's chain against the system's roots,
/// and the name that each stream is given; TLS 1.2 or newer; no compression, no renegotiation.
///
/// Immutable, cheap to copy, and shared freely between threads. Streams keep what they need of it.
class client_context {
  public:
    /// Throws error: errc::invalid_pem, errc::bad_passphrase, errc::key_mismatch,
    /// errc::invalid_setting or OpenSSL's code, with the file or setting as its subject and
    /// OpenSSL's reason. And what a passphrase_callback throws.
    explicit client_context(const client_settings& settings = {});

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
