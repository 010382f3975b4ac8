// SPDX-License-Identifier: MIT
#include "peer.hpp"

#include "support.hpp"

#include <tls/failure.hpp>
#include <tls/pem_loader.hpp>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstring>
#include <string>

namespace ringtls::fuzz {
namespace {

using detail::check_openssl;
using detail::unique_handle;

constexpr std::size_t key_size = 16;
constexpr std::size_t tag_size = 16;

OSSL_PARAM text_param(const char* name, const char* value) {
    return OSSL_PARAM_construct_utf8_string(name, const_cast<char*>(value), 0);
}
OSSL_PARAM octets_param(const char* name, std::span<const unsigned char> value) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<unsigned char*>(value.data()),
                                             value.size());
}

void derive(const char* function, std::span<unsigned char> into, const OSSL_PARAM* how) {
    const unique_handle<EVP_KDF, EVP_KDF_free> kdf(
        check_openssl(EVP_KDF_fetch(nullptr, function, nullptr), function));
    const unique_handle<EVP_KDF_CTX, EVP_KDF_CTX_free> context(
        check_openssl(EVP_KDF_CTX_new(kdf.get()), function));
    check_openssl(EVP_KDF_derive(context.get(), into.data(), into.size(), how), function);
}

void expand_label(const record_keys::secret& from, const char* label,
                  std::span<unsigned char> into) {
    const std::span<const unsigned char> name(reinterpret_cast<const unsigned char*>(label),
                                              std::strlen(label));
    constexpr std::array<unsigned char, 6> prefix = {'t', 'l', 's', '1', '3', ' '};
    const std::array how = {
        text_param(OSSL_KDF_PARAM_MODE, "EXPAND_ONLY"), text_param(OSSL_KDF_PARAM_DIGEST, "SHA256"),
        octets_param(OSSL_KDF_PARAM_KEY, from),         octets_param(OSSL_KDF_PARAM_PREFIX, prefix),
        octets_param(OSSL_KDF_PARAM_LABEL, name),       OSSL_PARAM_construct_end()};
    derive("TLS13-KDF", into, how.data());
}

void put(bytes& into, std::uint64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
        into.push_back(static_cast<std::byte>(value >> shift));
}

unsigned char* raw(std::byte* from) {
    return reinterpret_cast<unsigned char*>(from);
}

} // namespace

record_keys::record_keys(const secret& traffic) : tls_1_3_(true) {
    std::array<unsigned char, key_size> key{};
    expand_label(traffic, "key", key);
    expand_label(traffic, "iv", iv_);
    use(key.data());
}

record_keys::record_keys(SSL* of, bool client) : tls_1_3_(false) {
    std::array<unsigned char, SSL_MAX_MASTER_KEY_LENGTH> master{};
    SSL_SESSION_get_master_key(SSL_get_session(of), master.data(), master.size());
    std::array<unsigned char, 13 + 2 * SSL3_RANDOM_SIZE> seed{"key expansion"};
    SSL_get_server_random(of, seed.data() + 13, SSL3_RANDOM_SIZE);
    SSL_get_client_random(of, seed.data() + 13 + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
    std::array<unsigned char, 40> block{}; // both keys, both salts; the client's first
    const std::array how = {text_param(OSSL_KDF_PARAM_DIGEST, "SHA256"),
                            octets_param(OSSL_KDF_PARAM_SECRET, master),
                            octets_param(OSSL_KDF_PARAM_SEED, seed), OSSL_PARAM_construct_end()};
    derive("TLS1-PRF", block, how.data());
    std::copy_n(block.begin() + (client ? 32 : 36), 4, iv_.begin());
    use(block.data() + (client ? 0 : key_size));
}

void record_keys::use(const unsigned char* key) {
    check_openssl(EVP_EncryptInit_ex(cipher_.get(), EVP_aes_128_gcm(), nullptr, key, nullptr),
                  "record_keys");
}

bytes record_keys::seal(std::uint64_t number, std::uint8_t type,
                        std::span<const std::uint8_t> content, std::size_t padding) const {
    bytes plain(content.size());
    std::ranges::copy(std::as_bytes(content), plain.begin());
    if (tls_1_3_) {
        put(plain, type, 1);
        plain.resize(plain.size() + padding);
    }
    bytes record;
    put(record, tls_1_3_ ? std::uint8_t(SSL3_RT_APPLICATION_DATA) : type, 1);
    put(record, TLS1_2_VERSION, 2);
    put(record, plain.size() + tag_size + (tls_1_3_ ? 0 : 8), 2);
    bytes counted;
    put(counted, number, 8);
    auto nonce = iv_;
    bytes associated = record;
    if (tls_1_3_) {
        for (std::size_t i = 0; i < 8; ++i)
            nonce[4 + i] ^= static_cast<unsigned char>(counted[i]);
    } else { // RFC 5288, section 3
        std::memcpy(nonce.data() + 4, counted.data(), 8);
        associated = counted;
        associated.insert(associated.end(), record.begin(), record.begin() + 3);
        put(associated, plain.size(), 2);
        record.insert(record.end(), counted.begin(), counted.end());
    }
    EVP_CIPHER_CTX* const cipher = cipher_.get();
    check_openssl(EVP_EncryptInit_ex(cipher, nullptr, nullptr, nullptr, nonce.data()), "seal");
    int size = 0;
    check_openssl(EVP_EncryptUpdate(cipher, nullptr, &size, raw(associated.data()),
                                    static_cast<int>(associated.size())),
                  "seal");
    const auto begin = record.size();
    record.resize(begin + plain.size() + tag_size);
    check_openssl(EVP_EncryptUpdate(cipher, raw(record.data() + begin), &size, raw(plain.data()),
                                    static_cast<int>(plain.size())),
                  "seal");
    unsigned char* const tag = raw(record.data() + begin + plain.size());
    check_openssl(EVP_EncryptFinal_ex(cipher, tag, &size), "seal");
    check_openssl(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, tag_size, tag), "seal");
    return record;
}

