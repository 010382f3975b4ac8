// SPDX-License-Identifier: MIT
// The SSL state machine, one step at a time. Calls OpenSSL, classifies its answer, never waits.
//
//   connection --- step ---> engine --- SSL_read_ex, SSL_write_ex, ... ---> libssl
//                              |                                              |
//                              +<-- done | want_read | want_write             v
//                                 | closed | failed        transport (BIO) --- send, recv
#pragma once

#include <ringtls/tls/connection_info.hpp>
#include <ringtls/tls/replayable.hpp>

#include "failure.hpp"
#include "ocsp.hpp"
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
class questions;
struct session_state;

/// How a call into OpenSSL ended.
enum class step {
    done,
    want_read,     ///< the same call again, once the socket is readable
    want_write,    ///< the same call again, once the socket is writable
    want_decision, ///< the same call again, once the application has answered asked()
    closed,        ///< the peer sent close_notify
    failed,        ///< what() tells why; for good
};

class engine {
  public:
    /// server_name: empty for servers. link: as of a transport. Throws error.
    engine(std::shared_ptr<const context> settings, int fd, const std::string& server_name,
           byte_link* link = nullptr);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    [[nodiscard]] bool is_client() const noexcept;

    /// The engine of an SSL; null: of one that this library did not make.
    [[nodiscard]] static engine* of(const SSL* ssl) noexcept;

    [[nodiscard]] bool keeps_sessions() const noexcept;
    /// Before the handshake, of a client whose context keeps sessions: offers one of its cache's.
    void use_sessions(std::uint16_t port);
    /// Before the handshake: OpenSSL receives a record's header, then its body, and nothing beyond,
    /// so that what follows the last one stays in the socket. Throws error with
    /// errc::not_available.
    void receive_exactly();
    [[nodiscard]] bool receives_exactly() const noexcept { return exactly_; }
    /// Before the handshake: offers this session. Throws error with errc::session_refused.
    void resume(const session_state& with);
    /// What may be resumed next; null: nothing.
    [[nodiscard]] std::shared_ptr<const session_state> session() const;
    [[nodiscard]] bool resumed() const noexcept;

    /// A client's early data is one record, or it is no early data.
    static constexpr std::size_t early_data_bound = SSL3_RT_MAX_PLAIN_LENGTH;
    /// So much could be sent now: a client before its handshake, with a session that allows it.
    [[nodiscard]] bool takes_early_data(std::size_t size) const noexcept;
    /// Begins the handshake with it; what the socket does not take is spilled.
    step send_early_data(std::span<const std::byte> from);
    [[nodiscard]] early_data_status early_data() const noexcept;
    /// The one that was negotiated now is the one that early data was sent for.
    [[nodiscard]] bool same_protocol_as_early_data() const noexcept;
    /// A server's, before its handshake is over; 0 bytes: there is no more.
    step read_early_data(std::span<std::byte> into, std::size_t& count);
    /// There may be some that was not read: the handshake cannot go on.
    [[nodiscard]] bool early_data_unread() const noexcept { return early_begun_ && !early_read_; }
    /// A server that has accepted early data may answer before the handshake is over.
    [[nodiscard]] bool answers_early_data() const noexcept;
    /// At most one record of that answer; what the socket does not take is spilled.
    step write_early_data(std::span<const std::byte> from, std::size_t& count);

    /// A send that fails is not the end of it while there is something to read: the alert of a peer
    /// that refuses, or all that a client wrote which is gone before the server's tickets.
    step handshake();
    /// The first handshake is complete.
    [[nodiscard]] bool established() const noexcept { return established_; }

    /// What the application has to answer; after want_decision.
    [[nodiscard]] questions& asked() noexcept { return *questions_; }

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
    [[nodiscard]] ssl_handle make_ssl(const context& settings);
    [[nodiscard]] step shake_hands();
    [[nodiscard]] step look_for_early_data(std::span<std::byte> into, std::size_t& count);
    void take_choice();
    [[nodiscard]] bool is_answered(step what) const noexcept;
    void change_context();
    [[nodiscard]] std::string session_key() const;
    [[nodiscard]] bool nothing_to_read() const noexcept;
    step classify(int answer) noexcept;
    step classify_sending(int answer) noexcept;
    step fail() noexcept;
    void explain();

    std::shared_ptr<const context> context_;
    std::unique_ptr<questions> questions_; ///< null: its context has none
    bool exactly_ = false;                 ///< OpenSSL receives nothing beyond the record it reads
    transport transport_;
    ssl_handle ssl_; ///< after the transport, which its BIOs use until it is freed
    std::string server_name_;
    bool established_ = false;
    bool early_begun_ = false;    ///< a server has looked for early data
    bool early_read_ = false;     ///< and there is no more
    bool early_accepted_ = false; ///< there was some
    staple_verdict staple_ = staple_verdict::good;
    bool close_received_ = false;
    bool close_sent_ = false;
    std::uint16_t port_ = 0; ///< that sessions are kept by
    int key_updates_ = 0;
    std::optional<alert> alert_;
    std::unique_ptr<const std::string> early_protocol_; ///< the session's by ALPN; null: none sent
    std::optional<verification> verification_;          ///< the first certificate that was refused
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
    /// For SSL_CTX_set_session_ticket_cb(3).
    static SSL_TICKET_RETURN ticket_opened(SSL* ssl, SSL_SESSION* session,
                                           const unsigned char* name, std::size_t name_size,
                                           SSL_TICKET_STATUS status, void* argument);
    /// For SSL_CTX_set_client_hello_cb(3).
    static int client_hello(SSL* ssl, int* alert, void* argument);
    /// For SSL_CTX_set_tlsext_servername_callback(3).
    static int server_name(SSL* ssl, int* alert, void* argument);
    /// For SSL_CTX_set_cert_verify_callback(3).
    static int server_certificate(X509_STORE_CTX* store, void* argument);
    /// For SSL_CTX_set_cert_cb(3).
    static int certificate(SSL* ssl, void* argument);
};

} // namespace ringtls::detail
