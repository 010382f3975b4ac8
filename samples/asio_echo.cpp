// SPDX-License-Identifier: MIT
// A TLS echo server whose coroutines, sockets, timers and signals are Boost.Asio's: TLS alone is
// ringtls's.
#include "common/asio_bridge.hpp"
#include "common/command_line.hpp"
#include "common/program.hpp"

#include <ringtls/ringtls.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;
namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

constexpr const char* name = "asio_echo";
constexpr const char* usage =
    R"(usage: asio_echo --cert FILE --key FILE [--port PORT] [--idle SECONDS]

Echoes over TLS on 127.0.0.1, on Boost.Asio's io_context, until SIGINT or SIGTERM; then tells on
stderr how many connections there were, and how often Asio's timer ticked beside them.

  --cert FILE --key FILE  the server's certificate chain and key
  --port PORT             the port (default 0: a free one)
  --idle SECONDS          how long a connection may be silent before it is closed (default 300)
  --help, --version       print this, or the version
)";

struct options {
    std::string cert;
    std::string key;
    std::uint16_t port = 0;
    std::chrono::milliseconds idle = 5min;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("cert", o.cert);
    line.value("key", o.key);
    line.value("port", [&o](const auto& text) {
        o.port = static_cast<std::uint16_t>(sample::parse_number(text, 0, 65535));
    });
    line.value("idle", [&o](const auto& text) { o.idle = sample::parse_seconds(text); });
    line.parse(argc, argv, {});
    if (o.cert.empty() || o.key.empty())
        throw sample::usage_error("--cert and --key are needed");
    return o;
}

/// All that the coroutines share. They go with the context and the bridge, before the loop that
/// they use.
struct server {
    explicit server(const options& o)
        : tls(ringtls::server_settings(
              ringtls::identity(ringtls::pem::file(o.cert), ringtls::pem::file(o.key)))),
          idle(o.idle) {}

    ringtls::event_loop loop;
    ringtls::server_context tls;
    std::chrono::milliseconds idle;
    int connections = 0;
    int ticks = 0;
    asio::io_context context{1};
    sample::asio_bridge ring{context, loop};
};

/// A read that Asio's timer ends: nothing if it was silent for too long.
awaitable<std::optional<std::size_t>> read_some(server& on, ringtls::stream& from,
                                                std::span<std::byte> into) {
    asio::steady_timer silence(on.context, on.idle);
    const auto first = co_await (on.ring(from.read(into)) || silence.async_wait(use_awaitable));
    if (first.index() == 1)
        co_return std::nullopt;
    co_return std::get<0>(first);
}

awaitable<void> echo(server& on, ringtls::stream peer) {
    std::array<std::byte, 16384> buffer;
    co_await on.ring(peer.handshake().within(10s));
    for (;;) {
        const auto count = co_await read_some(on, peer, buffer);
        if (!count || *count == 0)
            break;
        co_await on.ring(peer.write(std::span(buffer).first(*count)).within(30s));
    }
    co_await on.ring(peer.shutdown().within(5s));
}

void report_failure(const std::exception_ptr& failure) {
    if (!failure)
        return;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& thrown) {
        sample::report(name, thrown.what());
    }
}

awaitable<void> serve(server& on, tcp::acceptor listening) {
    asio::steady_timer pause(on.context);
    for (;;) {
        boost::system::error_code refused;
        auto accepted =
            co_await listening.async_accept(asio::redirect_error(use_awaitable, refused));
        if (refused) { // for want of descriptors, say, which others give back
            sample::report(name, "accept: " + refused.message());
            pause.expires_after(100ms);
            co_await pause.async_wait(use_awaitable);
            continue;
        }
        ++on.connections;
        try {
            ringtls::stream peer(ringtls::socket(on.loop, accepted.release()), on.tls);
            asio::co_spawn(on.context, echo(on, std::move(peer)), report_failure);
        } catch (const std::exception& thrown) { // this connection's memory; others may have theirs
            sample::report(name, thrown.what());
        }
    }
}

awaitable<void> tick(server& on) {
    asio::steady_timer timer(on.context);
    for (;;) {
        timer.expires_after(20ms);
        co_await timer.async_wait(use_awaitable);
        ++on.ticks;
    }
}

int run(int argc, char** argv) {
    const auto o = parse(argc, argv);
    server on(o);
    tcp::acceptor listening(on.context);
    const tcp::endpoint at(asio::ip::address_v4::loopback(), o.port);
    try {
        listening = tcp::acceptor(on.context, at);
    } catch (const boost::system::system_error& failure) {
        throw std::runtime_error("listen: 127.0.0.1:" + std::to_string(o.port) + ": " +
                                 failure.code().message());
    }
    std::printf("listening on 127.0.0.1:%u\n", unsigned{listening.local_endpoint().port()});
    std::fflush(stdout);
    asio::signal_set signals(on.context, SIGINT, SIGTERM);
    signals.async_wait([&on](const boost::system::error_code& failed, int /*signal*/) {
        if (!failed)
            on.context.stop();
    });
    asio::co_spawn(on.context, serve(on, std::move(listening)), report_failure);
    asio::co_spawn(on.context, tick(on), report_failure);
    on.context.run();
    sample::report(name, std::to_string(on.connections) + " connections, " +
                             std::to_string(on.ticks) + " ticks");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, run);
}
