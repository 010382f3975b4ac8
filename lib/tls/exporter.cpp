// SPDX-License-Identifier: MIT
#include "exporter.hpp"

#include "failure.hpp"

#include <openssl/err.h>

#include <memory>

namespace ringtls::detail {
namespace {

[[noreturn]] void refuse(const char* why) {
    auto details = std::make_shared<error_details>();
    details->reason = why;
    throw error(errc::not_available, "channel_binding", std::move(details));
}

/// RFC 9266, section 2; an empty context and none are the same in TLS 1.3 alone.
std::vector<std::byte> unique_bytes(SSL* of) {
    if (SSL_version(of) < TLS1_3_VERSION && SSL_get_extms_support(of) != 1)
        refuse("TLS 1.2 without extended master secret");
    const auto made = export_key(of, "EXPORTER-Channel-Binding", 32, std::span<const std::byte>());
    return {made.bytes().begin(), made.bytes().end()};
}

/// The hash of the certificate's signature, or SHA-256 where that is MD5 or SHA-1.
const EVP_MD* digest_of(X509* certificate) {
    int hash = NID_undef;
    if (X509_get_signature_info(certificate, &hash, nullptr, nullptr, nullptr) != 1 ||
        hash == NID_undef)
        refuse("a certificate whose signature has no hash");
    if (hash == NID_md5 || hash == NID_sha1)
        return EVP_sha256();
    return check_openssl(EVP_get_digestbynid(hash), "EVP_get_digestbynid");
}

std::vector<std::byte> certificate_hash(SSL* of) {
    X509* const certificate =
        SSL_is_server(of) == 1 ? SSL_get_certificate(of) : SSL_get0_peer_certificate(of);
    if (!certificate)
        refuse("no certificate");
    std::vector<std::byte> made(EVP_MAX_MD_SIZE);
    unsigned int size = 0;
    check_openssl(X509_digest(certificate, digest_of(certificate),
                              reinterpret_cast<unsigned char*>(made.data()), &size),
                  "X509_digest");
    made.resize(size);
    return made;
}

} // namespace

secret_bytes export_key(SSL* from, std::string_view label, std::size_t size,
                        std::optional<std::span<const std::byte>> context) {
    ERR_clear_error();
    secret_bytes made(size);
    // OpenSSL reads not even an empty context from a null pointer.
    static constexpr unsigned char nothing = 0;
    const auto* const given = context && !context->empty()
                                  ? reinterpret_cast<const unsigned char*>(context->data())
                                  : &nothing;
    check_openssl(SSL_export_keying_material(from,
                                             reinterpret_cast<unsigned char*>(made.bytes().data()),
                                             size, label.data(), label.size(), given,
                                             context ? context->size() : 0, context ? 1 : 0),
                  "export_key", std::string(label));
    return made;
}

std::vector<std::byte> channel_binding(SSL* of, channel_binding_type type) {
    ERR_clear_error();
    switch (type) {
    case channel_binding_type::tls_exporter:
        return unique_bytes(of);
    case channel_binding_type::tls_server_end_point:
        return certificate_hash(of);
    }
    refuse("no such type");
}

} // namespace ringtls::detail
