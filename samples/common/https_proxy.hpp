// SPDX-License-Identifier: MIT
// A tunnel through an HTTPS proxy (RFC 9110, section 9.3.6), and TLS inside it.
#pragma once

#include "url.hpp"

#include <ringtls/ringtls.hpp>

#include <string>
#include <string_view>

namespace sample {

/// "https://HOST[:PORT]", which verifies as any https server does. Throws std::invalid_argument.
url parse_proxy(const std::string& text);

/// Connects to the proxy with TLS, has it connect to the target, and shakes hands with that through
/// it. Names the proxy in the text of what it throws until the tunnel is there.
ringtls::task<ringtls::stream> connect_through(ringtls::event_loop& loop, const url& proxy,
                                               const ringtls::client_context& proxy_tls,
                                               const url& target,
                                               const ringtls::client_context& tls,
                                               ringtls::loop_clock::time_point deadline);

} // namespace sample
