// SPDX-License-Identifier: MIT
// An SSL_CTX and what its callbacks need.
#pragma once

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "key_log.hpp"
#include "name_map.hpp"
#include "ocsp.hpp"
#include "openssl_handles.hpp"
#include "questions.hpp"
#include "session.hpp"
#include "ticket_keys.hpp"
#include "trust.hpp"

#include <memory>
#include <optional>
#include <string>

namespace ringtls::detail {

/// Immutable once made. Every connection keeps its context alive.
class context {
  public:
    explicit context(const client_settings& settings);
    explicit context(const server_settings& settings);
    explicit context(const server_names& names);
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    [[nodiscard]] SSL_CTX* native() const noexcept { return ctx_.get(); }
    [[nodiscard]] bool is_client() const noexcept { return client_; }
    [[nodiscard]] bool checks_name() const noexcept { return checks_name_; }
    [[nodiscard]] const pin_set& pins() const noexcept { return pins_; }
    [[nodiscard]] const session_scope& scope() const noexcept { return scope_; }
    [[nodiscard]] const key_log& keys_to() const noexcept { return *key_log_; }
    /// A client's; null: it keeps none.
    [[nodiscard]] session_store* sessions() const noexcept { return sessions_.get(); }
    /// A server's.
    [[nodiscard]] ticket_key_ring* tickets() const noexcept { return tickets_.get(); }
    /// What the application decides.
    [[nodiscard]] const decisions& asks() const noexcept { return asks_; }
    /// Whether a ClientHello may choose another context in this one's place.
    [[nodiscard]] bool chooses() const noexcept { return asks_.hello || names_; }
    /// Names to choose by; null: there are none.
    [[nodiscard]] const name_map* names() const noexcept { return names_ ? &*names_ : nullptr; }

  private:
    template<class Settings>
    void apply_common(const Settings& settings);
    /// alone: they are all that the peer's certificate is held to.
    void apply_pins(bool alone);
    void apply_alpn(const std::vector<std::string>& protocols);
    void apply_decisions(const client_settings& settings);
    void apply_decisions(const server_settings& settings);
    template<class Settings>
    void apply_key_log(const Settings& settings);
    void apply_ocsp(const client_settings& settings);
    void apply_ocsp(const server_settings& settings);
    // Last, for the scope is read from the finished context.
    void apply_sessions(const client_settings& settings);
    void apply_sessions(const server_settings& settings);

    /// For SSL_CTX_set_tlsext_status_cb(3) of servers.
    static int staple_response(SSL* ssl, void* self);
    /// For SSL_CTX_set_alpn_select_cb(3).
    static int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                           const unsigned char* offered, unsigned int offered_size, void* self);

    ssl_ctx_handle ctx_;
    bool client_;
    bool checks_name_ = true;
    pin_set pins_;
    std::optional<key_log> key_log_;
    ocsp_source ocsp_;
    session_scope scope_{};
    std::shared_ptr<session_store> sessions_;
    std::shared_ptr<ticket_key_ring> tickets_;
    decisions asks_;
    std::optional<name_map> names_;
    std::string alpn_; ///< in the extension's form: each protocol behind its length
};

} // namespace ringtls::detail