record_keys::secret record_keys::next(const secret& traffic) {
    secret made{};
    expand_label(traffic, "traffic upd", made);
    return made;
}

detail::ssl_ctx_handle peer::context(bool client, int version, bool with_certificates) {
    detail::ssl_ctx_handle made(
        check_openssl(SSL_CTX_new(client ? TLS_client_method() : TLS_server_method()), "peer"));
    SSL_CTX* const ctx = made.get();
    check_openssl(SSL_CTX_set_min_proto_version(ctx, version), "peer");
    check_openssl(SSL_CTX_set_max_proto_version(ctx, version), "peer");
    check_openssl(SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"), "peer");
    check_openssl(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"), "peer");
    check_openssl(SSL_CTX_set1_groups_list(ctx, "X25519:P-256"), "peer");
    if (!client || with_certificates)
        detail::use_identity(ctx, fixed_identity());
    if (!client && with_certificates)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_msg_callback(ctx, on_message);
    SSL_CTX_set_keylog_callback(ctx, on_secret);
    return made;
}

peer::peer(SSL_CTX* context, bool client)
    : ssl_(check_openssl(SSL_new(context), "peer")), client_(client) {
    const as_peer drawing;
    BIO* const in = check_openssl(BIO_new(BIO_s_mem()), "peer");
    BIO* const out = check_openssl(BIO_new(BIO_s_mem()), "peer");
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl_.get(), in, out);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_msg_callback_arg(ssl_.get(), this);
    if (client)
        SSL_set_connect_state(ssl_.get());
    else
        SSL_set_accept_state(ssl_.get());
    progress();
}

bool peer::established() const noexcept {
    return SSL_is_init_finished(ssl_.get()) == 1;
}

void peer::receive(std::span<const std::byte> from) {
    const as_peer drawing;
    if (!from.empty())
        check_openssl(
            BIO_write(SSL_get_rbio(ssl_.get()), from.data(), static_cast<int>(from.size())),
            "peer");
    progress();
}

void peer::end_of_input() {
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_.get()), 0);
}

/// Everything there is to read; the handshake is part of that.
void peer::progress() {
    std::array<std::byte, 16384> buffer;
    std::size_t count = 0;
    int answer = 1;
    while (!failed_ && answer == 1) {
        ERR_clear_error();
        answer = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
        if (answer == 1)
            received_.insert(received_.end(), buffer.begin(),
                             buffer.begin() + static_cast<std::ptrdiff_t>(count));
        else
            conclude(answer);
    }
    collect();
}

void peer::conclude(int answer) {
    const int kind = SSL_get_error(ssl_.get(), answer);
    failed_ = failed_ || kind == SSL_ERROR_SSL || kind == SSL_ERROR_SYSCALL;
    ERR_clear_error();
}

