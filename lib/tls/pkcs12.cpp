// SPDX-License-Identifier: MIT
#include <ringtls/tls/pkcs12.hpp>

#include "failure.hpp"
#include "identity_writer.hpp"
#include "secret_text.hpp"

#include <openssl/err.h>
#include <openssl/pkcs12.h>

#include <vector>

namespace ringtls {
namespace {

using pkcs12_handle = detail::unique_handle<PKCS12, PKCS12_free>;

void free_certificates(STACK_OF(X509) * all) {
    sk_X509_pop_free(all, X509_free);
}
using certificates_handle = detail::unique_handle<STACK_OF(X509), free_certificates>;

constexpr std::string_view operation = "load";

struct content {
    detail::key_handle key;
    detail::x509_handle own;
    certificates_handle others;
};

[[noreturn]] void refuse(const std::string& subject, const char* reason) {
    auto details = std::make_shared<error_details>();
    details->subject = subject;
    details->reason = reason;
    throw error(errc::invalid_pem, operation, std::move(details));
}

content open_bundle(PKCS12* bundle, const std::string& name, const std::string& subject,
                    const passphrase_callback& passphrase) {
    detail::secret_text answer;
    if (passphrase)
        answer.assign(passphrase(name));
    EVP_PKEY* key = nullptr;
    X509* own = nullptr;
    STACK_OF(X509)* others = nullptr;
    ERR_clear_error();
    if (PKCS12_parse(bundle, answer.text().c_str(), &key, &own, &others) != 1) {
        const bool wrong = ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE;
        detail::throw_openssl_error(operation, subject,
                                    wrong ? errc::bad_passphrase : errc::invalid_pem);
    }
    content made{detail::key_handle(key), detail::x509_handle(own), certificates_handle(others)};
    if (!made.key)
        refuse(subject, "it holds no private key");
    if (!made.own)
        refuse(subject, "it holds no certificate of its key");
    return made;
}

X509* issuer_in(const STACK_OF(X509) * all, X509* of) {
    for (int i = 0; i < sk_X509_num(all); ++i)
        if (X509_check_issued(sk_X509_value(all, i), of) == X509_V_OK)
            return sk_X509_value(all, i);
    return nullptr;
}

/// From the own certificate up, for bundles keep no order, and TLS 1.2 requires it (RFC 5246,
/// section 7.4.2).
std::vector<X509*> in_order(const content& from) {
    std::vector<X509*> chain = {from.own.get()};
    const auto most = static_cast<std::size_t>(sk_X509_num(from.others.get()) + 1);
    while (chain.size() <= most) {
        X509* const next = issuer_in(from.others.get(), chain.back());
        if (!next || X509_cmp(next, chain.back()) == 0)
            break;
        chain.push_back(next);
    }
    return chain;
}

identity read_from(const detail::bio_handle& source, const std::string& name,
                   const passphrase_callback& passphrase) {
    const auto subject = "PKCS#12 " + name;
    pkcs12_handle bundle(source ? d2i_PKCS12_bio(source.get(), nullptr) : nullptr);
    if (!bundle)
        detail::throw_openssl_error(operation, subject, errc::invalid_pem);
    const auto all = open_bundle(bundle.get(), name, subject, passphrase);
    return detail::write_identity(in_order(all), all.key.get(), operation);
}

} // namespace

identity pkcs12_file(const std::string& path, const passphrase_callback& passphrase) {
    ERR_clear_error();
    return read_from(detail::bio_handle(BIO_new_file(path.c_str(), "rb")), path, passphrase);
}

identity pkcs12_data(std::span<const std::uint8_t> bundle, const passphrase_callback& passphrase) {
    ERR_clear_error();
    const detail::bio_handle source(
        BIO_new_mem_buf(bundle.data(), static_cast<int>(bundle.size())));
    return read_from(source, "in memory", passphrase);
}

} // namespace ringtls
