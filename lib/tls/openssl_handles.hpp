// SPDX-License-Identifier: MIT
// OpenSSL's objects, each owned by one pointer.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace ringtls::detail {

template<auto Free>
struct free_with {
    template<class T>
    void operator()(T* owned) const noexcept {
        Free(owned);
    }
};

template<class T, auto Free>
using unique_handle = std::unique_ptr<T, free_with<Free>>;

using ssl_handle = unique_handle<SSL, SSL_free>;
using ssl_ctx_handle = unique_handle<SSL_CTX, SSL_CTX_free>;
using bio_handle = unique_handle<BIO, BIO_free>;
using bio_method_handle = unique_handle<BIO_METHOD, BIO_meth_free>;
using x509_handle = unique_handle<X509, X509_free>;
using crl_handle = unique_handle<X509_CRL, X509_CRL_free>;
using key_handle = unique_handle<EVP_PKEY, EVP_PKEY_free>;
using extension_handle = unique_handle<X509_EXTENSION, X509_EXTENSION_free>;
using general_names_handle = unique_handle<GENERAL_NAMES, GENERAL_NAMES_free>;
using general_name_handle = unique_handle<GENERAL_NAME, GENERAL_NAME_free>;
inline void free_chain(STACK_OF(X509) * all) noexcept {
    sk_X509_pop_free(all, X509_free);
}
using chain_handle = unique_handle<STACK_OF(X509), free_chain>;
using octets_handle = unique_handle<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

/// What was written to a memory BIO.
inline std::string text_in(const bio_handle& memory) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

} // namespace ringtls::detail
