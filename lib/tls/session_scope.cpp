// SPDX-License-Identifier: MIT
#include "session_scope.hpp"

#include "failure.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace ringtls::detail {
namespace {

using digest_handle = unique_handle<EVP_MD_CTX, EVP_MD_CTX_free>;

/// Each item goes in with a label and its size, so that no two lists of items look the same.
class digest {
  public:
    digest() : state_(check_openssl(EVP_MD_CTX_new(), "EVP_MD_CTX_new")) {
        check_openssl(EVP_DigestInit_ex(state_.get(), EVP_sha256(), nullptr), "SHA-256");
    }
    digest& add(std::string_view label, std::string_view value) {
        for (const auto part : {label, value}) {
            const std::string size = std::to_string(part.size()) + ":";
            update(size);
            update(part);
        }
        return *this;
    }
    digest& add(std::string_view label, std::uint64_t value) {
        return add(label, std::to_string(value));
    }
    [[nodiscard]] session_scope finish() {
        session_scope sum{};
        check_openssl(EVP_DigestFinal_ex(state_.get(), sum.data(), nullptr), "SHA-256");
        return sum;
    }

  private:
    void update(std::string_view bytes) {
        check_openssl(EVP_DigestUpdate(state_.get(), bytes.data(), bytes.size()), "SHA-256");
    }

    digest_handle state_;
};

template<class T>
std::string fingerprint(const T* object,
                        int (*digest_of)(const T*, const EVP_MD*, unsigned char*, unsigned int*)) {
    std::string sum(32, '\0');
    check_openssl(
        digest_of(object, EVP_sha256(), reinterpret_cast<unsigned char*>(sum.data()), nullptr),
        "SHA-256");
    return sum;
}

/// Certificates and revocation lists, in whichever order they were added. Nobody else has the store
/// yet, so that it need not be locked.
void add_store(digest& to, const SSL_CTX* made) {
    std::vector<std::string> sums;
    const auto* const all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(made));
    for (int i = 0; i < sk_X509_OBJECT_num(all); ++i) {
        const X509_OBJECT* const each = sk_X509_OBJECT_value(all, i);
        if (const X509* const certificate = X509_OBJECT_get0_X509(each))
            sums.push_back(fingerprint(certificate, X509_digest));
        else if (const X509_CRL* const list = X509_OBJECT_get0_X509_CRL(each))
            sums.push_back(fingerprint(list, X509_CRL_digest));
    }
    std::ranges::sort(sums);
    for (const auto& each : sums)
        to.add("trusted", each);
}

template<class Settings>
void add_verification(digest& to, SSL_CTX* made, const Settings& from) {
    X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(made);
    to.add("any purpose", from.accepts_any_purpose()).add("system roots", from.system_roots());
    for (const auto& pin : from.certificate_pins())
        to.add("certificate pin", pin);
    for (const auto& pin : from.public_key_pins())
        to.add("public key pin", pin);
    to.add("verify mode", static_cast<std::uint64_t>(SSL_CTX_get_verify_mode(made)))
        .add("verify flags", X509_VERIFY_PARAM_get_flags(rules))
        .add("verify depth", static_cast<std::uint64_t>(X509_VERIFY_PARAM_get_depth(rules)))
        .add("auth level", static_cast<std::uint64_t>(X509_VERIFY_PARAM_get_auth_level(rules)))
        .add("security level", static_cast<std::uint64_t>(SSL_CTX_get_security_level(made)));
    add_store(to, made);
}

} // namespace

session_scope scope_of(SSL_CTX* made, const client_settings& from) {
    digest sum;
    add_verification(sum, made, from);
    sum.add("oldest", static_cast<std::uint64_t>(SSL_CTX_get_min_proto_version(made)))
        .add("newest", static_cast<std::uint64_t>(SSL_CTX_get_max_proto_version(made)))
        .add("options", SSL_CTX_get_options(made))
        .add("groups", from.groups())
        .add("signature algorithms", from.signature_algorithms())
        .add("any name", from.accepts_any_name())
        .add("stapled OCSP", from.requires_stapled_ocsp());
    for (const auto& protocol : from.alpn()) // which early data would be meant for
        sum.add("alpn", protocol);
    const auto* const ciphers = SSL_CTX_get_ciphers(made);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i)
        sum.add("cipher", SSL_CIPHER_get_id(sk_SSL_CIPHER_value(ciphers, i)));
    if (from.server_certificate() || from.certificate_needed()) { // which may answer otherwise
        std::array<unsigned char, 16> unique{};
        check_openssl(RAND_bytes(unique.data(), unique.size()), "RAND_bytes");
        sum.add("decisions", std::string(unique.begin(), unique.end()));
    }
    if (const X509* const own = SSL_CTX_get0_certificate(made))
        sum.add("own certificate", fingerprint(own, X509_digest));
    return sum.finish();
}

void bind_sessions(SSL* to, const session_scope& scope, std::string_view server_name) {
    std::string name(server_name);
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    digest sum;
    sum.add("scope", std::string_view(reinterpret_cast<const char*>(scope.data()), scope.size()))
        .add("server name", name);
    const auto bound = sum.finish();
    check_openssl(SSL_set_session_id_context(to, bound.data(), static_cast<unsigned>(bound.size())),
                  "session id context");
}

/// What a client had to prove. Servers of a fleet may differ in all else.
session_scope scope_of(SSL_CTX* made, const server_settings& from) {
    digest sum;
    add_verification(sum, made, from);
    return sum.finish();
}

} // namespace ringtls::detail
