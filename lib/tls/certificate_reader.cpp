// SPDX-License-Identifier: MIT
#include "certificate_reader.hpp"

#include "failure.hpp"

#include <arpa/inet.h>

#include <openssl/err.h>

#include <algorithm>
#include <ctime>
#include <new>

namespace ringtls::detail {
namespace {

void free_text(char* text) {
    OPENSSL_free(text);
}

/// The nearest that the clock can tell: its nanoseconds end in 2262, and certificates that are not
/// to expire do in 9999 (RFC 5280, section 4.1.2.5).
std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
    using clock = std::chrono::system_clock;
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return {};
    constexpr auto first = std::chrono::ceil<std::chrono::seconds>(clock::time_point::min());
    constexpr auto last = std::chrono::floor<std::chrono::seconds>(clock::time_point::max());
    const auto exact = std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
    return std::clamp(exact, first, last);
}

std::string ip_text(const ASN1_OCTET_STRING* raw) {
    char text[INET6_ADDRSTRLEN] = {};
    const int family = ASN1_STRING_length(raw) == 4 ? AF_INET : AF_INET6;
    const bool known = family == AF_INET || ASN1_STRING_length(raw) == 16;
    if (!known || !inet_ntop(family, ASN1_STRING_get0_data(raw), text, sizeof text))
        return "IP:<invalid>";
    return std::string("IP:") + text;
}

/// A text whose bytes are none of its type is its maker's fault, and says so; one that is cut short
/// for want of memory must not pass for the whole. OpenSSL's errors stay as they were.
template<class Print>
std::string printed(Print print) {
    const bio_handle memory(check_openssl(BIO_new(BIO_s_mem()), "BIO_new"));
    ERR_set_mark();
    const bool good = print(memory.get()) >= 0;
    const bool cut = !good && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    ERR_pop_to_mark();
    if (cut)
        throw std::bad_alloc();
    return good ? text_in(memory) : "<invalid>";
}

/// Escaped like a name's values: a certificate's text is its maker's, not ours.
std::string printable(const ASN1_STRING* raw) {
    return printed([raw](BIO* to) { return ASN1_STRING_print_ex(to, raw, ASN1_STRFLGS_RFC2253); });
}

std::vector<std::string> alternative_names(const X509& from) {
    std::vector<std::string> names;
    const general_names_handle all(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&from, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
        int kind = 0;
        const void* const value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all.get(), i), &kind);
        if (kind == GEN_IPADD)
            names.push_back(ip_text(static_cast<const ASN1_OCTET_STRING*>(value)));
        else if (kind == GEN_DNS)
            names.push_back("DNS:" + printable(static_cast<const ASN1_STRING*>(value)));
        else if (kind == GEN_EMAIL)
            names.push_back("email:" + printable(static_cast<const ASN1_STRING*>(value)));
        else if (kind == GEN_URI)
            names.push_back("URI:" + printable(static_cast<const ASN1_STRING*>(value)));
    }
    return names;
}

std::string number_text(const ASN1_INTEGER* number) {
    const unique_handle<BIGNUM, BN_free> value(
        check_openssl(ASN1_INTEGER_to_BN(number, nullptr), "ASN1_INTEGER_to_BN"));
    const unique_handle<char, free_text> text(check_openssl(BN_bn2hex(value.get()), "BN_bn2hex"));
    return text.get();
}

/// A key of a kind that OpenSSL does not know is left without one.
void read_key(const X509& from, certificate& made) {
    check_openssl(digest_key(from, made.key_sha256) ? 1 : 0, "public key");
    const EVP_PKEY* const key = X509_get0_pubkey(&from);
    if (!key) {
        ERR_clear_error();
        return;
    }
    if (const char* const name = EVP_PKEY_get0_type_name(key))
        made.key_type = name;
    made.key_bits = EVP_PKEY_get_bits(key);
}

} // namespace

std::string name_text(const X509_NAME* name) {
    return printed([name](BIO* to) { return X509_NAME_print_ex(to, name, 0, XN_FLAG_RFC2253); });
}

bool digest_key(const X509& from, sha256_digest& digest) noexcept {
    unsigned char* encoded = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&from), &encoded);
    const bool done = size > 0 && EVP_Digest(encoded, static_cast<std::size_t>(size), digest.data(),
                                             nullptr, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(encoded);
    return done;
}

certificate read_certificate(X509& from) {
    certificate made;
    made.subject = name_text(X509_get_subject_name(&from));
    made.issuer = name_text(X509_get_issuer_name(&from));
    made.alternative_names = alternative_names(from);
    made.serial = number_text(X509_get0_serialNumber(&from));
    made.not_before = time_of(X509_get0_notBefore(&from));
    made.not_after = time_of(X509_get0_notAfter(&from));
    read_key(from, made);
    check_openssl(X509_digest(&from, EVP_sha256(), made.sha256.data(), nullptr), "X509_digest");
    made.der.resize(static_cast<std::size_t>(check_openssl(i2d_X509(&from, nullptr), "i2d_X509")));
    unsigned char* into = made.der.data();
    check_openssl(i2d_X509(&from, &into), "i2d_X509");
    return made;
}

} // namespace ringtls::detail
