// SPDX-License-Identifier: MIT
#include "pem_loader.hpp"

#include "failure.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace ringtls::detail {
namespace {

std::string about(const char* purpose, const pem& from) {
    return std::string(purpose) + " " + std::string(from.name());
}

bio_handle open(const pem& from, const char* purpose) {
    ERR_clear_error();
    const auto& content = from.content();
    bio_handle source(from.in_memory()
                          ? BIO_new_mem_buf(content.data(), static_cast<int>(content.size()))
                          : BIO_new_file(content.c_str(), "r"));
    if (!source)
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    return source;
}

/// OpenSSL would ask at the terminal otherwise.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

} // namespace

std::vector<x509_handle> load_certificates(const pem& from, const char* purpose) {
    const auto source = open(from, purpose);
    std::vector<x509_handle> all;
    bool asked = false;
    while (
        x509_handle next{PEM_read_bio_X509_AUX(source.get(), nullptr, refuse_passphrase, &asked)})
        all.push_back(std::move(next));
    // The loop ends with "no start line": past the last certificate that is the end, at the first
    // it is an empty file, and any other reason is a broken one.
    const auto last = ERR_peek_last_error();
    if (all.empty() || ERR_GET_LIB(last) != ERR_LIB_PEM ||
        ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    ERR_clear_error();
    return all;
}

key_handle load_private_key(const pem& from) {
    constexpr const char* purpose = "private key";
    const auto source = open(from, purpose);
    bool asked = false;
    key_handle key(PEM_read_bio_PrivateKey(source.get(), nullptr, refuse_passphrase, &asked));
    if (asked) {
        ERR_clear_error();
        auto details = std::make_shared<error_details>();
        details->subject = about(purpose, from);
        details->reason = "it is encrypted";
        throw error(errc::invalid_pem, "load", std::move(details));
    }
    if (!key)
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    return key;
}

void use_identity(SSL_CTX* ctx, const identity& self) {
    auto chain = load_certificates(self.chain, "certificate");
    const auto key = load_private_key(self.key);
    const auto certificate_name = about("certificate", self.chain);
    const auto key_name = about("private key", self.key);
    ERR_clear_error();
    check_openssl(SSL_CTX_use_certificate(ctx, chain.front().get()), "load", certificate_name);
    for (std::size_t i = 1; i < chain.size(); ++i) {
        check_openssl(SSL_CTX_add0_chain_cert(ctx, chain[i].get()), "load", certificate_name);
        static_cast<void>(chain[i].release()); // the context's now
    }
    check_openssl(X509_check_private_key(chain.front().get(), key.get()), "load", key_name,
                  errc::key_mismatch);
    check_openssl(SSL_CTX_use_PrivateKey(ctx, key.get()), "load", key_name);
}

void trust(SSL_CTX* ctx, const pem& authorities) {
    X509_STORE* const store = SSL_CTX_get_cert_store(ctx);
    const auto name = about("CA", authorities);
    for (const auto& certificate : load_certificates(authorities, "CA"))
        check_openssl(X509_STORE_add_cert(store, certificate.get()), "trust", name);
}

} // namespace ringtls::detail
