// SPDX-License-Identifier: MIT
// What programs that serve have in common: their options, and what they say.
#pragma once

#include <ringtls/ringtls.hpp>

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace sample {

/// Values of options. All throw std::invalid_argument with a text that says what was expected.
ringtls::address parse_listen(const std::string& text);
ringtls::tls_preset parse_preset(const std::string& text);
std::string parse_driver(const std::string& text);

struct host_port {
    std::string host; ///< without the brackets of an IPv6 address
    std::uint16_t port;
};
host_port parse_host_port(const std::string& text);

/// One line on stderr: which peer, and why.
void report(std::string_view program, const ringtls::connection_failure& of) noexcept;
/// Reads the certificate again when its files change, with a line on stderr each time; or one that
/// says why they cannot be watched.
ringtls::task<> watch_certificate(std::string program, ringtls::event_loop& loop,
                                  ringtls::context_reloader tls, std::string cert, std::string key);

/// "listening on ADDR:PORT", the first line on stdout; on stderr why it is epoll, unless quiet.
/// Throws std::runtime_error.
void announce(std::string_view program, ringtls::server& server, bool quiet);

} // namespace sample
