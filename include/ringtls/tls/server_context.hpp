// SPDX-License-Identifier: MIT
// What a server's connections have in common: who it is, whom it asks for a certificate.
#pragma once

#include <ringtls/tls/settings.hpp>
#include <ringtls/tls/ticket_keys.hpp>
#include <ringtls/tls/trust.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

struct ssl_ctx_st;

namespace ringtls::detail {
class context;
}

namespace [[gnu::visibility("default")]] ringtls {

/// Whether a server asks its clients for a certificate.
enum class client_certificate { not_asked, requested, required };

/// How a server_context is made. Whom to trust concerns clients' certificates: it is refused if
/// they are not asked for, and so is asking for them with nobody to trust.
class server_settings final : public tls_settings<server_settings>,
                              public trust_settings<server_settings> {
  public:
    explicit server_settings(identity self) { identities_.push_back(std::move(self)); }

    /// Has this certificate too, with another kind of key (ECDSA beside RSA, RFC 8446, section
    /// 4.4.2.2): OpenSSL presents the one that the client's signature algorithms, and in TLS 1.2
    /// the ciphers, allow.
    server_settings& also_identify_as(identity other) {
        identities_.push_back(std::move(other));
        return *this;
    }

    /// Refuses clients without a certificate of those whom trust() and the like name. These names
    /// are sent, but for the system's roots, to tell clients which of their certificates would do.
    server_settings& require_client_certificate() noexcept {
        client_certificates_ = client_certificate::required;
        return *this;
    }
    /// The same, and trusts these authorities. May be called several times.
    server_settings& require_client_certificate(pem authorities) {
        return trust(std::move(authorities)).require_client_certificate();
    }
    /// Asks clients for a certificate and refuses one that is not trusted, but serves clients that
    /// present none: connection_info::peer tells. What require_client_certificate() demands stays
    /// demanded.
    server_settings& request_client_certificate() noexcept {
        if (client_certificates_ == client_certificate::not_asked)
            client_certificates_ = client_certificate::requested;
        return *this;
    }
    /// The same, and trusts these authorities. May be called several times.
    server_settings& request_client_certificate(pem authorities) {
        return trust(std::move(authorities)).request_client_certificate();
    }
    /// Accepts so many bytes of early data (RFC 8446, section 2.3), for stream::read_early(): none
    /// unless set. OpenSSL keeps sessions of TLS 1.3 in this context's memory then, to let each be
    /// used once (RFC 8446, section 8.1), and no other context can resume them. invalid_setting if
    /// tickets() is 0. Nothing for `server`, which shakes hands before its handler is called.
    server_settings& early_data(std::uint32_t bytes) noexcept {
        early_data_ = bytes;
        return *this;
    }
    /// Staples the OCSP response in this file (DER) for clients that ask (RFC 6066, section 8).
    /// Read when the context is made: errc::invalid_setting if it is none, or if the server has
    /// more than one certificate.
    server_settings& staple_ocsp_file(std::string path) {
        ocsp_file_ = std::move(path);
        return *this;
    }
    /// Staples what this returns, in DER; empty: nothing. Called in each handshake whose client
    /// asks, on whichever thread that is: it must not wait. What it throws counts as empty.
    server_settings& staple_ocsp(std::function<std::vector<std::byte>()> source) {
        ocsp_source_ = std::move(source);
        return *this;
    }
    /// TLS 1.3 tickets sent after a full handshake, one after a resumed one
    /// (SSL_CTX_set_num_tickets(3)): 2 unless set. 0: no session is resumed, of TLS 1.2 either.
    server_settings& tickets(unsigned count) noexcept {
        tickets_ = count;
        return *this;
    }
    /// Seals tickets with these keys, which other contexts, processes and machines may have too.
    /// Unless set, with keys of this context's own, which rotate by themselves.
    server_settings& seal_tickets_with(ringtls::ticket_keys keys) {
        ticket_keys_ = std::move(keys);
        return *this;
    }
    /// How long a session can be resumed: 2 hours unless set; from a second to 7 days (RFC 8446,
    /// section 4.6.1), and no longer than the ticket keys' period. A resumed connection makes new
    /// sessions, which last as long again, but of a client whose certificate has expired none is
    /// resumed from its ticket (with early data, sessions are not in tickets).
    server_settings& session_lifetime(std::chrono::seconds lifetime) noexcept {
        session_lifetime_ = lifetime;
        return *this;
    }

    /// Has the application look at each ClientHello before anything is made of it, and choose the
    /// context to go on with (SSL_CTX_set_client_hello_cb(3)). See decisions.hpp.
    server_settings& on_client_hello(client_hello_decision ask) {
        hello_ = std::move(ask);
        return *this;
    }
    /// Computes JA4 of each client, for connection_info.
    server_settings& fingerprint_clients() noexcept {
        fingerprint_ = true;
        return *this;
    }

    [[nodiscard]] const identity& own_identity() const noexcept { return identities_.front(); }
    /// With those of also_identify_as().
    [[nodiscard]] const std::vector<identity>& identities() const noexcept { return identities_; }
    [[nodiscard]] client_certificate client_certificates() const noexcept {
        return client_certificates_;
    }
    [[nodiscard]] const std::vector<pem>& client_authorities() const noexcept { return trusted(); }
    [[nodiscard]] std::uint32_t early_data() const noexcept { return early_data_; }
    [[nodiscard]] const std::string& ocsp_file() const noexcept { return ocsp_file_; }
    [[nodiscard]] const std::function<std::vector<std::byte>()>& ocsp_source() const noexcept {
        return ocsp_source_;
    }
    [[nodiscard]] const client_hello_decision& client_hello() const noexcept { return hello_; }
    [[nodiscard]] bool fingerprints_clients() const noexcept { return fingerprint_; }
    [[nodiscard]] unsigned tickets() const noexcept { return tickets_; }
    [[nodiscard]] const std::optional<ringtls::ticket_keys>& ticket_keys() const noexcept {
        return ticket_keys_;
    }
    [[nodiscard]] std::chrono::seconds session_lifetime() const noexcept {
        return session_lifetime_;
    }

  private:
    std::vector<identity> identities_;
    client_certificate client_certificates_ = client_certificate::not_asked;
    std::uint32_t early_data_ = 0;
    std::string ocsp_file_;
    std::function<std::vector<std::byte>()> ocsp_source_;
    client_hello_decision hello_;
    bool fingerprint_ = false;
    unsigned tickets_ = 2;
    std::optional<ringtls::ticket_keys> ticket_keys_;
    std::chrono::seconds session_lifetime_ = std::chrono::hours(2);
};

class server_names;

/// An SSL_CTX for servers (SSL_CTX_new(3)): TLS 1.2 or newer; no compression, no renegotiation.
///
/// Immutable, cheap to copy, and shared freely between threads. Streams keep what they need of it.
class server_context {
  public:
    /// Throws error: errc::invalid_pem, errc::bad_passphrase, errc::key_mismatch,
    /// errc::invalid_setting or OpenSSL's code, with the file or setting as its subject and
    /// OpenSSL's reason. And what a passphrase_callback throws.
    explicit server_context(const server_settings& settings);
    /// Serves each client by the context that its server name maps to (server_names.hpp), all of
    /// whose settings take effect; sessions are resumed under the name they were made for. Throws
    /// error with errc::invalid_setting and the name as its subject.
    explicit server_context(const server_names& names);

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
