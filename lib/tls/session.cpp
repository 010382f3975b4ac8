// SPDX-License-Identifier: MIT
#include "session.hpp"

#include "failure.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace ringtls::detail {
namespace {

using clock = std::chrono::system_clock;

/// RFC 8446, section 4.6.1.
constexpr std::chrono::seconds longest_lifetime = std::chrono::days(7);

#if OPENSSL_VERSION_NUMBER >= 0x30300000L
clock::time_point begin_of(const SSL_SESSION* session) noexcept {
    return clock::from_time_t(SSL_SESSION_get_time_ex(session));
}
#else
clock::time_point begin_of(const SSL_SESSION* session) noexcept {
    return clock::from_time_t(SSL_SESSION_get_time(session));
}
#endif

bool names(X509* peer, const std::string& name) {
    if (X509_check_ip_asc(peer, name.c_str(), 0) == 1)
        return true;
    constexpr unsigned int rules =
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    return X509_check_host(peer, name.data(), name.size(), rules, nullptr) == 1;
}

} // namespace

ssl_session_handle copy_of(const SSL_SESSION* from) {
    return ssl_session_handle(check_openssl(SSL_SESSION_dup(from), "SSL_SESSION_dup"));
}

bool has_expired(const X509& certificate) noexcept {
    return X509_cmp_current_time(X509_get0_notAfter(&certificate)) <= 0; // 0: it cannot be read
}

bool is_single_use(const SSL_SESSION* session) noexcept {
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

clock::time_point expiry_of(const SSL_SESSION* session) noexcept {
    std::chrono::seconds lifetime(SSL_SESSION_get_timeout(session));
    if (const auto hint = SSL_SESSION_get_ticket_lifetime_hint(session); hint != 0)
        lifetime = std::min(lifetime, std::chrono::seconds(static_cast<std::int64_t>(
                                          std::min<unsigned long>(hint, 1UL << 31))));
    return begin_of(session) + std::min(lifetime, longest_lifetime);
}

std::string normalized_name(std::string_view name) {
    if (name.ends_with('.'))
        name.remove_suffix(1);
    std::string made(name);
    std::ranges::transform(made, made.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return made;
}

bool offer(SSL* to, SSL_SESSION* own, const std::string& name, bool checks_name) {
    if (SSL_SESSION_is_resumable(own) != 1 || expiry_of(own) <= clock::now())
        return false;
    // Without a look at the chain, which was verified when the session was made.
    const bool verifies = (SSL_get_verify_mode(to) & SSL_VERIFY_PEER) != 0;
    X509* const peer = SSL_SESSION_get0_peer(own);
    if (verifies && (!peer || has_expired(*peer) || (checks_name && !names(peer, name))))
        return false;
    check_openssl(SSL_set_session(to, own), "SSL_set_session");
    // Only so does OpenSSL tell what verification said when the session was made.
    if (!verifies || SSL_get_verify_result(to) == X509_V_OK)
        return true;
    check_openssl(SSL_set_session(to, nullptr), "SSL_set_session");
    return false;
}

std::string session_store::key_of(const std::string& name, std::uint16_t port,
                                  const session_scope& scope) {
    return name + ':' + std::to_string(port) + ':' + std::string(scope.begin(), scope.end());
}

void session_store::add(const std::string& key, ssl_session_handle session) {
    const std::lock_guard lock(mutex_);
    if (capacity_ == 0)
        return;
    const std::size_t most = is_single_use(session.get()) ? per_server : 1;
    for (auto found = index_.find(key); found != index_.end() && found->second.size() >= most;
         found = index_.find(key))
        erase(found->second.front());
    if (entries_.size() == capacity_)
        erase(std::prev(entries_.end()));
    auto& of_server = index_[key];
    of_server.reserve(of_server.size() + 1);
    entries_.push_front({key, std::move(session)});
    of_server.push_back(entries_.begin());
}

ssl_session_handle session_store::take(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end() || found->second.empty())
        return nullptr;
    const auto newest = found->second.back();
    if (!is_single_use(newest->session.get()))
        return copy_of(newest->session.get());
    auto taken = std::move(newest->session);
    erase(newest);
    return taken;
}

void session_store::erase(entries::iterator gone) {
    const auto found = index_.find(gone->key);
    std::erase(found->second, gone);
    if (found->second.empty())
        index_.erase(found);
    entries_.erase(gone);
}

std::size_t session_store::size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

void session_store::clear() {
    const std::lock_guard lock(mutex_);
    index_.clear();
    entries_.clear();
}

} // namespace ringtls::detail

namespace ringtls {
namespace {

// serialize(): the first line, the scope, the name and a zero, then SSL_SESSION in DER.
constexpr std::string_view first_line = "ringtls session 1\n";

[[noreturn]] void refuse(const char* why) {
    ERR_clear_error();
    auto details = std::make_shared<error_details>();
    details->reason = why;
    throw error(errc::session_refused, "session", std::move(details));
}

} // namespace

session session::deserialize(std::span<const std::byte> from) {
    std::string_view rest(reinterpret_cast<const char*>(from.data()), from.size());
    auto made = std::make_shared<detail::session_state>();
    const auto header = first_line.size() + made->scope.size();
    if (!rest.starts_with(first_line) || rest.size() < header)
        refuse("not a serialized session");
    std::ranges::copy(rest.substr(first_line.size(), made->scope.size()), made->scope.begin());
    rest.remove_prefix(header);
    const auto name_end = rest.find('\0');
    if (name_end == std::string_view::npos)
        refuse("not a serialized session");
    made->name = rest.substr(0, name_end);
    rest.remove_prefix(name_end + 1);
    const auto* at = reinterpret_cast<const unsigned char*>(rest.data());
    const auto* const end = at + rest.size();
    made->ssl.reset(d2i_SSL_SESSION(nullptr, &at, static_cast<long>(rest.size())));
    if (!made->ssl || at != end)
        refuse("not a serialized session");
    return session(std::move(made));
}

secret_bytes session::serialize() const {
    const int size =
        detail::check_openssl(i2d_SSL_SESSION(state_->ssl.get(), nullptr), "i2d_SSL_SESSION");
    const auto& scope = state_->scope;
    secret_bytes made(first_line.size() + scope.size() + state_->name.size() + 1 +
                      static_cast<std::size_t>(size));
    auto* at = reinterpret_cast<unsigned char*>(made.bytes().data());
    at = std::ranges::copy(first_line, at).out;
    at = std::ranges::copy(scope, at).out;
    at = std::ranges::copy(state_->name, at).out;
    *at++ = 0;
    detail::check_openssl(i2d_SSL_SESSION(state_->ssl.get(), &at), "i2d_SSL_SESSION");
    return made;
}

const std::string& session::server_name() const noexcept {
    return state_->name;
}

std::chrono::system_clock::time_point session::expires() const noexcept {
    return detail::expiry_of(state_->ssl.get());
}

bool session::single_use() const noexcept {
    return detail::is_single_use(state_->ssl.get());
}

std::uint32_t session::early_data_limit() const noexcept {
    return SSL_SESSION_get_max_early_data(state_->ssl.get());
}

session::session(std::shared_ptr<const detail::session_state> state) noexcept
    : state_(std::move(state)) {}

session_cache::session_cache(std::size_t capacity)
    : store_(std::make_shared<detail::session_store>(capacity)) {}

std::size_t session_cache::size() const {
    return store_->size();
}

void session_cache::clear() {
    store_->clear();
}

} // namespace ringtls
