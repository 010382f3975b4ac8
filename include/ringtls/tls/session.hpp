// SPDX-License-Identifier: MIT
// What a client keeps of a connection to shorten the next one's handshake.
#pragma once

#include <ringtls/tls/secret.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ringtls::detail {
struct session_state;
class session_store;
} // namespace ringtls::detail

namespace [[gnu::visibility("default")]] ringtls {

/// A session of a client (RFC 8446, section 2.2; RFC 5077): the peer's certificate, accepted once
/// and not sent again, and the secret that takes its place.
///
/// So it is bound to what it was made under: the server's name, and everything in client_settings
/// that decides whom to trust and what to offer. Used under another name or other settings it is
/// refused with errc::session_refused; above all, a client that verifies never takes one of a
/// client that did not. Immutable; copies share it; any thread may hold them.
class session {
  public:
    /// What serialize() made. Throws error with errc::session_refused if it is anything else. The
    /// bytes must come from a place that only this program can write to: whoever can make up a
    /// session can pose as the server.
    [[nodiscard]] static session deserialize(std::span<const std::byte> from);

    /// For another process, of the same OpenSSL or a newer one. Secret: whoever reads it can resume
    /// the session in the client's name, and read TLS 1.2 connections that were recorded.
    [[nodiscard]] secret_bytes serialize() const;

    /// As it was verified: in lower case, without a trailing dot.
    [[nodiscard]] const std::string& server_name() const noexcept;
    /// By then the server has forgotten it. Offering it later does no harm: the handshake is full.
    [[nodiscard]] std::chrono::system_clock::time_point expires() const noexcept;
    /// TLS 1.3: to be used for one connection, for a second use lets an observer link the two
    /// (RFC 8446, appendix C.4).
    [[nodiscard]] bool single_use() const noexcept;
    /// Bytes of early data that the server takes with it: 0 if it takes none.
    [[nodiscard]] std::uint32_t early_data_limit() const noexcept;

    /// The library's own way in.
    explicit session(std::shared_ptr<const detail::session_state> state) noexcept;
    [[nodiscard]] const std::shared_ptr<const detail::session_state>& state() const noexcept {
        return state_;
    }

  private:
    std::shared_ptr<const detail::session_state> state_;
};

/// Where client contexts keep the sessions of their streams: by server name, port of the socket's
/// peer (0 if there is none yet, as with connect_options::fast_open(), or none at all: over a unix
/// socket or a byte_stream) and settings. Contexts that
/// share a cache resume each other's sessions only if their settings agree in all that a session is
/// bound to.
///
/// Bounded: the oldest session makes room. A session of TLS 1.3 is taken out when it is used, and
/// of one server only the newest four are kept; one of TLS 1.2 stays until a newer comes. Expired
/// ones are never used. Copies are the same cache; any thread may use it. Wiped with the last copy.
class session_cache {
  public:
    explicit session_cache(std::size_t capacity = 256);

    [[nodiscard]] std::size_t size() const;
    /// Forgets all.
    void clear();

    /// The library's own way in.
    [[nodiscard]] const std::shared_ptr<detail::session_store>& store() const noexcept {
        return store_;
    }

  private:
    std::shared_ptr<detail::session_store> store_;
};

} // namespace ringtls
