// SPDX-License-Identifier: MIT
// An OpenSSL peer in memory that keeps to the protocol, and can be made to break it under its own
// keys.
#pragma once

#include <tls/openssl_handles.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ringtls::fuzz {

using bytes = std::vector<std::byte>;

/// The keys that a peer sends under. AES-128-GCM and SHA-256 alone: peers offer nothing else.
class record_keys {
  public:
    using secret = std::array<unsigned char, 32>;

    /// TLS 1.3 (RFC 8446, section 7.3).
    explicit record_keys(const secret& traffic);
    /// TLS 1.2 (RFC 5246, section 6.3), of an established connection.
    record_keys(SSL* of, bool client);

    /// A record of this type with this content, valid however little sense it makes.
    [[nodiscard]] bytes seal(std::uint64_t number, std::uint8_t type,
                             std::span<const std::uint8_t> content, std::size_t padding) const;

    /// After a key update (RFC 8446, section 7.2).
    [[nodiscard]] static secret next(const secret& traffic);

  private:
    void use(const unsigned char* key);

    bool tls_1_3_;
    detail::unique_handle<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher_{EVP_CIPHER_CTX_new()};
    std::array<unsigned char, 12> iv_{};
};

class peer {
  public:
    peer(SSL_CTX* context, bool client);
    peer(const peer&) = delete;
    peer& operator=(const peer&) = delete;

    /// Takes what came from the socket, and goes on: shakes hands, reads.
    void receive(std::span<const std::byte> from);
    void end_of_input();

    // Nothing happens where the protocol does not allow it now.
    bool write(std::span<const std::byte> from);
    void update_keys(bool request);
    void renegotiate();
    bool close();
    /// A record under its keys, where OpenSSL's next one would have been. False if it has none.
    bool forge(std::uint8_t type, std::span<const std::uint8_t> content, std::size_t padding);

    /// What is to go to the socket; whoever sends it removes it.
    [[nodiscard]] bytes& output() noexcept { return output_; }
    [[nodiscard]] const bytes& received() const noexcept { return received_; }
    [[nodiscard]] bool established() const noexcept;
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] int key_updates() const noexcept { return key_updates_; }

    /// A context for peers: nothing beyond what record_keys knows.
    [[nodiscard]] static detail::ssl_ctx_handle context(bool client, int version,
                                                        bool with_certificates);

  private:
    static void on_message(int sent, int version, int kind, const void* data, std::size_t size,
                           SSL* ssl, void* self);
    static void on_secret(const SSL* ssl, const char* line);
    void sent(int kind, std::uint8_t first);
    void progress();
    void conclude(int answer);
    void collect();

    detail::ssl_handle ssl_;
    bool client_;
    bool failed_ = false;
    int key_updates_ = 0;
    bytes output_;
    bytes received_;
    std::uint64_t records_ = 0; ///< sent under the current keys
    record_keys::secret traffic_{};
    std::optional<record_keys> keys_;
};

} // namespace ringtls::fuzz
