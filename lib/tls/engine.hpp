// SPDX-License-Identifier: MIT
// The SSL state machine, one step at a time. Calls OpenSSL, classifies its answer, never waits.
//
//   connection --- step ---> engine --- SSL_read_ex, SSL_write_ex, ... ---> libssl
//                              |                                              |
//                              +<-- done | want_read | want_write             v
//                                 | closed | failed        transport (BIO) --- send, recv
#pragma once

#include <ringtls/tls/connection_info.hpp>

#include "failure.hpp"
#include "openssl_handles.hpp"
#include "transport.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace ringtls::detail {

class context;
struct session_state;

/// How a call into OpenSSL ended.
enum class step {
    done,
    want_read,  ///< the same call again, once the socket is readable
    want_write, ///< the same call again, once the socket is writable
    closed,     ///< the peer sent close_notify
    failed,     ///< what() tells why; for good
};

class engine {
  public:
    /// server_name: empty for servers. Throws error.
    engine(const context& settings, int fd, const std::string& server_name);
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// The engine of an SSL; null: of one that this library did not make.
    [[nodiscard]] static engine* of(const SSL* ssl) noexcept;

    /// Before the handshake, of a client whose context keeps sessions: offers one of its cache's.
    void use_sessions(std::uint16_t port);
    /// Before the handshake: offers this session. Throws error with errc::session_refused.
    void resume(const session_state& with);
    /// What may be resumed next; null: nothing.
    [[nodiscard]] std::shared_ptr<const session_state> session() const;
    [[nodiscard]] bool resumed() const noexcept;

    /// A send that fails is not the end of it while there is something to read: the alert of a peer
    /// that refuses, or all that a client wrote which is gone before the server's tickets.
    step handshake();
    /// The first handshake is complete.
    [[nodiscard]] bool established() const noexcept { return established_; }

    /// At most one record. What this makes OpenSSL write never blocks it: see transport.
    step read(std::span<std::byte> into, std::size_t& count);
    /// A handshake message is half received, or TLS 1.2 is shaking hands again: OpenSSL refuses to
    /// close and to update keys until that is over.
    [[nodiscard]] bool in_handshake() const noexcept;
    /// TLS 1.2 is shaking hands again, or about to. Only reading calls may take it further then:
    /// a writing one would find the peer's application data in the way, and OpenSSL calls that an
    /// unexpected record.
    [[nodiscard]] bool renegotiating() const noexcept { return in_handshake() && !is_tls_1_3(); }
    /// done: a read would not wait.
    step peek();
    /// At most one record. After want_write only the same call may follow, or settle(). more: the
    /// next one follows right behind.
    step write(std::span<const std::byte> from, bool more, std::size_t& count);
    /// The same, but what the socket does not take is spilled, so that no call is left to repeat.
    step settle(std::span<const std::byte> from, bool more, std::size_t& count);
    /// Sends close_notify, or spills it.
    step close_write();
    /// Sends a key update, or spills it. Established TLS 1.3 only.
    step key_update(bool request_peer);

    /// Key updates received since this was last asked.
    [[nodiscard]] int take_key_updates() noexcept { return std::exchange(key_updates_, 0); }

    /// Makes this the reason why a step failed.
    step fail_with(errc code) noexcept {
        failure_ = {code, nullptr};
        return step::failed;
    }
    /// Why a step failed.
    [[nodiscard]] const failure& what() const noexcept { return failure_; }
    /// What a failed send, which OpenSSL may not have noticed, amounts to.
    [[nodiscard]] failure write_failure() const noexcept;

    [[nodiscard]] bool close_received() const noexcept { return close_received_; }
    [[nodiscard]] bool close_sent() const noexcept { return close_sent_; }
    [[nodiscard]] bool is_tls_1_3() const noexcept;
    [[nodiscard]] connection_info info() const;
    [[nodiscard]] transport& socket() noexcept { return transport_; }
    [[nodiscard]] const transport& socket() const noexcept { return transport_; }
    [[nodiscard]] SSL* native() const noexcept { return ssl_.get(); }

    /// OpenSSL's callbacks report here; contexts install them.
    struct callbacks;

  private:
    [[nodiscard]] std::string session_key() const;
    [[nodiscard]] bool nothing_to_read() const noexcept;
    step classify(int answer) noexcept;
    step classify_sending(int answer) noexcept;
    step fail() noexcept;
    void explain();

    transport transport_;
    ssl_handle ssl_; ///< after the transport, which its BIOs use until it is freed
    std::string server_name_;
    const context& settings_;
    bool established_ = false;
    bool new_session_ = false; ///< the server has sent one since the handshake began
    bool close_received_ = false;
    bool close_sent_ = false;
    std::uint16_t port_ = 0; ///< that sessions are kept by
    int key_updates_ = 0;
    std::optional<alert> alert_;
    const char* ocsp_refusal_ = nullptr;
    std::optional<verification> verification_; ///< the first certificate that was refused
    failure failure_;
};

struct engine::callbacks {
    /// For SSL_CTX_set_msg_callback(3).
    static void message(int sent, int version, int kind, const void* data, std::size_t size,
                        SSL* ssl, void* argument);
    /// For SSL_CTX_set_info_callback(3).
    static void info(const SSL* ssl, int where, int value);
    /// For SSL_CTX_set_verify(3).
    static int verify(int accepted, X509_STORE_CTX* store);
    /// For SSL_CTX_set_keylog_callback(3).
    static void log_key(const SSL* ssl, const char* line);
    /// For SSL_CTX_set_tlsext_status_cb(3) of clients.
    static int check_staple(SSL* ssl, void* argument);
    /// For SSL_CTX_sess_set_new_cb(3).
    static int new_session(SSL* ssl, SSL_SESSION* session);
    /// For SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
    static int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int seal);
};

} // namespace ringtls::detail
