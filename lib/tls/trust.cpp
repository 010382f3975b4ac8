// SPDX-License-Identifier: MIT
#include "trust.hpp"

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "certificate_reader.hpp"
#include "engine.hpp"
#include "failure.hpp"
#include "pem_loader.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace ringtls::detail {
namespace {

namespace fs = std::filesystem;

using certificates = std::vector<x509_handle>;

void append(certificates& to, certificates from) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
}

/// In the order of their names, that errors are always the same.
std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> files;
    try {
        for (const auto& entry : fs::directory_iterator(directory))
            if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.'))
                files.push_back(entry.path().string());
    } catch (const fs::filesystem_error& refused) {
        auto details = std::make_shared<error_details>();
        details->subject = "CA directory " + directory;
        throw error(refused.code(), "load", std::move(details));
    }
    std::sort(files.begin(), files.end());
    return files;
}

certificates certificates_in(const std::string& directory) {
    certificates all;
    for (auto& file : files_in(directory))
        append(all, find_certificates(pem::file(std::move(file)), "CA"));
    if (all.empty())
        throw_openssl_error("load", "CA directory " + directory, errc::invalid_pem);
    ERR_clear_error(); // what the last file is not
    return all;
}

template<class Settings>
void apply_revocation(SSL_CTX* ctx, const Settings& settings) {
    if (settings.revocation_lists().empty())
        return;
    for (const auto& lists : settings.revocation_lists())
        for (const auto& list : load_revocation_lists(lists))
            check_openssl(X509_STORE_add_crl(SSL_CTX_get_cert_store(ctx), list.get()), "trust",
                          "CRL " + std::string(lists.name()));
    unsigned long flags = X509_V_FLAG_CRL_CHECK;
    if (settings.revocation_scope() == revocation_scope::chain)
        flags |= X509_V_FLAG_CRL_CHECK_ALL;
    check_openssl(X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), flags), "trust", "CRL");
}

// ---- pins ----

/// Throws away what OpenSSL says of text that it cannot decode.
bool decode(const std::string& text, sha256_digest& digest) {
    constexpr std::size_t base64_size = 44;
    if (text.size() == base64_size && text.ends_with('=')) {
        std::array<unsigned char, base64_size> decoded{};
        const int size =
            EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(text.data()),
                            static_cast<int>(text.size()));
        std::copy_n(decoded.begin(), digest.size(), digest.begin());
        return size == static_cast<int>(digest.size()) + 1 && text[base64_size - 2] != '=';
    }
    std::size_t size = 0;
    const bool good =
        OPENSSL_hexstr2buf_ex(digest.data(), digest.size(), &size, text.c_str(), ':') == 1;
    ERR_clear_error();
    return good && size == digest.size() && text.find('\0') == std::string::npos;
}

std::vector<sha256_digest> decode_all(const std::vector<std::string>& pins,
                                      std::string_view setting) {
    std::vector<sha256_digest> all;
    for (const auto& text : pins) {
        sha256_digest digest{};
        if (!decode(text, digest))
            refuse_setting(setting, text, "not a SHA-256 in hexadecimal or base64");
        all.push_back(digest);
    }
    return all;
}

bool is_in(const std::vector<sha256_digest>& all, const sha256_digest& digest) noexcept {
    return std::find(all.begin(), all.end(), digest) != all.end();
}

} // namespace

template<class Settings>
std::vector<x509_handle> apply_trust(SSL_CTX* ctx, const Settings& settings) {
    certificates all;
    for (const auto& authorities : settings.trusted())
        append(all, load_certificates(authorities, "CA"));
    for (const auto& directory : settings.trusted_directories())
        append(all, certificates_in(directory));
    for (const auto& each : all)
        check_openssl(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), each.get()), "trust", "CA");
    if (settings.system_roots())
        check_openssl(SSL_CTX_set_default_verify_paths(ctx), "trust", "system roots");
    apply_revocation(ctx, settings);
    // Whoever is trusted is so himself, and not only if his own authority is known, too.
    check_openssl(X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN),
                  "trust");
    if (const auto most = settings.verify_depth())
        SSL_CTX_set_verify_depth(ctx, static_cast<int>(std::min(*most, 100U)));
    if (settings.accepts_any_purpose()) // danger_accept_any_purpose
        check_openssl(SSL_CTX_set_purpose(ctx, X509_PURPOSE_ANY), "trust", "purpose");
    return all;
}

template std::vector<x509_handle> apply_trust(SSL_CTX*, const client_settings&);
template std::vector<x509_handle> apply_trust(SSL_CTX*, const server_settings&);

pin_set::pin_set(const std::vector<std::string>& certificates, const std::vector<std::string>& keys)
    : certificates_(decode_all(certificates, "certificate pin")),
      keys_(decode_all(keys, "public key pin")) {}

bool pin_set::accept(X509_STORE_CTX* store) const noexcept {
    return empty() || judge(store) == 1;
}

int pin_set::verify_all(X509_STORE_CTX* store, void* pins) {
    if (X509_verify_cert(store) != 1)
        return 0;
    return static_cast<const pin_set*>(pins)->judge(store);
}

int pin_set::verify_pins(X509_STORE_CTX* store, void* pins) {
    static_cast<void>(X509_verify_cert(store));
    return static_cast<const pin_set*>(pins)->judge(store);
}

bool pin_set::match(const X509& own) const noexcept {
    sha256_digest digest{};
    if (X509_digest(&own, EVP_sha256(), digest.data(), nullptr) == 1 &&
        is_in(certificates_, digest))
        return true;
    return digest_key(own, digest) && is_in(keys_, digest);
}

/// OpenSSL itself never uses the error of applications.
int pin_set::judge(X509_STORE_CTX* store) const noexcept {
    X509* const own = X509_STORE_CTX_get0_cert(store);
    if (match(*own))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    X509_STORE_CTX_set_error_depth(store, 0);
    X509_STORE_CTX_set_current_cert(store, own);
    return engine::callbacks::verify(0, store);
}

} // namespace ringtls::detail
