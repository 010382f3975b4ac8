// SPDX-License-Identifier: MIT
#include "serving.hpp"

#include "command_line.hpp"
#include "program.hpp"

#include <charconv>
#include <iostream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sample {
namespace {

void report_reload(const std::string& program, const std::exception_ptr& failure) {
    try {
        if (failure)
            std::rethrow_exception(failure);
        report(program, "the certificate was read again");
    } catch (const std::exception& why) {
        report(program, std::string("going on with the old certificate: ") + why.what());
    }
}

} // namespace

ringtls::address parse_listen(const std::string& text) {
    try {
        const auto address = ringtls::address::parse(text);
        if (address.family() != ringtls::address::family::unix_path)
            return address;
    } catch (const ringtls::error&) {
    }
    throw std::invalid_argument("'" + text +
                                "' is not ADDR:PORT, an IP address (IPv6 in brackets) "
                                "and a port from 0 to 65535");
}

ringtls::tls_preset parse_preset(const std::string& text) {
    if (text == "modern")
        return ringtls::tls_preset::modern;
    if (text == "intermediate")
        return ringtls::tls_preset::intermediate;
    throw std::invalid_argument("'" + text + "' is neither modern nor intermediate");
}

std::string parse_driver(const std::string& text) {
    if (text != "io_uring" && text != "epoll")
        throw std::invalid_argument("'" + text + "' is neither io_uring nor epoll");
    return text;
}

host_port parse_host_port(const std::string& text) {
    const auto colon = text.rfind(':');
    const std::string_view all(text);
    if (colon != std::string::npos && colon > 0) {
        auto host = all.substr(0, colon);
        const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
        if (bracketed)
            host = host.substr(1, host.size() - 2);
        const auto digits = all.substr(colon + 1);
        std::uint16_t port = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
        const bool whole = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
        if (whole && port != 0 && (bracketed || host.find_first_of(":[]") == host.npos))
            return {std::string(host), port};
    }
    throw std::invalid_argument("'" + text +
                                "' is not HOST:PORT, a name or IP address (IPv6 in brackets) "
                                "and a port from 1 to 65535");
}

void report(std::string_view program, const ringtls::connection_failure& of) noexcept try {
    try {
        std::rethrow_exception(of.cause);
    } catch (const std::exception& failure) {
        const auto where = of.peer ? of.peer->to_string() + ": " : std::string();
        report(program, where + failure.what());
    }
} catch (...) {
    // No memory for the line: the server goes on.
}

ringtls::task<> watch_certificate(std::string program, ringtls::event_loop& loop,
                                  ringtls::context_reloader tls, std::string cert,
                                  std::string key) {
    std::vector<std::string> files{std::move(cert), std::move(key)};
    try {
        auto watching = tls.watch(loop, std::move(files), [&program](const auto& failure) {
            report_reload(program, failure);
        });
        co_await std::move(watching);
    } catch (const std::exception& failure) {
        report(program, std::string("the certificate is not watched: ") + failure.what());
    }
}

void announce(std::string_view program, ringtls::server& server, bool quiet) {
    std::cout << "listening on " << server.local_address().to_string() << std::endl;
    if (!std::cout)
        throw std::runtime_error("stdout: cannot be written to");
    if (const auto why = server.loop().driver_reason(); !why.empty() && !quiet)
        report(program, "going on with epoll: " + std::string(why));
}

} // namespace sample