void peer::collect() {
    char* made = nullptr;
    BIO* const out = SSL_get_wbio(ssl_.get());
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(out, &made));
    const auto begin = output_.size();
    output_.resize(begin + size);
    if (size > 0)
        BIO_read(out, output_.data() + begin, static_cast<int>(size));
}

bool peer::write(std::span<const std::byte> from) {
    const as_peer drawing;
    if (failed_ || !established() || from.empty() ||
        (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0)
        return false;
    ERR_clear_error();
    std::size_t count = 0;
    const int answer = SSL_write_ex(ssl_.get(), from.data(), from.size(), &count);
    if (answer != 1)
        conclude(answer);
    collect();
    return answer == 1;
}

void peer::update_keys(bool request) {
    const as_peer drawing;
    if (failed_ || !established() || SSL_version(ssl_.get()) != TLS1_3_VERSION ||
        (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0)
        return;
    ERR_clear_error();
    if (SSL_key_update(ssl_.get(),
                       request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
        SSL_do_handshake(ssl_.get());
    ERR_clear_error();
    collect();
}

void peer::renegotiate() {
    const as_peer drawing;
    if (failed_ || !established())
        return;
    ERR_clear_error();
    if (SSL_renegotiate(ssl_.get()) == 1) {
        const int answer = SSL_do_handshake(ssl_.get());
        if (answer != 1)
            conclude(answer);
    }
    ERR_clear_error();
    collect();
}

bool peer::close() {
    const as_peer drawing;
    if (failed_ || !established())
        return false;
    ERR_clear_error();
    const bool closed = SSL_shutdown(ssl_.get()) >= 0;
    ERR_clear_error();
    collect();
    return closed;
}

/// OpenSSL writes a record in its place, so that both go on counting alike.
bool peer::forge(std::uint8_t type, std::span<const std::uint8_t> content, std::size_t padding) {
    const auto number = records_;
    const auto before = output_.size();
    if (!write(std::array{std::byte(0)}))
        return false;
    output_.resize(before);
    if (!keys_ && SSL_version(ssl_.get()) == TLS1_3_VERSION)
        keys_.emplace(traffic_);
    else if (!keys_)
        keys_.emplace(ssl_.get(), client_);
    const auto record = keys_->seal(number, type, content, padding);
    output_.insert(output_.end(), record.begin(), record.end());
    return true;
}

void peer::on_message(int sent, int /*version*/, int kind, const void* data, std::size_t size,
                      SSL* /*ssl*/, void* self) {
    if (sent != 0 && size > 0 && self)
        static_cast<peer*>(self)->sent(kind, *static_cast<const std::uint8_t*>(data));
}

/// Counts records; a Finished (TLS 1.3), a key update and a ChangeCipherSpec (TLS 1.2) are the last
/// before new keys.
void peer::sent(int kind, std::uint8_t first) {
    const bool tls_1_3 = SSL_version(ssl_.get()) == TLS1_3_VERSION;
    const bool changes = first == SSL3_RT_CHANGE_CIPHER_SPEC;
    if (kind == SSL3_RT_HEADER && !changes)
        ++records_;
    const bool updated = kind == SSL3_RT_HANDSHAKE && first == SSL3_MT_KEY_UPDATE;
    const bool finished = kind == SSL3_RT_HANDSHAKE && first == SSL3_MT_FINISHED;
    if (updated) {
        traffic_ = record_keys::next(traffic_);
        ++key_updates_;
    }
    if (tls_1_3 ? updated || finished : kind == SSL3_RT_HEADER && changes) {
        records_ = 0;
        keys_.reset();
    }
}

/// A line of NSS's key log: label, client random, secret, in hexadecimal.
void peer::on_secret(const SSL* ssl, const char* line) {
    auto* const self = static_cast<peer*>(SSL_get_app_data(ssl));
    const std::string_view text(line);
    const auto* const label =
        self->client_ ? "CLIENT_TRAFFIC_SECRET_0 " : "SERVER_TRAFFIC_SECRET_0 ";
    if (!text.starts_with(label))
        return;
    const std::string secret(text.substr(text.rfind(' ') + 1));
    std::size_t size = 0;
    check_openssl(OPENSSL_hexstr2buf_ex(self->traffic_.data(), self->traffic_.size(), &size,
                                        secret.c_str(), '\0'),
                  "OPENSSL_hexstr2buf_ex");
}

} // namespace ringtls::fuzz
