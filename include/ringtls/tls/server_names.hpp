// SPDX-License-Identifier: MIT
// Many names behind one listener: which context serves which.
#pragma once

#include <ringtls/tls/server_context.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// Maps the names that clients ask for (RFC 6066, section 3) to contexts. A server_context made of
/// it is given to streams like any other.
///
/// A name stands for itself, in whatever case; "*.example.org" for every name with one label more
/// (RFC 9525, section 6.3), unless that name stands here itself. A client that asks for a name that
/// is not here is refused with the alert unrecognized_name, one that asks for none with
/// missing_extension (RFC 8446, section 9.2; handshake_failure where OpenSSL sends that for it),
/// unless there are contexts for them. The error is errc::handshake_refused either way.
class server_names {
  public:
    server_names() = default;

    /// A DNS name, or a wildcard. Nothing is checked before a context is made of it.
    server_names& add(std::string name, server_context serves) {
        names_.emplace_back(std::move(name), std::move(serves));
        return *this;
    }
    /// Serves names that are not here. What that context's certificate says is then up to the
    /// client to refuse.
    server_names& unknown(server_context serves) {
        unknown_ = std::move(serves);
        return *this;
    }
    /// Serves clients that ask for no name.
    server_names& unnamed(server_context serves) {
        unnamed_ = std::move(serves);
        return *this;
    }

    [[nodiscard]] const std::vector<std::pair<std::string, server_context>>& all() const noexcept {
        return names_;
    }
    [[nodiscard]] const std::optional<server_context>& unknown() const noexcept { return unknown_; }
    [[nodiscard]] const std::optional<server_context>& unnamed() const noexcept { return unnamed_; }

  private:
    std::vector<std::pair<std::string, server_context>> names_;
    std::optional<server_context> unknown_;
    std::optional<server_context> unnamed_;
};

} // namespace ringtls
