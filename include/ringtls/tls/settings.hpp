// SPDX-License-Identifier: MIT
// What client and server contexts are made with.
#pragma once

#include <ringtls/tls/decisions.hpp>
#include <ringtls/tls/pem.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

enum class tls_version { tls_1_2, tls_1_3 };

/// Configurations of Mozilla's guidelines (Server Side TLS, version 6.0).
enum class tls_preset {
    modern,       ///< TLS 1.3 alone
    intermediate, ///< and TLS 1.2, with forward secrecy and authenticated encryption
};

/// The settings that both sides have. Each setter returns the settings, so that they chain;
/// nothing is checked before a context is made of them. Names are OpenSSL's; one that it does not
/// know is refused with errc::invalid_setting, and is the error's subject.
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
    /// Cipher list of TLS 1.2 (openssl-ciphers(1)), the preferred one first: of what both sides
    /// have, the server's order decides, but a client that prefers ChaCha20 gets it. Beyond what
    /// OpenSSL refuses, a name that it does not know is refused also beside others that it does,
    /// and so is a lower @SECLEVEL.
    Derived& ciphers(std::string list) {
        ciphers_ = std::move(list);
        return self();
    }
    /// The same for the cipher suites of TLS 1.3, with colons between them
    /// (SSL_CTX_set_ciphersuites(3)).
    Derived& ciphersuites(std::string list) {
        ciphersuites_ = std::move(list);
        return self();
    }
    /// Key exchange groups with colons between them, the preferred one first
    /// (SSL_CTX_set1_groups_list(3)). One with a question mark in front is left out where OpenSSL
    /// does not have it: "?X25519MLKEM768:X25519" is post-quantum with OpenSSL 3.5.
    Derived& groups(std::string list) {
        groups_ = std::move(list);
        return self();
    }
    /// Signature algorithms to accept of the peer and to sign with, with colons between them, the
    /// preferred one first (SSL_CTX_set1_sigalgs_list(3)).
    Derived& signature_algorithms(std::string list) {
        signature_algorithms_ = std::move(list);
        return self();
    }
    /// Sets versions, ciphers, suites and groups to a configuration of the guidelines, with the
    /// post-quantum group where OpenSSL has it. What is called after this changes them.
    Derived& preset(tls_preset which) {
        const bool modern = which == tls_preset::modern;
        minimum_ = modern ? tls_version::tls_1_3 : tls_version::tls_1_2;
        maximum_.reset();
        ciphers_ = modern ? ""
                          : "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                            "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
        ciphersuites_ =
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
        groups_ = "?X25519MLKEM768:X25519:prime256v1:secp384r1";
        return self();
    }
    /// OpenSSL's security level, 0 to 5 (SSL_CTX_set_security_level(3)), in place of the system's,
    /// usually 1 or 2: below it are keys and signatures that can be broken, at 0 connections
    /// without encryption or without authentication.
    Derived& danger_security_level(unsigned level) noexcept {
        security_level_ = level;
        return self();
    }
    /// Has the application choose the identity when one is needed: a server's in every handshake
    /// that resumes no session, a client's if the server asks for one (SSL_CTX_set_cert_cb(3)).
    /// See decisions.hpp.
    Derived& on_certificate_needed(certificate_decision ask) {
        certificate_ = std::move(ask);
        return self();
    }
    /// Allows the peer to renegotiate a TLS 1.2 connection. Renegotiation has a history of
    /// vulnerabilities (RFC 5746) and costs a server far more than the client that asks for it.
    Derived& danger_allow_renegotiation() noexcept {
        renegotiation_ = true;
        return self();
    }
    /// Logs the secrets of every connection, one line each in the format of NSS
    /// (SSL_CTX_set_keylog_callback(3)), for tools that decrypt recordings: whoever reads them can
    /// read the connections. The callback gets lines without their end, from whichever thread a
    /// connection is on; what it throws is dropped.
    Derived& danger_log_keys(std::function<void(std::string_view line)> to) {
        key_log_ = std::move(to);
        return self();
    }
    /// The same, appended to the file that the environment's SSLKEYLOGFILE names when the context
    /// is made, if it names one. Nothing looks at that variable otherwise. A file that cannot be
    /// opened is the context's error, with the system's code.
    Derived& danger_log_keys_to_sslkeylogfile() noexcept {
        sslkeylogfile_ = true;
        return self();
    }

    [[nodiscard]] tls_version minimum_version() const noexcept { return minimum_; }
    [[nodiscard]] std::optional<tls_version> maximum_version() const noexcept { return maximum_; }
    [[nodiscard]] const std::vector<std::string>& alpn() const noexcept { return alpn_; }
    [[nodiscard]] const std::string& ciphers() const noexcept { return ciphers_; }
    [[nodiscard]] const std::string& ciphersuites() const noexcept { return ciphersuites_; }
    [[nodiscard]] const std::string& groups() const noexcept { return groups_; }
    [[nodiscard]] const std::string& signature_algorithms() const noexcept {
        return signature_algorithms_;
    }
    [[nodiscard]] std::optional<unsigned> security_level() const noexcept {
        return security_level_;
    }
    [[nodiscard]] const certificate_decision& certificate_needed() const noexcept {
        return certificate_;
    }
    [[nodiscard]] bool renegotiation() const noexcept { return renegotiation_; }
    [[nodiscard]] const std::function<void(std::string_view)>& key_log() const noexcept {
        return key_log_;
    }
    [[nodiscard]] bool sslkeylogfile() const noexcept { return sslkeylogfile_; }

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
    std::string signature_algorithms_;
    std::optional<unsigned> security_level_;
    certificate_decision certificate_;
    bool renegotiation_ = false;
    std::function<void(std::string_view)> key_log_;
    bool sslkeylogfile_ = false;
};

} // namespace ringtls
