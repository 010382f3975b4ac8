// SPDX-License-Identifier: MIT
// What client and server contexts are made with.
#pragma once

#include <ringtls/tls/pem.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

enum class tls_version { tls_1_2, tls_1_3 };

/// The settings that both sides have. Each setter returns the settings, so that they chain;
/// nothing is checked before a context is made of them. Names are OpenSSL's.
template<class Derived>
class tls_settings {
  public:
    /// The oldest version to accept: TLS 1.2 unless set. No older one can be had.
    Derived& minimum_version(tls_version version) noexcept {
        minimum_ = version;
        return self();
    }
    /// The newest version to offer: OpenSSL's newest unless set.
    Derived& maximum_version(tls_version version) noexcept {
        maximum_ = version;
        return self();
    }
    /// Protocols by ALPN (RFC 7301), the preferred one first; each 1 to 255 bytes. A server takes
    /// the first of its own that the client offers, and refuses a client that offers none of them
    /// with the alert no_application_protocol.
    Derived& alpn(std::vector<std::string> protocols) {
        alpn_ = std::move(protocols);
        return self();
    }
    /// Cipher list of TLS 1.2 (openssl-ciphers(1)).
    Derived& ciphers(std::string list) {
        ciphers_ = std::move(list);
        return self();
    }
    /// Cipher suites of TLS 1.3, with colons between them (SSL_CTX_set_ciphersuites(3)).
    Derived& ciphersuites(std::string list) {
        ciphersuites_ = std::move(list);
        return self();
    }
    /// Key exchange groups, the preferred one first (SSL_CTX_set1_groups_list(3)).
    Derived& groups(std::string list) {
        groups_ = std::move(list);
        return self();
    }
    /// Allows the peer to renegotiate a TLS 1.2 connection. Renegotiation has a history of
    /// vulnerabilities (RFC 5746) and costs a server far more than the client that asks for it.
    Derived& danger_allow_renegotiation() noexcept {
        renegotiation_ = true;
        return self();
    }

    [[nodiscard]] tls_version minimum_version() const noexcept { return minimum_; }
    [[nodiscard]] std::optional<tls_version> maximum_version() const noexcept { return maximum_; }
    [[nodiscard]] const std::vector<std::string>& alpn() const noexcept { return alpn_; }
    [[nodiscard]] const std::string& ciphers() const noexcept { return ciphers_; }
    [[nodiscard]] const std::string& ciphersuites() const noexcept { return ciphersuites_; }
    [[nodiscard]] const std::string& groups() const noexcept { return groups_; }
    [[nodiscard]] bool renegotiation() const noexcept { return renegotiation_; }

  private:
    friend Derived;
    tls_settings() = default;
    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    tls_version minimum_ = tls_version::tls_1_2;
    std::optional<tls_version> maximum_;
    std::vector<std::string> alpn_;
    std::string ciphers_;
    std::string ciphersuites_;
    std::string groups_;
    bool renegotiation_ = false;
};

} // namespace ringtls
