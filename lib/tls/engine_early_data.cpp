// SPDX-License-Identifier: MIT
// Early data, a step at a time (SSL_read_early_data(3)).
#include "engine.hpp"

#include "context.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace ringtls::detail {
namespace {

std::string_view as_text(const unsigned char* begin, std::size_t size) {
    return {reinterpret_cast<const char*>(begin), size};
}

std::string_view negotiated_protocol(const SSL* ssl) {
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &size);
    return as_text(protocol, size);
}

/// OpenSSL makes it a failure if the name is spelt otherwise than it was.
bool same_name(const SSL* ssl, const SSL_SESSION* session) {
    const char* const then = SSL_SESSION_get0_hostname(session);
    const char* const now = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return !then || (now && std::strcmp(then, now) == 0);
}

} // namespace

bool engine::takes_early_data(std::size_t size) const noexcept {
    const SSL_SESSION* const session = SSL_get0_session(ssl_.get());
    return context_->is_client() && SSL_in_before(ssl_.get()) == 1 && session &&
           size <= early_data_bound && size <= SSL_SESSION_get_max_early_data(session) &&
           same_name(ssl_.get(), session);
}

/// In one call, of which nothing is left to repeat: at most a record, and what the socket does not
/// take is spilled.
step engine::send_early_data(std::span<const std::byte> from) {
    const unsigned char* protocol = nullptr;
    std::size_t size = 0;
    SSL_SESSION_get0_alpn_selected(SSL_get0_session(ssl_.get()), &protocol, &size);
    early_protocol_ = std::make_unique<const std::string>(as_text(protocol, size));
    transport_.set_mode(transport::write_mode::settle);
    ERR_clear_error();
    std::size_t count = 0;
    return classify_sending(SSL_write_early_data(ssl_.get(), from.data(), from.size(), &count));
}

early_data_status engine::early_data() const noexcept {
    if (!established_)
        return early_data_status::none;
    switch (SSL_get_early_data_status(ssl_.get())) {
    case SSL_EARLY_DATA_ACCEPTED:
        return early_data_status::accepted;
    case SSL_EARLY_DATA_REJECTED:
        return early_data_status::rejected;
    default:
        return early_data_status::none;
    }
}

bool engine::same_protocol_as_early_data() const noexcept {
    return early_protocol_ && *early_protocol_ == negotiated_protocol(ssl_.get());
}

bool engine::answers_early_data() const noexcept {
    return early_accepted_ && !established_;
}

/// Nothing of it is left when OpenSSL says so; then the handshake goes on.
step engine::read_early_data(std::span<std::byte> into, std::size_t& count) {
    if (established_ || early_read_)
        return step::done;
    transport_.set_mode(transport::write_mode::direct);
    early_begun_ = true;
    auto step = step::done;
    do {
        take_choice();
        step = look_for_early_data(into, count);
    } while (is_answered(step));
    return step;
}

step engine::look_for_early_data(std::span<std::byte> into, std::size_t& count) {
    ERR_clear_error();
    switch (SSL_read_early_data(ssl_.get(), into.data(), into.size(), &count)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        early_accepted_ = true;
        return step::done;
    case SSL_READ_EARLY_DATA_FINISH:
        early_read_ = true;
        return step::done;
    default:
        count = 0;
        return classify_sending(0);
    }
}

step engine::write_early_data(std::span<const std::byte> from, std::size_t& count) {
    transport_.set_mode(transport::write_mode::settle);
    ERR_clear_error();
    return classify_sending(SSL_write_early_data(ssl_.get(), from.data(), from.size(), &count));
}

} // namespace ringtls::detail
