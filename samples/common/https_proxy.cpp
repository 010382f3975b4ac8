// SPDX-License-Identifier: MIT
#include "https_proxy.hpp"

#include "command_line.hpp"
#include "http_response.hpp"
#include "program.hpp"

#include <array>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>

namespace sample {
namespace {

using ringtls::task;
using deadline_point = ringtls::loop_clock::time_point;

/// Reads the head alone, byte by byte: what is behind it is the tunnel's, whatever framing the head
/// tells of (RFC 9110, section 9.3.6).
task<> ask_for_tunnel(ringtls::stream& proxy, const url& target, deadline_point deadline) {
    const auto authority = host_and_port(target.host, target.port);
    const auto request = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
    co_await proxy.write(request).until(deadline);

    http_response response;
    std::array<std::byte, 1> next;
    while (!response.has_head()) {
        const auto count = co_await proxy.read(next).until(deadline);
        if (count == 0)
            throw http_error("closed without an answer to CONNECT");
        response.take(next);
    }
    const auto& head = response.head();
    if (head.status / 100 != 2)
        throw http_error("answered " + std::to_string(head.status) + " " + printable(head.reason) +
                         " to CONNECT " + authority);
}

task<ringtls::stream> open_tunnel(ringtls::event_loop& loop, const url& proxy,
                                  const ringtls::client_context& tls, const url& target,
                                  deadline_point deadline) {
    try {
        auto outer = co_await ringtls::connect(loop, tls, proxy.host, proxy.port).until(deadline);
        co_await ask_for_tunnel(outer, target, deadline);
        co_return outer;
    } catch (const std::exception& failure) {
        throw std::runtime_error("proxy " + host_and_port(proxy.host, proxy.port) + ": " +
                                 failure.what());
    }
}

} // namespace

url parse_proxy(const std::string& text) {
    try {
        auto parts = parse_url(text);
        if (parts.target != "/")
            throw usage_error("a proxy has no path");
        return parts;
    } catch (const usage_error& wrong) {
        throw std::invalid_argument(wrong.what());
    }
}

task<ringtls::stream> connect_through(ringtls::event_loop& loop, const url& proxy,
                                      const ringtls::client_context& proxy_tls, const url& target,
                                      const ringtls::client_context& tls, deadline_point deadline) {
    auto outer = co_await open_tunnel(loop, proxy, proxy_tls, target, deadline);
    auto tunnel = std::make_unique<ringtls::tls_byte_stream>(std::move(outer));
    ringtls::stream inner(std::move(tunnel), tls, target.host);
    co_await inner.handshake().until(deadline);
    co_return inner;
}

} // namespace sample
