// SPDX-License-Identifier: MIT
// Ticket keys by the clock, and OpenSSL's way to them.
//
//   period:        n-1        n         n+1
//   key of n-1     seals      opens     gone
//   key of n       (opens)    seals     opens       (opens): of a fleet, where another's clock is
//   ahead
#pragma once

#include <ringtls/tls/secret.hpp>
#include <ringtls/tls/ticket_keys.hpp>

#include "openssl_handles.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace ringtls::detail {

/// One key, wiped when it goes.
struct ticket_key {
    static constexpr std::size_t name_size = 16;
    static constexpr std::size_t size = name_size + 32 + 32;

    ticket_key() = default;
    ticket_key(const ticket_key&) = default;
    ticket_key& operator=(const ticket_key&) = default;
    ~ticket_key();

    [[nodiscard]] std::span<const std::uint8_t> name() const {
        return std::span(material).first(name_size);
    }
    [[nodiscard]] const std::uint8_t* cipher_key() const { return material.data() + name_size; }
    [[nodiscard]] std::uint8_t* mac_key() { return material.data() + name_size + 32; }

    std::array<std::uint8_t, size> material{}; ///< its name, AES-256's key, HMAC's
    std::int64_t period = 0;                   ///< in which it seals, since 1970
    bool superseded = false;                   ///< its secret was replaced: it opens alone
};

/// Any thread may call.
class ticket_key_ring {
  public:
    using clock = std::chrono::system_clock;
    using time_source = clock::time_point (*)();

    /// Without a secret the keys are random.
    ticket_key_ring(std::chrono::seconds period, std::optional<secret_bytes> secret,
                    time_source now = clock::now);

    void replace(secret_bytes secret);
    [[nodiscard]] std::chrono::seconds period() const noexcept { return period_; }

    /// The key that seals now. Throws error.
    [[nodiscard]] ticket_key sealing();
    struct opening_key {
        ticket_key key;
        bool current; ///< it is the one that seals now
    };
    /// The key of this name, if it still opens. Throws error.
    [[nodiscard]] std::optional<opening_key> opening(std::span<const std::uint8_t> name);

    /// For SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
    int answer(std::uint8_t* name, std::uint8_t* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
               bool seal) noexcept;

  private:
    [[nodiscard]] std::int64_t now() const;
    void turn(std::int64_t at);
    void provide(std::int64_t at);
    [[nodiscard]] bool is_current(const ticket_key& key, std::int64_t at) const noexcept {
        return key.period == at && !key.superseded;
    }

    const std::chrono::seconds period_;
    const time_source now_;
    std::mutex mutex_; ///< of what follows
    std::optional<secret_bytes> secret_;
    std::vector<ticket_key> keys_;
};

} // namespace ringtls::detail
