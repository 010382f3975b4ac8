// SPDX-License-Identifier: MIT
// Whose certificates are accepted.
#pragma once

#include <ringtls/tls/pem.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// Which certificates of a chain are looked up in revocation lists.
enum class revocation_scope {
    chain,     ///< the peer's own and its authorities: needs the list of each
    peer_only, ///< the peer's own alone
};

/// What a client demands of servers' certificates, and a server of its clients'. A chain has to end
/// in a certificate that is trusted here (RFC 5280, section 6), a root's, another authority's or
/// the peer's own, to be valid now, and to be made for the peer's part: TLS server or TLS client
/// (section 4.2.1.12). Everything but the system's roots is read when a context is made.
template<class Derived>
class trust_settings {
  public:
    /// Trusts the certificates in this PEM. May be called several times.
    Derived& trust(pem authorities) {
        trusted_.push_back(std::move(authorities));
        return self();
    }
    /// Trusts the certificates in the PEM files of this directory, whatever their names; hidden
    /// files, directories in it and files without a certificate are passed over. Refused if there
    /// is none at all.
    Derived& trust_directory(std::string path) {
        directories_.push_back(std::move(path));
        return self();
    }
    /// Trusts the system's roots beside the others (SSL_CTX_set_default_verify_paths(3)).
    Derived& trust_system_roots() noexcept {
        system_roots_ = true;
        return self();
    }
    /// Refuses what these lists revoke (CRLs in PEM, RFC 5280, section 5), and what no valid list
    /// speaks for. May be called several times; the last scope counts.
    Derived& check_revocation(pem lists,
                              ringtls::revocation_scope scope = ringtls::revocation_scope::chain) {
        revocation_lists_.push_back(std::move(lists));
        revocation_scope_ = scope;
        return self();
    }
    /// Refuses the peer with errc::pin_mismatch, its chain accepted, unless its own certificate has
    /// this SHA-256, or that of another call, or its key one of pin_public_key(): in hexadecimal,
    /// with or without colons, as certificate::fingerprint() has it, or in base64. To pin an
    /// authority, trust that alone.
    Derived& pin_certificate(std::string sha256) {
        certificate_pins_.push_back(std::move(sha256));
        return self();
    }
    /// The same for its public key (RFC 7469, section 2.4): certificate::key_fingerprint().
    Derived& pin_public_key(std::string sha256) {
        key_pins_.push_back(std::move(sha256));
        return self();
    }
    /// The most certificates allowed between the peer's own and the trusted one
    /// (SSL_CTX_set_verify_depth(3)): 100 unless set, and never more.
    Derived& verify_depth(unsigned most) noexcept {
        verify_depth_ = most;
        return self();
    }
    /// Accepts certificates that were made for something else: whoever holds one of the same
    /// authorities, for signing mail or as a client, can then pass as the peer.
    Derived& danger_accept_any_purpose() noexcept {
        any_purpose_ = true;
        return self();
    }

    [[nodiscard]] const std::vector<pem>& trusted() const noexcept { return trusted_; }
    [[nodiscard]] const std::vector<std::string>& trusted_directories() const noexcept {
        return directories_;
    }
    [[nodiscard]] bool system_roots() const noexcept { return system_roots_; }
    [[nodiscard]] const std::vector<pem>& revocation_lists() const noexcept {
        return revocation_lists_;
    }
    [[nodiscard]] ringtls::revocation_scope revocation_scope() const noexcept {
        return revocation_scope_;
    }
    [[nodiscard]] const std::vector<std::string>& certificate_pins() const noexcept {
        return certificate_pins_;
    }
    [[nodiscard]] const std::vector<std::string>& public_key_pins() const noexcept {
        return key_pins_;
    }
    [[nodiscard]] std::optional<unsigned> verify_depth() const noexcept { return verify_depth_; }
    [[nodiscard]] bool accepts_any_purpose() const noexcept { return any_purpose_; }

  private:
    friend Derived;
    trust_settings() = default;
    Derived& self() noexcept { return static_cast<Derived&>(*this); }

    std::vector<pem> trusted_;
    std::vector<std::string> directories_;
    bool system_roots_ = false;
    std::vector<pem> revocation_lists_;
    ringtls::revocation_scope revocation_scope_ = ringtls::revocation_scope::chain;
    std::vector<std::string> certificate_pins_;
    std::vector<std::string> key_pins_;
    std::optional<unsigned> verify_depth_;
    bool any_purpose_ = false;
};

} // namespace ringtls
