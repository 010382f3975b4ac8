// SPDX-License-Identifier: MIT
#include <ringtls/tls/self_signed.hpp>

#include "failure.hpp"
#include "identity_writer.hpp"
#include "openssl_handles.hpp"

#include <openssl/ec.h>
#include <openssl/rand.h>

#include <array>
#include <string>

namespace ringtls {
namespace {

using detail::check_openssl;

constexpr std::string_view operation = "self_signed";

/// An IP address if it reads as one, a DNS name otherwise.
void add_name(GENERAL_NAMES& names, const std::string& name) {
    detail::general_name_handle entry(check_openssl(GENERAL_NAME_new(), operation));
    if (ASN1_OCTET_STRING* const ip = a2i_IPADDRESS(name.c_str())) {
        GENERAL_NAME_set0_value(entry.get(), GEN_IPADD, ip);
    } else {
        ASN1_IA5STRING* const dns = check_openssl(ASN1_IA5STRING_new(), operation);
        GENERAL_NAME_set0_value(entry.get(), GEN_DNS, dns);
        check_openssl(ASN1_STRING_set(dns, name.data(), static_cast<int>(name.size())), operation);
    }
    check_openssl(sk_GENERAL_NAME_push(&names, entry.get()), operation);
    static_cast<void>(entry.release()); // the list's now
}

void add_extension(X509* to, int kind, void* value, bool critical) {
    check_openssl(X509_add1_ext_i2d(to, kind, value, critical ? 1 : 0, X509V3_ADD_DEFAULT),
                  operation);
}

void name_it(X509* made, std::span<const std::string> names) {
    const detail::general_names_handle all(check_openssl(sk_GENERAL_NAME_new_null(), operation));
    for (const auto& name : names) {
        if (name.empty() || name.size() > 253)
            throw error(errc::invalid_name, operation);
        add_name(*all, name);
    }
    add_extension(made, NID_subject_alt_name, all.get(), false);
    X509_NAME* const subject = X509_get_subject_name(made);
    const auto& first = names.front().substr(0, 64); // ub-common-name, RFC 5280, appendix A.1
    check_openssl(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                             reinterpret_cast<const unsigned char*>(first.data()),
                                             static_cast<int>(first.size()), -1, 0),
                  operation);
    check_openssl(X509_set_issuer_name(made, subject), operation);
}

/// Whoever trusts it trusts this certificate alone, and nothing that its key could sign.
void constrain(X509* made) {
    const detail::unique_handle<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints(
        check_openssl(BASIC_CONSTRAINTS_new(), operation));
    constraints->ca = 0;
    add_extension(made, NID_basic_constraints, constraints.get(), true);
}

void number_it(X509* made) {
    std::array<unsigned char, 16> random{};
    check_openssl(RAND_bytes(random.data(), static_cast<int>(random.size())), operation);
    random[0] &= 0x7f; // positive
    random[0] |= 0x40; // and never zero (RFC 5280, section 4.1.2.2)
    const detail::unique_handle<BIGNUM, BN_free> number(check_openssl(
        BN_bin2bn(random.data(), static_cast<int>(random.size()), nullptr), operation));
    check_openssl(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(made)), operation);
}

} // namespace

identity self_signed(std::span<const std::string> names, std::chrono::seconds valid_for) {
    if (names.empty())
        throw error(errc::invalid_name, operation);
    const detail::key_handle key(check_openssl(EVP_EC_gen("P-256"), operation));
    const detail::x509_handle made(check_openssl(X509_new(), operation));
    check_openssl(X509_set_version(made.get(), X509_VERSION_3), operation);
    number_it(made.get());
    check_openssl(X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600), operation);
    check_openssl(X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_for.count()), operation);
    check_openssl(X509_set_pubkey(made.get(), key.get()), operation);
    name_it(made.get(), names);
    constrain(made.get());
    check_openssl(X509_sign(made.get(), key.get(), EVP_sha256()), operation);

    return detail::write_identity(std::array{made.get()}, key.get(), operation);
}

} // namespace ringtls
