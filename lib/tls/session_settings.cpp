// SPDX-License-Identifier: MIT
// What contexts tell OpenSSL about sessions and tickets.
#include "context.hpp"

#include "engine.hpp"
#include "failure.hpp"

#include <chrono>

namespace ringtls::detail {
namespace {

[[noreturn]] void refuse(const char* setting, const char* why) {
    auto details = std::make_shared<error_details>();
    details->subject = setting;
    details->reason = why;
    throw error(errc::invalid_setting, "sessions", std::move(details));
}

} // namespace

/// OpenSSL's own cache has no use: it cannot find a session by its server's name.
void context::apply_sessions(const client_settings& settings) {
    SSL_CTX* const ctx = ctx_.get();
    scope_ = scope_of(ctx, settings);
    if (settings.sessions())
        sessions_ = settings.sessions()->store();
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, engine::callbacks::new_session);
}

void context::apply_sessions(const server_settings& settings) {
    using std::chrono::days;
    using std::chrono::seconds;
    SSL_CTX* const ctx = ctx_.get();
    scope_ = scope_of(ctx, settings);
    // Sessions are resumed only under the rules that they were made under.
    check_openssl(
        SSL_CTX_set_session_id_context(ctx, scope_.data(), static_cast<unsigned>(scope_.size())),
        "session id context");
    tickets_ = settings.ticket_keys() ? settings.ticket_keys()->ring() : ticket_keys().ring();
    const auto lifetime = settings.session_lifetime();
    if (lifetime < seconds(1) || lifetime > days(7))
        refuse("session lifetime", "not between a second and 7 days");
    if (lifetime > tickets_->period())
        refuse("session lifetime", "longer than the ticket keys' period");
    SSL_CTX_set_timeout(ctx, static_cast<long>(lifetime.count()));
    check_openssl(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, engine::callbacks::ticket_key),
                  "ticket keys");
    check_openssl(
        SSL_CTX_set_session_ticket_cb(ctx, nullptr, engine::callbacks::ticket_opened, nullptr),
        "ticket callback");
    check_openssl(SSL_CTX_set_num_tickets(ctx, settings.tickets()), "tickets");
    check_openssl(SSL_CTX_set_max_early_data(ctx, settings.early_data()), "early data");
    check_openssl(SSL_CTX_set_recv_max_early_data(ctx, settings.early_data()), "early data");
    if (settings.tickets() == 0) {
        if (settings.early_data() != 0)
            refuse("early data", "no session allows it without tickets");
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    }
}

} // namespace ringtls::detail
