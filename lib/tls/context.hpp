// SPDX-License-Identifier: MIT
// An SSL_CTX and what its callbacks need.
#pragma once

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "openssl_handles.hpp"
#include "trust.hpp"

#include <string>

namespace ringtls::detail {

/// Immutable once made. Every connection keeps its context alive.
class context {
  public:
    explicit context(const client_settings& settings);
    explicit context(const server_settings& settings);
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    [[nodiscard]] SSL_CTX* native() const noexcept { return ctx_.get(); }
    [[nodiscard]] bool is_client() const noexcept { return client_; }
    [[nodiscard]] bool checks_name() const noexcept { return checks_name_; }

  private:
    template<class Settings>
    void apply_common(const Settings& settings);
    /// alone: they are all that the peer's certificate is held to.
    void apply_pins(bool alone);
    void apply_alpn(const std::vector<std::string>& protocols);

    /// For SSL_CTX_set_alpn_select_cb(3).
    static int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                           const unsigned char* offered, unsigned int offered_size, void* self);

    ssl_ctx_handle ctx_;
    bool client_;
    bool checks_name_ = true;
    pin_set pins_;
    std::string alpn_; ///< in the extension's form: each protocol behind its length
};

} // namespace ringtls::detail
