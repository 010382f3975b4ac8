// SPDX-License-Identifier: MIT
// OpenSSL alone at the other end: what it wants to send is at hand before it is sent, so that a
// test can put plain bytes before or behind it, in the same segment.
#pragma once

#include "loopback.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace ringtls::test {

class openssl_peer {
  public:
    socket carrier;

    openssl_peer(socket on, bool is_client, tls_version version)
        : carrier(std::move(on)), context_(SSL_CTX_new(TLS_method())), ssl_(make(version)) {
        if (is_client) {
            REQUIRE(SSL_set_tlsext_host_name(ssl_.get(), "localhost") == 1);
            SSL_set_connect_state(ssl_.get());
        } else {
            REQUIRE(SSL_use_certificate_file(ssl_.get(), pki("server.pem").c_str(),
                                             SSL_FILETYPE_PEM) == 1);
            REQUIRE(SSL_use_PrivateKey_file(ssl_.get(), pki("server.key").c_str(),
                                            SSL_FILETYPE_PEM) == 1);
            SSL_set_accept_state(ssl_.get());
        }
    }

    SSL* ssl() noexcept { return ssl_.get(); }

    /// What it has to send by now.
    std::string output() {
        BIO* const out = SSL_get_wbio(ssl());
        std::string made(BIO_ctrl_pending(out), ' ');
        if (!made.empty())
            REQUIRE(BIO_read(out, made.data(), int(made.size())) == int(made.size()));
        return made;
    }
    /// The first part of the handshake: a client's ClientHello.
    std::string begin() {
        REQUIRE(SSL_do_handshake(ssl()) < 0);
        return output();
    }
    task<> shake_hands() {
        while (SSL_do_handshake(ssl()) != 1)
            co_await exchange();
        co_await send(output());
    }
    std::string written(std::string_view text) {
        REQUIRE(SSL_write(ssl(), text.data(), int(text.size())) == int(text.size()));
        return output();
    }
    std::string close_notify() {
        REQUIRE(SSL_shutdown(ssl()) >= 0);
        return output();
    }
    /// What one record holds; empty: close_notify.
    task<std::string> read() {
        std::string text(16384, ' ');
        for (;;) {
            const int count = SSL_read(ssl(), text.data(), int(text.size()));
            if (count > 0) {
                text.resize(std::size_t(count));
                co_return text;
            }
            if (SSL_get_shutdown(ssl()) & SSL_RECEIVED_SHUTDOWN)
                co_return std::string();
            co_await exchange();
        }
    }
    task<> send(std::string all) { co_await carrier.write(all); }

  private:
    struct free_ssl {
        void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
        void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    };

    SSL* make(tls_version version) {
        const int number = version == tls_version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
        SSL* const made = SSL_new(context_.get());
        REQUIRE(made);
        REQUIRE(SSL_set_min_proto_version(made, number) == 1);
        REQUIRE(SSL_set_max_proto_version(made, number) == 1);
        SSL_set_bio(made, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        return made;
    }
    /// Sends what it has, and takes what comes.
    task<> exchange() {
        co_await send(output());
        bytes buffer(4096);
        const auto count = co_await carrier.read(buffer);
        if (count == 0)
            throw std::runtime_error("the end of TCP");
        REQUIRE(BIO_write(SSL_get_rbio(ssl()), buffer.data(), int(count)) == int(count));
    }

    std::unique_ptr<SSL_CTX, free_ssl> context_;
    std::unique_ptr<SSL, free_ssl> ssl_;
};

} // namespace ringtls::test
