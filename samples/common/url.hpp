// SPDX-License-Identifier: MIT
// https://HOST[:PORT]/PATH, taken apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sample {

struct url {
    std::string host;      ///< without the brackets of an IPv6 address
    std::uint16_t port;    ///< 443 unless given
    std::string authority; ///< for the Host field: brackets, and the port unless it is 443
    std::string target;    ///< path and query, "/" at least
};

/// Takes https URLs only (RFC 3986, RFC 9110 section 4.2.2), without user information; a fragment
/// is dropped. Nothing that could end the request's line gets through. Throws usage_error.
url parse_url(std::string_view text);

} // namespace sample
