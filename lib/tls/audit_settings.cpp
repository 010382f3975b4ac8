// SPDX-License-Identifier: MIT
// What contexts tell OpenSSL about key logs and stapled OCSP responses.
#include "context.hpp"

#include "engine.hpp"
#include "failure.hpp"

namespace ringtls::detail {

template<class Settings>
void context::apply_key_log(const Settings& settings) {
    key_log_.emplace(settings.key_log(), settings.sslkeylogfile());
    if (key_log_->wanted())
        SSL_CTX_set_keylog_callback(ctx_.get(), engine::callbacks::log_key);
}
template void context::apply_key_log(const client_settings& settings);
template void context::apply_key_log(const server_settings& settings);

void context::apply_ocsp(const client_settings& settings) {
    if (!settings.requires_stapled_ocsp())
        return;
    SSL_CTX* const ctx = ctx_.get();
    check_openssl(SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp), "OCSP");
    check_openssl(SSL_CTX_set_tlsext_status_cb(ctx, engine::callbacks::check_staple), "OCSP");
}

void context::apply_ocsp(const server_settings& settings) {
    ocsp_ = settings.ocsp_file().empty() ? settings.ocsp_source()
                                         : ocsp_from_file(settings.ocsp_file());
    if (!ocsp_)
        return;
    if (settings.identities().size() > 1 || settings.certificate_needed())
        throw_openssl_error("OCSP", "one response for several certificates", errc::invalid_setting);
    SSL_CTX* const ctx = ctx_.get();
    check_openssl(SSL_CTX_set_tlsext_status_cb(ctx, staple_response), "OCSP");
    check_openssl(SSL_CTX_set_tlsext_status_arg(ctx, this), "OCSP");
}

int context::staple_response(SSL* ssl, void* self) {
    return staple(ssl, static_cast<const context*>(self)->ocsp_);
}

} // namespace ringtls::detail
