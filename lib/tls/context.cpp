// SPDX-License-Identifier: MIT
#include "context.hpp"

#include "engine.hpp"
#include "failure.hpp"
#include "pem_loader.hpp"
#include "policy.hpp"

#include <openssl/err.h>

namespace ringtls::detail {
namespace {

ssl_ctx_handle make(const SSL_METHOD* method) {
    ERR_clear_error();
    return ssl_ctx_handle(check_openssl(SSL_CTX_new(method), "SSL_CTX_new"));
}

/// For SSL_CTX_set_verify(3).
int mode_of(client_certificate asked) {
    switch (asked) {
    case client_certificate::not_asked:
        return SSL_VERIFY_NONE;
    case client_certificate::requested:
        return SSL_VERIFY_PEER;
    case client_certificate::required:
        break;
    }
    return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/// Trust that nobody is held to would be a mistake, and so is a demand that nobody can meet.
void require_consistency(const server_settings& settings, const pin_set& pins) {
    const bool asked = settings.client_certificates() != client_certificate::not_asked;
    const bool trusts = !settings.trusted().empty() || !settings.trusted_directories().empty() ||
                        settings.system_roots();
    if (asked && !trusts)
        refuse_setting("client certificate", "trust", "nobody is trusted");
    if (!asked && (trusts || !pins.empty() || !settings.revocation_lists().empty()))
        refuse_setting("client certificate", "trust", "no client is asked for a certificate");
}

std::string wire_form(const std::vector<std::string>& protocols) {
    std::string wire;
    for (const auto& protocol : protocols) {
        if (protocol.empty() || protocol.size() > 255)
            throw_openssl_error("alpn", "\"" + protocol + "\"", errc::invalid_setting);
        wire += static_cast<char>(protocol.size());
        wire += protocol;
    }
    return wire;
}

} // namespace

context::context(const client_settings& settings)
    : ctx_(make(TLS_client_method())),
      client_(true),
      checks_name_(!settings.accepts_any_name()), // danger_accept_any_name
      pins_(settings.certificate_pins(), settings.public_key_pins()) {
    SSL_CTX* const ctx = ctx_.get();
    apply_common(settings);
    apply_trust(ctx, settings);
    if (settings.own_identity())
        use_identity(ctx, *settings.own_identity());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, engine::callbacks::verify);
    if (settings.accepts_any_certificate())
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr); // danger_accept_any_certificate
    apply_pins(settings.accepts_any_certificate());
    apply_decisions(settings);
    if (!alpn_.empty() &&
        SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>(alpn_.data()),
                                static_cast<unsigned>(alpn_.size())) != 0)
        throw_openssl_error("alpn", "");
    apply_key_log(settings);
    apply_ocsp(settings);
    apply_sessions(settings);
}

context::context(const server_settings& settings)
    : ctx_(make(TLS_server_method())),
      client_(false),
      pins_(settings.certificate_pins(), settings.public_key_pins()) {
    SSL_CTX* const ctx = ctx_.get();
    apply_common(settings);
    for (const auto& own : settings.identities())
        use_identity(ctx, own);
    // The server's order decides, but for a client that has its reasons to want ChaCha20 first.
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    require_consistency(settings, pins_);
    // Tells clients which of their certificates would do.
    for (const auto& authority : apply_trust(ctx, settings))
        check_openssl(SSL_CTX_add_client_CA(ctx, authority.get()), "trust");
    SSL_CTX_set_verify(ctx, mode_of(settings.client_certificates()), engine::callbacks::verify);
    apply_pins(false);
    if (!alpn_.empty())
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, this);
    apply_decisions(settings);
    apply_key_log(settings);
    apply_ocsp(settings);
    apply_sessions(settings);
}

void context::apply_pins(bool alone) {
    if (pins_.empty())
        return;
    if (alone)
        SSL_CTX_set_verify(native(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(native(), alone ? pin_set::verify_pins : pin_set::verify_all,
                                     &pins_);
}

context::context(const server_names& names)
    : ctx_(make(TLS_server_method())), client_(false), pins_({}, {}), names_(names) {
    // A ClientHello is all that this one ever sees.
    SSL_CTX_set_info_callback(ctx_.get(), engine::callbacks::info);
    SSL_CTX_set_msg_callback(ctx_.get(), engine::callbacks::message);
    SSL_CTX_set_client_hello_cb(ctx_.get(), engine::callbacks::client_hello, nullptr);
}

template<class Settings>
void context::apply_common(const Settings& settings) {
    SSL_CTX* const ctx = ctx_.get();
    // PARTIAL_WRITE: a call ends with a record, also where the peer negotiated smaller ones.
    // RELEASE_BUFFERS: an idle connection holds no record buffers.
    // Not ACCEPT_MOVING_WRITE_BUFFER, which lets a wrong retry corrupt data in silence.
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION);
    // Whatever the system's configuration allows: the end without close_notify is an error here.
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_options(ctx, settings.renegotiation() ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION
                                                      : SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_info_callback(ctx, engine::callbacks::info);
    SSL_CTX_set_msg_callback(ctx, engine::callbacks::message);
    apply_policy(ctx, settings);
    alpn_ = wire_form(settings.alpn());
}

/// The server's preference decides (RFC 7301, section 3.2).
int context::select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                         const unsigned char* offered, unsigned int offered_size, void* self) {
    const auto& own = static_cast<const context*>(self)->alpn_;
    unsigned char* chosen = nullptr;
    const int result =
        SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(own.data()),
                              static_cast<unsigned>(own.size()), offered, offered_size);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

} // namespace ringtls::detail

namespace ringtls {

client_context::client_context(const client_settings& settings)
    : context_(std::make_shared<detail::context>(settings)) {}

ssl_ctx_st* client_context::native_handle() const noexcept {
    return context_->native();
}

server_context::server_context(const server_settings& settings)
    : context_(std::make_shared<detail::context>(settings)) {}

server_context::server_context(const server_names& names)
    : context_(std::make_shared<detail::context>(names)) {}

ssl_ctx_st* server_context::native_handle() const noexcept {
    return context_->native();
}

} // namespace ringtls
