// SPDX-License-Identifier: MIT
#include "pem_loader.hpp"

#include "../net/system_error.hpp"
#include "failure.hpp"
#include "secret_text.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <exception>

namespace ringtls::detail {
namespace {

std::string about(const char* purpose, const pem& from) {
    return std::string(purpose) + " " + std::string(from.name());
}

/// Which opens as a file does, and only then cannot be read.
bool is_directory(BIO* source) {
    std::FILE* file = nullptr;
    struct stat facts{};
    return BIO_get_fp(source, &file) == 1 && ::fstat(::fileno(file), &facts) == 0 &&
           S_ISDIR(facts.st_mode);
}

bio_handle open(const pem& from, const char* purpose) {
    ERR_clear_error();
    const auto& content = from.content();
    bio_handle source(from.in_memory()
                          ? BIO_new_mem_buf(content.data(), static_cast<int>(content.size()))
                          : BIO_new_file(content.c_str(), "r"));
    if (!source)
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    if (!from.in_memory() && is_directory(source.get()))
        throw system_failure(EISDIR, "load", about(purpose, from));
    return source;
}

/// One key's passphrase. The answer is kept until the key is read, for OpenSSL may ask again.
struct passphrase_request {
    const passphrase_callback& from;
    std::string_view name;
    bool asked = false;
    secret_text answer{};
    std::exception_ptr thrown = nullptr;
};

void ask(passphrase_request& request) noexcept {
    request.asked = true;
    try {
        if (request.from)
            request.answer.assign(request.from(request.name));
    } catch (...) {
        request.thrown = std::current_exception(); // nothing may pass through C
    }
}

/// OpenSSL would ask at the terminal otherwise.
int give_passphrase(char* buffer, int size, int /*writing*/, void* asking) {
    auto& request = *static_cast<passphrase_request*>(asking);
    if (!request.asked)
        ask(request);
    const auto& answer = request.answer.text();
    if (request.thrown || !request.from || answer.size() > static_cast<std::size_t>(size))
        return -1;
    return static_cast<int>(answer.copy(buffer, answer.size()));
}

[[noreturn]] void report(const passphrase_request& request, std::string subject) {
    if (request.thrown) {
        ERR_clear_error();
        std::rethrow_exception(request.thrown);
    }
    if (request.from)
        throw_openssl_error("load", std::move(subject), errc::bad_passphrase);
    ERR_clear_error();
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    details->reason = "it is encrypted";
    throw error(errc::bad_passphrase, "load", std::move(details));
}

/// What is no key, or one of a kind that it does not know, is "unsupported" to OpenSSL.
[[noreturn]] void refuse_key(std::string subject) {
    if (ERR_GET_REASON(ERR_peek_error()) != ERR_R_UNSUPPORTED)
        throw_openssl_error("load", std::move(subject), errc::invalid_pem);
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    details->reason = "no private key that can be read";
    details->chain = take_openssl_errors().chain;
    throw error(errc::invalid_pem, "load", std::move(details));
}

/// Leaves OpenSSL's "no start line" in its queue if there was none.
template<class Handle, class Read>
std::vector<Handle> read_all(const pem& from, const char* purpose, Read read) {
    const auto source = open(from, purpose);
    std::vector<Handle> all;
    passphrase_request nobody{nullptr, from.name()};
    while (Handle next{read(source.get(), nullptr, give_passphrase, &nobody)})
        all.push_back(std::move(next));
    // The loop ends with "no start line": past the last one that is the end, at the first there is
    // none, and any other reason is a broken one.
    const auto last = ERR_peek_last_error();
    if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    return all;
}

template<class Handle>
std::vector<Handle> at_least_one(std::vector<Handle> all, const pem& from, const char* purpose) {
    if (all.empty())
        throw_openssl_error("load", about(purpose, from), errc::invalid_pem);
    ERR_clear_error();
    return all;
}

/// Whether the context has a certificate with such a key.
bool has_kind(SSL_CTX* ctx, const EVP_PKEY* key) {
    const char* const kind = EVP_PKEY_get0_type_name(key);
    for (auto found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); found == 1;
         found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
        if (EVP_PKEY_is_a(X509_get0_pubkey(SSL_CTX_get0_certificate(ctx)), kind) == 1)
            return true;
    return false;
}

} // namespace

std::vector<x509_handle> find_certificates(const pem& from, const char* purpose) {
    return read_all<x509_handle>(from, purpose, PEM_read_bio_X509_AUX);
}

std::vector<x509_handle> load_certificates(const pem& from, const char* purpose) {
    return at_least_one(find_certificates(from, purpose), from, purpose);
}

std::vector<crl_handle> load_revocation_lists(const pem& from) {
    constexpr const char* purpose = "CRL";
    return at_least_one(read_all<crl_handle>(from, purpose, PEM_read_bio_X509_CRL), from, purpose);
}

key_handle load_private_key(const pem& from, const passphrase_callback& passphrase) {
    constexpr const char* purpose = "private key";
    const auto source = open(from, purpose);
    passphrase_request request{passphrase, from.name()};
    key_handle key(PEM_read_bio_PrivateKey(source.get(), nullptr, give_passphrase, &request));
    if (!key && request.asked)
        report(request, about(purpose, from));
    if (!key)
        refuse_key(about(purpose, from));
    ERR_clear_error();
    return key;
}

void use_identity(SSL_CTX* ctx, const identity& self) {
    auto chain = load_certificates(self.chain, "certificate");
    const auto key = load_private_key(self.key, self.passphrase);
    const auto certificate_name = about("certificate", self.chain);
    const auto key_name = about("private key", self.key);
    if (has_kind(ctx, key.get()))
        refuse_setting("identity", certificate_name,
                       "a second certificate with a key of the kind " +
                           std::string(EVP_PKEY_get0_type_name(key.get())));
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

void use_identity(SSL* ssl, const identity& self) {
    auto all = load_certificates(self.chain, "certificate");
    const auto key = load_private_key(self.key, self.passphrase);
    check_openssl(X509_check_private_key(all.front().get(), key.get()), "load",
                  about("private key", self.key), errc::key_mismatch);
    const chain_handle chain(check_openssl(sk_X509_new_null(), "sk_X509_new_null"));
    for (std::size_t i = 1; i < all.size(); ++i) {
        check_openssl(sk_X509_push(chain.get(), all[i].get()), "sk_X509_push");
        static_cast<void>(all[i].release()); // the chain's now
    }
    SSL_certs_clear(ssl); // another kind of key would be chosen beside it
    check_openssl(SSL_use_cert_and_key(ssl, all.front().get(), key.get(), chain.get(), 1), "load",
                  about("certificate", self.chain));
}

} // namespace ringtls::detail
