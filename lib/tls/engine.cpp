// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include "certificate_reader.hpp"
#include "context.hpp"
#include "questions.hpp"
#include "server_name.hpp"

#include <openssl/err.h>

#include <array>
#include <cerrno>

namespace ringtls::detail {
namespace {

/// Where an SSL keeps its engine.
int engine_index() {
    static const int index = check_openssl(
        SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr) + 1, "SSL_get_ex_new_index");
    return index - 1;
}

/// Looks first: ERR_clear_error(3) goes through all of the queue's sixteen places.
void clear_errors() noexcept {
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/// The error of applications is that of our pins.
errc code_of(const verification& refused) {
    return refused.code == X509_V_ERR_APPLICATION_VERIFICATION ? errc::pin_mismatch
                                                               : errc::verify_failed;
}

std::string reason_of(const verification& refused) {
    if (code_of(refused) == errc::pin_mismatch)
        return refused.subject;
    return std::string(refused.reason()) + " at depth " + std::to_string(refused.depth) + " (" +
           refused.subject + ")";
}

/// What failed below OpenSSL, and what a byte_stream said of it.
void blame(const failure& below, failure& cause, error_details& details) {
    cause.code = below.code;
    if (below.details)
        details = *below.details;
}

std::string text_or_empty(const char* text) {
    return text ? text : "";
}

} // namespace

engine* engine::of(const SSL* ssl) noexcept {
    return static_cast<engine*>(SSL_get_ex_data(ssl, engine_index()));
}

engine::engine(std::shared_ptr<const context> settings, int fd, const std::string& server_name,
               byte_link* link)
    : context_(std::move(settings)),
      transport_(fd, link),
      ssl_(make_ssl(*context_)),
      server_name_(server_name) {
    if (context_->is_client())
        set_server_name(ssl_.get(), server_name, context_->checks_name());
    if (context_->asks().any() || context_->names())
        questions_ = std::make_unique<questions>();
    if (context_->chooses())
        transport_.keep_input();
}

engine::~engine() = default;

ssl_handle engine::make_ssl(const context& settings) {
    clear_errors();
    ssl_handle made(check_openssl(SSL_new(settings.native()), "SSL_new"));
    check_openssl(SSL_set_ex_data(made.get(), engine_index(), this), "SSL_set_ex_data");
    SSL_set_msg_callback_arg(made.get(), this);
    if (exactly_)
        SSL_set_read_ahead(made.get(), 0);
    // Two BIOs, for each keeps its own answer to whether a call is worth repeating.
    SSL_set0_rbio(made.get(), transport_.make_bio().release());
    SSL_set0_wbio(made.get(), transport_.make_bio().release());
    if (settings.is_client())
        SSL_set_connect_state(made.get());
    else
        SSL_set_accept_state(made.get());
    return made;
}

void engine::receive_exactly() {
    if (SSL_in_before(ssl_.get()) != 1)
        throw error(errc::not_available, "make_detachable");
    exactly_ = true;
    SSL_set_read_ahead(ssl_.get(), 0);
}

/// A new SSL receives the ClientHello once more. SSL_set_SSL_CTX(3) would leave options, versions,
/// groups, what clients are asked for, and the keys of the tickets as they were; and nothing was
/// sent so far.
///
/// If that throws, the choice stands, and the next attempt is another try.
void engine::change_context() {
    auto next = make_ssl(*questions_->choice());
    bind_sessions(next.get(), questions_->choice()->scope(), questions_->asked_name());
    ssl_ = std::move(next);
    context_ = questions_->take_choice();
    transport_.replay_input();
    if (context_->chooses())
        return;
    transport_.drop_input();
    questions_->forget_hello();
}

// Every call below finds OpenSSL's error queue empty: SSL_get_error(3) believes whatever it finds
// there, another connection's leftovers too.

step engine::handshake() {
    transport_.set_mode(transport::write_mode::direct);
    const auto step = shake_hands();
    if (step == step::done)
        established_ = true;
    if (step == step::failed || transport_.write_error() == 0)
        return step;
    const auto left = established_ ? peek() : step;
    if (left == step::want_read && !transport_.paused())
        return fail();
    return left == step::closed ? step::done : left;
}

step engine::shake_hands() {
    auto step = step::done;
    do {
        take_choice();
        clear_errors();
        step = classify_sending(SSL_do_handshake(ssl_.get()));
    } while (is_answered(step));
    return step;
}

/// The context that a ClientHello has chosen, if it has.
void engine::take_choice() {
    if (questions_ && questions_->choice())
        change_context();
}

/// OpenSSL waits for an answer that there is already.
bool engine::is_answered(step what) const noexcept {
    return what == step::want_decision && !questions_->open();
}

/// What OpenSSL would answer to a call that reads, known without it: that takes a buffer for a
/// record, looks for one, and gives the buffer back.
bool engine::nothing_to_read() const noexcept {
    return transport_.drained() && SSL_has_pending(ssl_.get()) == 0 && !in_handshake();
}

step engine::read(std::span<std::byte> into, std::size_t& count) {
    if (nothing_to_read())
        return step::want_read;
    transport_.set_mode(transport::write_mode::spill);
    clear_errors();
    return classify(SSL_read_ex(ssl_.get(), into.data(), into.size(), &count));
}

bool engine::in_handshake() const noexcept {
    return SSL_in_init(ssl_.get()) == 1 || SSL_renegotiate_pending(ssl_.get()) == 1;
}

step engine::peek() {
    if (nothing_to_read())
        return step::want_read;
    transport_.set_mode(transport::write_mode::spill);
    char first = 0;
    std::size_t count = 0;
    clear_errors();
    const auto step = classify(SSL_peek_ex(ssl_.get(), &first, 1, &count));
    OPENSSL_cleanse(&first, 1);
    return step;
}

step engine::write(std::span<const std::byte> from, bool more, std::size_t& count) {
    transport_.set_mode(transport::write_mode::direct, more);
    clear_errors();
    return classify_sending(SSL_write_ex(ssl_.get(), from.data(), from.size(), &count));
}

step engine::settle(std::span<const std::byte> from, bool more, std::size_t& count) {
    transport_.set_mode(transport::write_mode::settle, more);
    clear_errors();
    return classify_sending(SSL_write_ex(ssl_.get(), from.data(), from.size(), &count));
}

/// SSL_shutdown(3) answers 0 for "sent, and the peer's not seen yet", which is all that is wanted.
step engine::close_write() {
    transport_.set_mode(transport::write_mode::settle);
    clear_errors();
    const int answer = SSL_shutdown(ssl_.get());
    if (answer < 0)
        return classify_sending(answer);
    close_sent_ = true;
    return step::done;
}

step engine::key_update(bool request_peer) {
    transport_.set_mode(transport::write_mode::settle);
    clear_errors();
    const int kind = request_peer ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
    if (SSL_key_update(ssl_.get(), kind) != 1)
        return fail();
    return classify_sending(SSL_do_handshake(ssl_.get()));
}

step engine::classify(int answer) noexcept {
    if (answer > 0)
        return step::done;
    switch (SSL_get_error(ssl_.get(), answer)) {
    case SSL_ERROR_WANT_READ:
        return step::want_read;
    case SSL_ERROR_WANT_WRITE:
        return step::want_write;
    case SSL_ERROR_ZERO_RETURN:
        close_received_ = true;
        return step::closed;
    case SSL_ERROR_SSL:
    case SSL_ERROR_SYSCALL:
        return fail();
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
    case SSL_ERROR_WANT_RETRY_VERIFY:
    case SSL_ERROR_WANT_X509_LOOKUP:
        if (questions_ && questions_->asking())
            return step::want_decision;
        [[fallthrough]];
    default: // wants that only a callback set through native_handle() can cause
        failure_ = {errc::unsupported_want, nullptr};
        return step::failed;
    }
}

/// Once the peer's close_notify was received, SSL_get_error(3) answers with it to a call that could
/// not send, too; and in place of a handshake it is no end, but a failure.
step engine::classify_sending(int answer) noexcept {
    const auto step = classify(answer);
    return step == step::closed ? fail() : step;
}

step engine::fail() noexcept {
    failure_ = {std::make_error_code(std::errc::not_enough_memory), nullptr};
    try {
        explain();
    } catch (const std::bad_alloc&) {
        ERR_clear_error(); // nor is there memory to say more
    }
    return step::failed;
}

/// Names the cause. What the transport received, or did not, outranks OpenSSL's words for it, which
/// differ from version to version; a send that failed is the cause only if there is no other, or
/// if it was told of a reset, of which the socket tells only once.
void engine::explain() {
    auto report = take_openssl_errors();
    auto details = std::make_shared<error_details>();
    failure cause{report.code, nullptr};
    const bool decided = questions_ && questions_->refusal();
    const bool refused =
        report.code && ERR_GET_REASON(static_cast<unsigned>(report.code.value())) ==
                           SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (decided) {
        cause.code = questions_->refusal().code;
        if (questions_->refusal().details)
            *details = *questions_->refusal().details;
    } else if (verification_ && refused) {
        cause.code = code_of(*verification_);
        details->verification = verification_;
        details->reason = reason_of(*verification_);
    } else if (staple_ != staple_verdict::good) {
        cause.code = errc::ocsp_refused;
        details->reason = text_of(staple_);
    } else if (transport_.read_error() != 0) {
        blame(transport_.read_failure(), cause, *details);
    } else if (transport_.ended() && transport_.write_error() == ECONNRESET) {
        cause.code = {ECONNRESET, std::system_category()};
    } else if (transport_.ended()) {
        cause.code = errc::truncated;
        details->reason = "connection ended without close_notify";
    } else if (!cause.code && transport_.write_error() != 0) {
        blame(transport_.write_failure(), cause, *details);
    } else if (!cause.code && close_received_) {
        cause.code = errc::truncated;
        details->reason = "the peer closed too early";
    } else if (!cause.code) {
        cause.code = std::make_error_code(std::errc::io_error);
    }
    if (details->chain.empty())
        details->chain = std::move(report.chain);
    if (details->subject.empty())
        details->subject = server_name_;
    // OpenSSL answers the end of TCP with an alert that nobody hears.
    if (cause.code != errc::truncated && cause.code != std::errc::connection_reset)
        details->alert = alert_;
    cause.details = std::move(details);
    failure_ = std::move(cause);
}

failure engine::write_failure() const noexcept {
    return transport_.write_failure();
}

bool engine::is_client() const noexcept {
    return context_->is_client();
}

bool engine::is_tls_1_3() const noexcept {
    return SSL_version(ssl_.get()) >= TLS1_3_VERSION;
}

connection_info engine::info() const {
    connection_info info;
    if (!established_)
        return info;
    const SSL* const ssl = ssl_.get();
    info.protocol = text_or_empty(SSL_get_version(ssl));
    info.cipher = text_or_empty(SSL_get_cipher_name(ssl));
    if (const int group = static_cast<int>(SSL_get_negotiated_group(ssl_.get())); group != 0)
        info.group = text_or_empty(SSL_group_to_name(ssl_.get(), group));
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &size);
    info.alpn.assign(protocol, protocol + size);
    info.server_name = text_or_empty(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    if (questions_)
        info.ja4 = questions_->fingerprint();
    info.resumed = SSL_session_reused(ssl) == 1;
    info.verify_code = SSL_get_verify_result(ssl);
    info.verify_result = X509_verify_cert_error_string(info.verify_code);
    if (X509* const peer = SSL_get0_peer_certificate(ssl))
        info.peer = read_certificate(*peer);
    return info;
}

void engine::callbacks::message(int sent, int /*version*/, int kind, const void* data,
                                std::size_t size, SSL* /*ssl*/, void* argument) {
    auto* const self = static_cast<engine*>(argument);
    if (!self)
        return;
    auto& counters = self->transport_.counters();
    if (kind == SSL3_RT_HEADER)
        ++(sent != 0 ? counters.records_sent : counters.records_received);
    if (kind != SSL3_RT_HANDSHAKE || size == 0)
        return;
    const auto type = *static_cast<const unsigned char*>(data);
    if (type == SSL3_MT_KEY_UPDATE) {
        ++(sent != 0 ? counters.key_updates_sent : counters.key_updates_received);
        self->key_updates_ += sent != 0 ? 0 : 1;
    } else if (type == SSL3_MT_CLIENT_HELLO && sent == 0 && self->questions_) {
        self->questions_->hear(std::span(static_cast<const std::byte*>(data), size),
                               *self->context_);
    }
}

int engine::callbacks::client_hello(SSL* ssl, int* alert, void* /*argument*/) {
    engine* const self = of(ssl);
    if (!self || !self->questions_)
        return SSL_CLIENT_HELLO_ERROR;
    const int answer = self->questions_->client_hello(self->context_, alert);
    if (answer == SSL_CLIENT_HELLO_SUCCESS)
        self->transport_.drop_input();
    return answer;
}

/// A server that uses the name says so (RFC 6066, section 3). It is used once: a second ClientHello
/// is the first one's but for what was asked for (RFC 8446, section 4.1.2), which OpenSSL does not
/// check of the name. In a resumed TLS 1.2 connection it tells the session's name here.
int engine::callbacks::server_name(SSL* ssl, int* alert, void* /*argument*/) {
    engine* const self = of(ssl);
    if (!self || !self->questions_)
        return SSL_TLSEXT_ERR_NOACK;
    const bool of_session = SSL_session_reused(ssl) == 1 && !self->is_tls_1_3();
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!of_session && !self->questions_->agrees(name ? name : "")) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return self->questions_->chose() ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int engine::callbacks::server_certificate(X509_STORE_CTX* store, void* /*argument*/) {
    auto* const ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    engine* const self = ssl ? of(ssl) : nullptr;
    if (!self || !self->questions_)
        return 0;
    return self->questions_->server_certificate(self->context_, self->server_name_, ssl, store,
                                                self->verification_);
}

int engine::callbacks::certificate(SSL* ssl, void* /*argument*/) {
    engine* const self = of(ssl);
    if (!self || !self->questions_)
        return 0;
    return self->questions_->certificate(self->context_, self->server_name_, ssl);
}

void engine::callbacks::info(const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_ALERT) == 0)
        return;
    engine* const self = of(ssl);
    const auto description = static_cast<std::uint8_t>(value & 0xff);
    // A warning ends nothing.
    if (!self || value >> 8 != SSL3_AL_FATAL)
        return;
    self->alert_ =
        alert{(where & SSL_CB_READ) != 0 ? alert::direction::received : alert::direction::sent,
              description};
}

int engine::callbacks::check_staple(SSL* ssl, void* /*argument*/) {
    engine* const self = of(ssl);
    if (SSL_session_reused(ssl) == 1)
        return 1;
    const auto verdict = verdict_of_staple(ssl);
    if (self)
        self->staple_ = verdict;
    return verdict == staple_verdict::good ? 1 : 0;
}

void engine::callbacks::log_key(const SSL* ssl, const char* line) {
    if (const engine* const self = of(ssl))
        self->context_->keys_to().log(line);
}

int engine::callbacks::verify(int accepted, X509_STORE_CTX* store) {
    const auto* const ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    engine* const self = ssl ? of(ssl) : nullptr;
    if (accepted == 1 || !self || self->verification_)
        return accepted;
    try {
        verification refused;
        refused.code = X509_STORE_CTX_get_error(store);
        refused.depth = X509_STORE_CTX_get_error_depth(store);
        if (X509* const certificate = X509_STORE_CTX_get_current_cert(store))
            refused.subject = name_text(X509_get_subject_name(certificate));
        self->verification_ = std::move(refused);
    } catch (const std::exception&) {
        // No memory for the explanation. The verdict stands, and nothing may pass through C.
    }
    return accepted;
}

} // namespace ringtls::detail
