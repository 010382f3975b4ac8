// SPDX-License-Identifier: MIT
#include <ringtls/tls/certificate.hpp>

#include "certificate_reader.hpp"
#include "failure.hpp"
#include "pem_loader.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace ringtls {
namespace {

std::string hexadecimal(const sha256_digest& digest) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string text;
    for (const unsigned byte : digest) {
        if (!text.empty())
            text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

} // namespace

certificate certificate::from_der(std::span<const std::uint8_t> encoded) {
    ERR_clear_error();
    const unsigned char* at = encoded.data();
    const detail::x509_handle parsed(d2i_X509(nullptr, &at, static_cast<long>(encoded.size())));
    if (!parsed || at != encoded.data() + encoded.size())
        detail::throw_openssl_error("load", "certificate in DER", errc::invalid_pem);
    return detail::read_certificate(*parsed);
}

std::vector<certificate> certificate::from_pem(const pem& from) {
    std::vector<certificate> all;
    for (const auto& each : detail::load_certificates(from, "certificate"))
        all.push_back(detail::read_certificate(*each));
    return all;
}

std::string certificate::fingerprint() const {
    return hexadecimal(sha256);
}

std::string certificate::key_fingerprint() const {
    return hexadecimal(key_sha256);
}

std::string certificate::to_pem() const {
    using detail::check_openssl;
    const detail::bio_handle memory(check_openssl(BIO_new(BIO_s_mem()), "BIO_new"));
    check_openssl(
        PEM_write_bio(memory.get(), PEM_STRING_X509, "", der.data(), static_cast<long>(der.size())),
        "PEM_write_bio");
    return detail::text_in(memory);
}

} // namespace ringtls
