// SPDX-License-Identifier: MIT
#include "ocsp.hpp"

#include "failure.hpp"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace ringtls::detail {
namespace {

using response_handle = unique_handle<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using basic_handle = unique_handle<OCSP_BASICRESP, OCSP_BASICRESP_free>;
using certificate_id_handle = unique_handle<OCSP_CERTID, OCSP_CERTID_free>;

/// Of the stack alone, not of what is in it.
void free_stack(STACK_OF(X509) * stack) {
    sk_X509_free(stack);
}
using stack_handle = unique_handle<STACK_OF(X509), free_stack>;

/// How far clocks may differ.
constexpr long tolerated_seconds = 300;

/// The response's own way to name the certificate: with which hash is the responder's choice.
bool is_about(OCSP_SINGLERESP* single, X509* certificate, X509* issuer) {
    ASN1_OBJECT* hash = nullptr;
    const auto* const id = OCSP_SINGLERESP_get0_id(single);
    OCSP_id_get0_info(nullptr, &hash, nullptr, nullptr, const_cast<OCSP_CERTID*>(id));
    const EVP_MD* const digest = EVP_get_digestbyobj(hash);
    const certificate_id_handle own(digest ? OCSP_cert_to_id(digest, certificate, issuer)
                                           : nullptr);
    return own && OCSP_id_cmp(id, own.get()) == 0;
}

/// A response that names no end of its validity could be shown for ever.
staple_verdict verdict_of(OCSP_SINGLERESP* single) {
    ASN1_GENERALIZEDTIME* from = nullptr;
    ASN1_GENERALIZEDTIME* until = nullptr;
    const int status = OCSP_single_get0_status(single, nullptr, nullptr, &from, &until);
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return staple_verdict::revoked;
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return staple_verdict::unknown;
    if (!until || OCSP_check_validity(from, until, tolerated_seconds, -1) != 1)
        return staple_verdict::out_of_date;
    return staple_verdict::good;
}

/// The issuer's own signature counts, for the chain is verified; so does that of a responder whom
/// the issuer has certified for it, and nobody else's, the certificate's own least of all.
bool signed_by_issuer(OCSP_BASICRESP* response, X509* issuer, X509_STORE* trusted) {
    const stack_handle issuers(sk_X509_new_null());
    return issuers && sk_X509_push(issuers.get(), issuer) > 0 &&
           OCSP_basic_verify(response, issuers.get(), trusted, OCSP_TRUSTOTHER) == 1;
}

staple_verdict verdict_of(OCSP_BASICRESP* response, STACK_OF(X509) * chain, X509_STORE* trusted) {
    if (sk_X509_num(chain) < 2)
        return staple_verdict::no_issuer;
    X509* const issuer = sk_X509_value(chain, 1);
    if (!signed_by_issuer(response, issuer, trusted))
        return staple_verdict::wrong_signer;
    auto verdict = staple_verdict::wrong_certificate;
    for (int i = 0; i < OCSP_resp_count(response); ++i) {
        OCSP_SINGLERESP* const single = OCSP_resp_get0(response, i);
        if (is_about(single, sk_X509_value(chain, 0), issuer)) {
            verdict = verdict_of(single);
            if (verdict != staple_verdict::good)
                return verdict;
        }
    }
    return verdict;
}

} // namespace

ocsp_source ocsp_from_file(const std::string& path) {
    ERR_clear_error();
    const bio_handle source(BIO_new_file(path.c_str(), "rb"));
    const response_handle parsed(
        source ? static_cast<OCSP_RESPONSE*>(ASN1_d2i_bio(
                     reinterpret_cast<void* (*)()>(OCSP_RESPONSE_new),
                     reinterpret_cast<d2i_of_void*>(d2i_OCSP_RESPONSE), source.get(), nullptr))
               : nullptr);
    if (!parsed)
        throw_openssl_error("staple", "OCSP response " + path, errc::invalid_setting);
    std::vector<std::byte> der(static_cast<std::size_t>(
        check_openssl(i2d_OCSP_RESPONSE(parsed.get(), nullptr), "i2d_OCSP_RESPONSE")));
    auto* at = reinterpret_cast<unsigned char*>(der.data());
    check_openssl(i2d_OCSP_RESPONSE(parsed.get(), &at), "i2d_OCSP_RESPONSE");
    return [der = std::move(der)] { return der; };
}

int staple(SSL* to, const ocsp_source& from) noexcept try {
    const error_mark here;
    const auto der = from();
    if (der.empty())
        return SSL_TLSEXT_ERR_NOACK;
    auto* const copy = OPENSSL_memdup(der.data(), der.size());
    if (!copy || SSL_set_tlsext_status_ocsp_resp(to, copy, static_cast<long>(der.size())) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
} catch (...) {
    return SSL_TLSEXT_ERR_NOACK; // nothing may pass through C; the client decides if that will do
}

staple_verdict verdict_of_staple(SSL* of) {
    const unsigned char* der = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(of, static_cast<void*>(&der));
    if (size <= 0 || !der)
        return staple_verdict::missing;
    const response_handle response(d2i_OCSP_RESPONSE(nullptr, &der, size));
    const basic_handle basic(response && OCSP_response_status(response.get()) ==
                                             OCSP_RESPONSE_STATUS_SUCCESSFUL
                                 ? OCSP_response_get1_basic(response.get())
                                 : nullptr);
    if (!basic)
        return staple_verdict::unreadable;
    return verdict_of(basic.get(), SSL_get0_verified_chain(of),
                      SSL_CTX_get_cert_store(SSL_get_SSL_CTX(of)));
}

const char* text_of(staple_verdict verdict) noexcept {
    switch (verdict) {
    case staple_verdict::good:
        return "the certificate is good";
    case staple_verdict::missing:
        return "the server stapled no OCSP response";
    case staple_verdict::unreadable:
        return "the stapled OCSP response cannot be read, or says nothing";
    case staple_verdict::no_issuer:
        return "the certificate has no issuer";
    case staple_verdict::wrong_signer:
        return "the OCSP response is not signed by the certificate's issuer";
    case staple_verdict::wrong_certificate:
        return "the OCSP response is about another certificate";
    case staple_verdict::revoked:
        return "the certificate is revoked";
    case staple_verdict::unknown:
        return "the responder does not know the certificate";
    case staple_verdict::out_of_date:
        return "the OCSP response has expired, or is not valid yet";
    }
    return "";
}

} // namespace ringtls::detail
