// SPDX-License-Identifier: MIT
// How an engine resumes sessions and what becomes of new ones.
#include "engine.hpp"

#include "context.hpp"

#include <openssl/err.h>

#include <exception>

namespace ringtls::detail {

std::string engine::session_key() const {
    return session_store::key_of(normalized_name(server_name_), port_, context_->scope());
}

bool engine::keeps_sessions() const noexcept {
    return context_->sessions() != nullptr;
}

void engine::use_sessions(std::uint16_t port) {
    port_ = port;
    if (const auto kept = context_->sessions()->take(session_key()))
        static_cast<void>(
            offer(ssl_.get(), kept.get(), normalized_name(server_name_), context_->checks_name()));
}

void engine::resume(const session_state& with) {
    const auto refuse = [this](const char* why) {
        auto details = std::make_shared<error_details>();
        details->subject = server_name_;
        details->reason = why;
        throw error(errc::session_refused, "resume", std::move(details));
    };
    if (SSL_in_before(ssl_.get()) != 1)
        refuse("the handshake has begun");
    if (!context_->is_client() || with.name != normalized_name(server_name_))
        refuse("it was made for another server");
    if (with.scope != context_->scope())
        refuse("it was made under other settings");
    ERR_clear_error();
    static_cast<void>(
        offer(ssl_.get(), copy_of(with.ssl.get()).get(), with.name, context_->checks_name()));
}

/// OpenSSL marks one of TLS 1.3 that was resumed as used, until the server sends another.
std::shared_ptr<const session_state> engine::session() const {
    const SSL_SESSION* const last = SSL_get0_session(ssl_.get());
    if (!context_->is_client() || !established_ || !last || SSL_SESSION_is_resumable(last) != 1)
        return nullptr;
    ERR_clear_error();
    return std::make_shared<const session_state>(
        session_state{copy_of(last), normalized_name(server_name_), context_->scope()});
}

bool engine::resumed() const noexcept {
    return established_ && SSL_session_reused(ssl_.get()) == 1;
}

int engine::callbacks::new_session(SSL* ssl, SSL_SESSION* session) try {
    engine* const self = of(ssl);
    if (!self)
        return 0;
    if (auto* const cache = self->context_->sessions())
        cache->add(self->session_key(), copy_of(session));
    return 0; // the cache has a copy
} catch (const std::exception&) {
    ERR_clear_error();
    return 0; // no memory for it: the next handshake will be a full one
}

int engine::callbacks::ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv,
                                  EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seal) {
    const engine* const self = of(ssl);
    if (!self)
        return 0;
    constexpr int opened = 1;
    constexpr int renew = 2;
    const int answer = self->context_->tickets()->answer(name, iv, cipher, mac, seal == 1);
    // A client of TLS 1.3 uses a ticket once, so that it needs another.
    return seal == 0 && answer == opened && self->is_tls_1_3() ? renew : answer;
}

/// A client is known by its certificate for as long as that is valid, however often its tickets
/// have been renewed. Otherwise what OpenSSL would do.
SSL_TICKET_RETURN engine::callbacks::ticket_opened(SSL* /*ssl*/, SSL_SESSION* session,
                                                   const unsigned char* /*name*/,
                                                   std::size_t /*name_size*/,
                                                   SSL_TICKET_STATUS status, void* /*argument*/) {
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509* const peer = SSL_SESSION_get0_peer(session);
    if (peer && has_expired(*peer))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

} // namespace ringtls::detail
