// SPDX-License-Identifier: MIT
// From a host's name to an established connection, and every way not to get there.
#include "../support/loopback.hpp"

#include <ringtls/tls/connect.hpp>

#include <unistd.h>

namespace ringtls {
namespace {

using namespace std::chrono_literals;

task<> serve_one(listener& at, const server_context& tls) {
    auto socket = co_await at.accept();
    stream peer(std::move(socket), tls);
    const auto shaken = co_await as_result(peer.handshake());
    if (shaken)
        (void)co_await as_result(peer.shutdown());
}

task<error> failure_of(tls_connect connecting) {
    auto made = co_await as_result(std::move(connecting));
    REQUIRE(!made);
    co_return made.error();
}

} // namespace

TEST_CASE("connect looks up, connects, verifies and hands over an established stream") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    loop.spawn(serve_one(listening, s));
    loop.run([](event_loop& on, const client_context& tls, std::uint16_t port) -> task<> {
        auto made = co_await connect(on, tls, "localhost", port).within(60s);
        CHECK(made.info().verify_result == "ok");
        CHECK(made.peer_address().port() == port);
        co_await made.shutdown();
    }(loop, c, listening.local_address().port()));
    loop.run();
}

TEST_CASE("the server name may differ from the host, and is what counts") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s{server_settings(test::named_identity("elsewhere"))};
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    const auto port = listening.local_address().port();
    loop.spawn(serve_one(listening, s));
    loop.run([](event_loop& on, const client_context& tls, std::uint16_t at) -> task<> {
        auto made =
            co_await connect(on, tls, endpoint("127.0.0.1", at).server_name("other.example"));
        co_await made.shutdown();
    }(loop, c, port));
    loop.spawn(serve_one(listening, s));
    const auto refused = loop.run(failure_of(connect(loop, c, "127.0.0.1", port)));
    CHECK(refused.code() == errc::verify_failed);
    CHECK(std::string(refused.what()).find("127.0.0.1") != std::string::npos);
    loop.run();
}

TEST_CASE("a port that nobody listens on is refused with the address") {
    event_loop loop;
    std::uint16_t port = 0;
    {
        const auto closed = listener::bind(loop, address("127.0.0.1", 0));
        port = closed.local_address().port();
    }
    const client_context c(test::trusting());
    const auto refused = loop.run(failure_of(connect(loop, c, "127.0.0.1", port)));
    CHECK(refused.code() == std::errc::connection_refused);
    CHECK(refused.operation() == "connect");
    CHECK(refused.subject() == "127.0.0.1:" + std::to_string(port));
}

TEST_CASE("a name that does not resolve is refused with the name") {
    event_loop loop;
    const client_context c(test::trusting());
    const auto refused = loop.run(failure_of(connect(loop, c, "no-such-host.invalid", 443)));
    CHECK(refused.code().category() == resolver_category());
    CHECK(refused.operation() == "resolve");
    CHECK(refused.subject() == "no-such-host.invalid");
}

TEST_CASE("one deadline bounds look-up, connection and handshake together") {
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    const client_context c(test::trusting());
    auto silent = listener::bind(loop, address("127.0.0.1", 0)); // accepts, never answers
    loop.post([&clock] { clock.advance(2s); });
    const auto late = loop.run(
        failure_of(connect(loop, c, "127.0.0.1", silent.local_address().port()).within(1s)));
    CHECK(late.code() == errc::timed_out);
    std::stop_source stop;
    loop.post([&stop] { stop.request_stop(); });
    const auto stopped = loop.run(failure_of(
        connect(loop, c, "127.0.0.1", silent.local_address().port()).cancel_on(stop.get_token())));
    CHECK(stopped.code() == errc::canceled);
}

TEST_CASE("an address is connected to, by a server name or its own") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    loop.spawn(serve_one(listening, s));
    loop.run([](event_loop& on, const client_context& tls, address at) -> task<> {
        auto made = co_await connect(on, tls, endpoint(at)); // the certificate has it
        CHECK(made.info().verify_result == "ok");
        co_await made.shutdown();
    }(loop, c, listening.local_address()));
    loop.run();
}

TEST_CASE("a unix socket is connected to by the server's name, and refused without one") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    const auto at = address::unix_abstract("ringtls-test-" + std::to_string(::getpid()));
    auto listening = listener::bind(loop, at);
    loop.spawn(serve_one(listening, s));
    const auto refused = loop.run(failure_of(connect(loop, c, endpoint(at))));
    CHECK(refused.code() == errc::invalid_name);
    loop.run([](event_loop& on, const client_context& tls, address to) -> task<> {
        auto made = co_await connect(on, tls, endpoint(to).server_name("localhost")).within(60s);
        CHECK(made.info().verify_result == "ok");
        CHECK(made.peer_address() == to);
        co_await made.shutdown();
    }(loop, c, at));
    loop.run();
    listening = listener::bind(loop, address("127.0.0.1", 0));
    const auto gone = loop.run(failure_of(connect(loop, c, endpoint(at).server_name("localhost"))));
    CHECK(gone.code() == std::errc::connection_refused);
    CHECK(gone.subject() == at.to_string());
}

TEST_CASE("an endpoint's options are the connection's") {
    event_loop loop;
    const client_context c(test::trusting());
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    const auto at = listening.local_address();
    for (auto to : {endpoint("127.0.0.1", at.port()), endpoint(at)}) {
        to.options(connect_options().source(address("127.0.0.9", 0)));
        loop.run(
            [](event_loop& on, const client_context& tls, endpoint peer, listener& from) -> task<> {
                const auto late = co_await as_result(connect(on, tls, peer).within(0s));
                CHECK(late.error().code() == errc::timed_out); // nobody shakes hands
                const auto accepted = co_await from.accept();
                CHECK(accepted.peer_address().host() == "127.0.0.9");
            }(loop, c, to, listening));
    }
}

TEST_CASE("plain text spoken to either side is an error with OpenSSL's reason") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    const auto answer_of = [&loop](stream& side, int raw, std::string_view text) {
        REQUIRE(::send(raw, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
        const auto ended =
            loop.run(as_result([](stream& with) -> task<> { co_await with.handshake(); }(side)));
        REQUIRE(!ended);
        return std::string(ended.error().what());
    };
    auto sockets = test::connected_pair(loop);
    stream server(std::move(sockets.server), s);
    CHECK(answer_of(server, sockets.client.fd(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n") ==
          "handshake: http request");
    auto others = test::connected_pair(loop);
    stream client(std::move(others.client), c, "localhost");
    CHECK(answer_of(client, others.server.fd(), "HTTP/1.1 400 Bad Request\r\n\r\n") ==
          "handshake: localhost: wrong version number");
}

} // namespace ringtls
