// SPDX-License-Identifier: MIT
// One connection of the load, TLS or plain, and what they all share.
//
//   SSL_write -> output of the client -> one send        (what does not fit stays with the
//                                                         connection until it is writable)
//   SSL_read  <- OpenSSL's read-ahead buffer <- one recv an edge
//
#pragma once

#include "options.hpp"
#include "poller.hpp"

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace load {

template<auto Free>
struct freed_by {
    template<class Object>
    void operator()(Object* object) const {
        Free(object);
    }
};

/// The context, the buffer for records on their way out, and the session to resume.
class client {
  public:
    explicit client(const options& options);
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() = default;

    [[nodiscard]] const options& settings() const { return options_; }

  private:
    friend class connection;

    static int keep_session(SSL* ssl, SSL_SESSION* session);

    const options& options_;
    std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>> context_; // none: plain
    std::unique_ptr<BIO_METHOD, freed_by<BIO_meth_free>> method_;
    std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>> session_; // the last that came
    std::vector<unsigned char> output_;                                // empty between two calls
    std::uint32_t opened_ = 0; // so many connections: gives the source address
};

/// Non-blocking. Every failure throws std::runtime_error, as one of them spoils the measurement.
class connection {
  public:
    /// The most that one write() takes: a send so large wakes the server seldom.
    static constexpr std::size_t chunk = 262144;
    static constexpr std::size_t record = SSL3_RT_MAX_PLAIN_LENGTH;

    /// Begins to connect.
    connection(client& owner, poller& poller, std::uint32_t index);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    /// To be called with each event before anything else.
    void notice(std::uint32_t events);

    /// Goes on with connecting and the handshake; true when they are done.
    bool establish();
    [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
    [[nodiscard]] bool has_session() const { return has_session_; }

    /// 0: nothing until the next event. Throws when the peer has closed.
    std::size_t read(std::span<std::byte> into);

    /// What was taken, in records of `record_size`; 0: nothing until the next event.
    std::size_t write(std::span<const std::byte> data, std::size_t record_size = record);
    [[nodiscard]] bool writable() const { return writable_; }

    /// Sends close_notify and FIN, in one segment; false when it is to be called again.
    bool close_writing();
    /// After close_writing(): drops what still comes; true when the peer has closed.
    bool ended();

  private:
    static int bio_read(BIO* bio, char* into, int size);
    static int bio_write(BIO* bio, const char* data, int size);
    static long bio_control(BIO* bio, int command, long number, void* pointer);
    friend class client;

    void open_socket();
    void allow_little() const;
    void open_tls();
    ssize_t receive(void* into, std::size_t size);
    std::size_t send(std::span<const unsigned char> data, int flags);
    bool transmit(int flags);
    bool flush();
    [[noreturn]] void fail(const char* what, int result) const;

    client& owner_;
    int socket_ = -1;
    std::unique_ptr<SSL, freed_by<SSL_free>> ssl_;
    std::vector<unsigned char> unsent_;
    bool connected_ = false;
    bool readable_ = false; // since the last edge no recv has come back short
    bool writable_ = false;
    bool hung_up_ = false; // the peer's FIN or RST is there: no further edge will tell
    bool has_session_ = false;
    bool closing_ = false;
};

} // namespace load
