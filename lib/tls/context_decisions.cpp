// SPDX-License-Identifier: MIT
// A context's part in what the application decides: which of OpenSSL's callbacks ask.
#include "context.hpp"

#include "engine.hpp"
#include "failure.hpp"

#include <openssl/crypto.h>

namespace ringtls::detail {

void context::apply_decisions(const client_settings& settings) {
    asks_.verify = settings.server_certificate();
    asks_.certificate = settings.certificate_needed();
    if (asks_.verify && settings.accepts_any_certificate())
        throw_openssl_error("on_server_certificate", "together with danger_accept_any_certificate",
                            errc::invalid_setting);
    constexpr auto first_that_can = 0x30000020UL; // 3.0.2; before, SSL_set_retry_verify fails
    if (asks_.verify && OpenSSL_version_num() < first_that_can)
        throw_openssl_error("on_server_certificate", "needs OpenSSL 3.0.2", errc::invalid_setting);
    if (asks_.verify)
        SSL_CTX_set_cert_verify_callback(ctx_.get(), engine::callbacks::server_certificate,
                                         nullptr);
    if (asks_.certificate)
        SSL_CTX_set_cert_cb(ctx_.get(), engine::callbacks::certificate, nullptr);
}

void context::apply_decisions(const server_settings& settings) {
    asks_.hello = settings.client_hello();
    asks_.certificate = settings.certificate_needed();
    asks_.fingerprint = settings.fingerprints_clients();
    SSL_CTX_set_tlsext_servername_callback(ctx_.get(), engine::callbacks::server_name);
    if (asks_.hello)
        SSL_CTX_set_client_hello_cb(ctx_.get(), engine::callbacks::client_hello, nullptr);
    if (asks_.certificate)
        SSL_CTX_set_cert_cb(ctx_.get(), engine::callbacks::certificate, nullptr);
}

} // namespace ringtls::detail
