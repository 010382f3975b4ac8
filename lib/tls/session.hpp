// SPDX-License-Identifier: MIT
// Sessions of clients, what they are bound to, and where they wait for their next use.
#pragma once

#include <ringtls/tls/session.hpp>

#include "openssl_handles.hpp"
#include "session_scope.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ringtls::detail {

using ssl_session_handle = unique_handle<SSL_SESSION, SSL_SESSION_free>;

/// Its own, for OpenSSL marks a connection's session when that ends badly.
[[nodiscard]] ssl_session_handle copy_of(const SSL_SESSION* from);

struct session_state {
    ssl_session_handle ssl;
    std::string name; ///< normalized
    session_scope scope;
};

[[nodiscard]] bool has_expired(const X509& certificate) noexcept;
[[nodiscard]] bool is_single_use(const SSL_SESSION* session) noexcept;
[[nodiscard]] std::chrono::system_clock::time_point expiry_of(const SSL_SESSION* session) noexcept;

/// As sessions are filed: in lower case, without a trailing dot.
[[nodiscard]] std::string normalized_name(std::string_view name);

/// Offers a session, which is the caller's alone, in the connection's handshake if it can be
/// resumed there: it has not expired, and where the connection verifies, its certificate was
/// accepted, is valid still and, unless the context takes any, has this name. That is looked at
/// again, whatever it is filed under.
bool offer(SSL* to, SSL_SESSION* own, const std::string& name, bool checks_name);

/// Behind session_cache. Any thread may call.
class session_store {
  public:
    explicit session_store(std::size_t capacity) noexcept : capacity_(capacity) {}

    void add(const std::string& key, ssl_session_handle session);
    /// The newest, or none.
    [[nodiscard]] ssl_session_handle take(const std::string& key);
    [[nodiscard]] std::size_t size() const;
    void clear();

    static std::string key_of(const std::string& name, std::uint16_t port,
                              const session_scope& scope);

  private:
    static constexpr std::size_t per_server = 4;

    struct entry {
        std::string key;
        ssl_session_handle session;
    };
    using entries = std::list<entry>;

    void erase(entries::iterator gone);

    const std::size_t capacity_;
    mutable std::mutex mutex_;                                              ///< of what follows
    entries entries_;                                                       ///< newest first
    std::unordered_map<std::string, std::vector<entries::iterator>> index_; ///< oldest first
};

} // namespace ringtls::detail
