// SPDX-License-Identifier: MIT
#include "ticket_keys.hpp"

#include "failure.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace ringtls::detail {
namespace {

using kdf_handle = unique_handle<EVP_KDF, EVP_KDF_free>;
using kdf_context_handle = unique_handle<EVP_KDF_CTX, EVP_KDF_CTX_free>;

[[noreturn]] void refuse(const char* why) {
    auto details = std::make_shared<error_details>();
    details->subject = "ticket keys";
    details->reason = why;
    throw error(errc::invalid_setting, "ticket_keys", std::move(details));
}

secret_bytes long_enough(std::span<const std::byte> secret) {
    if (secret.size() < ticket_keys::secret_size)
        refuse("the secret is shorter than 32 bytes");
    return secret_bytes(secret);
}

std::chrono::seconds sensible(std::chrono::seconds period) {
    if (period < std::chrono::seconds(1))
        refuse("the period is shorter than a second");
    return period;
}

/// HKDF (RFC 5869) with SHA-256; the period's number is part of the info.
void derive(ticket_key& key, secret_bytes& secret) {
    const kdf_handle kdf(check_openssl(EVP_KDF_fetch(nullptr, "HKDF", nullptr), "EVP_KDF_fetch"));
    const kdf_context_handle context(check_openssl(EVP_KDF_CTX_new(kdf.get()), "EVP_KDF_CTX_new"));
    std::string info = "ringtls ticket key " + std::to_string(key.period);
    std::string digest = "SHA256";
    const std::array parameters = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret.bytes().data(), secret.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
        OSSL_PARAM_construct_end()};
    check_openssl(
        EVP_KDF_derive(context.get(), key.material.data(), key.material.size(), parameters.data()),
        "EVP_KDF_derive");
}

bool init_mac(EVP_MAC_CTX* mac, ticket_key& key) {
    std::string digest = "SHA256";
    const std::array parameters = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac_key(), 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

} // namespace

ticket_key::~ticket_key() {
    OPENSSL_cleanse(material.data(), material.size());
}

ticket_key_ring::ticket_key_ring(std::chrono::seconds period, std::optional<secret_bytes> secret,
                                 time_source now)
    : period_(sensible(period)), now_(now), secret_(std::move(secret)) {
    turn(this->now());
}

std::int64_t ticket_key_ring::now() const {
    return std::chrono::floor<std::chrono::seconds>(now_().time_since_epoch()) / period_;
}

/// Keys that open no more go, also those of a clock that was ahead, and those of this time come.
void ticket_key_ring::turn(std::int64_t at) {
    std::erase_if(
        keys_, [at](const ticket_key& key) { return key.period + 1 < at || key.period > at + 1; });
    provide(at);
    if (secret_) {
        provide(at - 1);
        provide(at + 1);
    }
}

void ticket_key_ring::provide(std::int64_t at) {
    if (std::ranges::any_of(keys_, [&](const auto& key) { return is_current(key, at); }))
        return;
    ticket_key made;
    made.period = at;
    if (secret_)
        derive(made, *secret_);
    else
        check_openssl(RAND_priv_bytes(made.material.data(), ticket_key::size), "RAND_priv_bytes");
    keys_.push_back(made);
}

void ticket_key_ring::replace(secret_bytes secret) {
    const std::lock_guard lock(mutex_);
    turn(now());
    auto earlier = keys_;
    auto earlier_secret = std::exchange(secret_, std::move(secret));
    for (auto& key : keys_)
        key.superseded = true;
    try {
        turn(now());
    } catch (...) {
        keys_.swap(earlier);
        secret_ = std::move(earlier_secret);
        throw;
    }
}

ticket_key ticket_key_ring::sealing() {
    const std::lock_guard lock(mutex_);
    const auto at = now();
    turn(at);
    return *std::ranges::find_if(keys_, [&](const auto& key) { return is_current(key, at); });
}

std::optional<ticket_key_ring::opening_key>
ticket_key_ring::opening(std::span<const std::uint8_t> name) {
    const std::lock_guard lock(mutex_);
    const auto at = now();
    turn(at);
    const auto found = std::ranges::find_if(
        keys_, [name](const auto& key) { return std::ranges::equal(key.name(), name); });
    if (found == keys_.end())
        return std::nullopt;
    return opening_key{*found, is_current(*found, at)};
}

/// 1: sealed or opened; 2: opened, but to be sealed anew; 0: no such key, a full handshake then.
int ticket_key_ring::answer(std::uint8_t* name, std::uint8_t* iv, EVP_CIPHER_CTX* cipher,
                            EVP_MAC_CTX* mac, bool seal) noexcept try {
    if (seal) {
        auto key = sealing();
        std::ranges::copy(key.name(), name);
        const bool made =
            RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
            EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher_key(), iv) == 1 &&
            init_mac(mac, key);
        return made ? 1 : -1;
    }
    auto found = opening(std::span(name, ticket_key::name_size));
    if (!found)
        return 0;
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, found->key.cipher_key(), iv) != 1 ||
        !init_mac(mac, found->key))
        return -1;
    return found->current ? 1 : 2;
} catch (const std::exception&) {
    return seal ? -1 : 0; // nothing may pass through C
}

} // namespace ringtls::detail

namespace ringtls {

ticket_keys::ticket_keys(std::chrono::seconds period)
    : ring_(std::make_shared<detail::ticket_key_ring>(period, std::nullopt)) {}

ticket_keys::ticket_keys(std::shared_ptr<detail::ticket_key_ring> ring) noexcept
    : ring_(std::move(ring)) {}

ticket_keys ticket_keys::shared(std::span<const std::byte> secret, std::chrono::seconds period) {
    return ticket_keys(
        std::make_shared<detail::ticket_key_ring>(period, detail::long_enough(secret)));
}

void ticket_keys::replace(std::span<const std::byte> secret) {
    ring_->replace(detail::long_enough(secret));
}

std::chrono::seconds ticket_keys::period() const noexcept {
    return ring_->period();
}

} // namespace ringtls
