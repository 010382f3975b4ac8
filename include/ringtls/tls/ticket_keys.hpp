// SPDX-License-Identifier: MIT
// What a server seals its clients' sessions with, and who else can open them.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

namespace ringtls::detail {
class ticket_key_ring;
}

namespace [[gnu::visibility("default")]] ringtls {

/// The keys of session tickets (RFC 8446, section 4.6.1; RFC 5077): AES-256-CBC and HMAC-SHA256.
///
/// Each key seals tickets for one period and opens them for one more; the next use after that wipes
/// it, so that what leaks later opens nothing that was recorded before. They rotate by themselves
/// with the system's clock; no call is needed.
///
/// Copies are the same keys: server contexts that were given copies resume each other's sessions,
/// if they ask clients for the same certificates. All calls may be made from any thread, also while
/// connections use the keys.
class ticket_keys {
  public:
    /// How long a key seals: no session can live longer.
    static constexpr std::chrono::seconds default_period = std::chrono::hours(12);
    /// The least size of a secret, in bytes.
    static constexpr std::size_t secret_size = 32;

    /// Random keys, of this process alone. Throws error with errc::invalid_setting if the period is
    /// shorter than a second, and OpenSSL's code.
    explicit ticket_keys(std::chrono::seconds period = default_period);

    /// Keys for a fleet: whoever has the same secret and period comes to the same keys at the same
    /// time (HKDF, RFC 5869, of the secret and the number of periods since 1970), in whichever
    /// process on whichever machine. Clocks may differ by less than a period.
    ///
    /// secret: at least 32 bytes from a random generator, known to the servers alone, for it opens
    /// every ticket sealed under it, and with them TLS 1.2 connections that were recorded, and
    /// early data: replace() it from time to time. Copied; the caller's to wipe. Throws error with
    /// errc::invalid_setting if it or the period is too short, and OpenSSL's code.
    [[nodiscard]] static ticket_keys shared(std::span<const std::byte> secret,
                                            std::chrono::seconds period = default_period);

    /// Seals with keys of this secret from now on. Those of the previous one still open their
    /// tickets until these have expired. Throws as shared() does, and keeps the keys it has then.
    void replace(std::span<const std::byte> secret);

    [[nodiscard]] std::chrono::seconds period() const noexcept;

    /// The library's own way in.
    explicit ticket_keys(std::shared_ptr<detail::ticket_key_ring> ring) noexcept;
    [[nodiscard]] const std::shared_ptr<detail::ticket_key_ring>& ring() const noexcept {
        return ring_;
    }

  private:
    std::shared_ptr<detail::ticket_key_ring> ring_;
};

} // namespace ringtls
