// SPDX-License-Identifier: MIT
// Peers that are slow, hostile or gone, where an earlier version of this library fell short.
#include "../started.hpp"
#include "../support/loopback.hpp"

#include <openssl/ssl.h>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::loopback;

} // namespace

TEST_CASE("a peer that always has more keeps no other connection from its echo") {
    // The reader below never has to wait. A neighbour's echo takes a bounded number of its records.
    loopback busy;
    auto calm =
        test::stream_pair(test::connected_pair(busy.loop), busy.client_side, busy.server_side);
    test::run_all(busy.loop, test::shake_hands(calm.client), test::shake_hands(calm.server));
    std::uint64_t records = 0;
    std::stop_source stop;
    busy.loop.spawn([](stream& to, std::stop_token token) -> task<> {
        const bytes data(16384);
        while (!token.stop_requested())
            (void)co_await as_result(to.write(data).cancel_on(token));
        (void)co_await as_result(to.close_write());
    }(busy.server, stop.get_token()));
    busy.loop.spawn([](stream& from, std::uint64_t& count) -> task<> {
        bytes buffer(16384);
        while (co_await from.read(buffer) > 0)
            ++count;
    }(busy.client, records));
    busy.loop.run([](test::stream_pair& pair, std::uint64_t& count) -> task<> {
        co_await test::settle(pair.client.loop());
        std::array<std::byte, 4> buffer;
        std::uint64_t worst = 0;
        for (int i = 0; i < 100; ++i) {
            const auto before = count;
            co_await pair.client.write("ping");
            co_await pair.server.read_exactly(buffer);
            co_await pair.server.write("pong");
            co_await pair.client.read_exactly(buffer);
            worst = std::max(worst, count - before);
        }
        MESSAGE("records of the busy neighbour during one echo, at most: " << worst);
        CHECK(worst > 0);
        CHECK(worst <= 256);
    }(calm, records));
    stop.request_stop();
    busy.loop.run();
}

TEST_CASE("shutdown does not wait for a peer that waits for us") {
    loopback link(1);
    const auto data = test::random_bytes(500'000);
    link.loop.run([](loopback& on, const bytes& all) -> task<> {
        // Ours is cut short with its record half sent, the peer's is blocked.
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto cut = co_await as_result(on.client.write(all).within(1s));
        REQUIRE(!cut);
        on.loop.spawn([](stream& peer, const bytes& from, std::size_t expected) -> task<> {
            co_await peer.write(from);
            bytes got(expected);
            co_await peer.read_exactly(got);
            co_await peer.shutdown();
        }(on.server, all, cut.error().bytes()));
        co_await test::settle(on.loop);
        const auto ended = co_await as_result(on.client.shutdown());
        CHECK(ended);
    }(link, data));
    link.loop.run();
}

TEST_CASE("an alert that lies behind a failed send is the cause that is reported") {
    const auto asking = test::serving().require_client_certificate(pem::file(test::pki("ca.pem")));
    loopback link(0, test::trusting(), asking, true);
    link.loop.spawn([](loopback& on) -> task<> {
        const auto refused = co_await as_result(on.server.handshake());
        CHECK(!refused);
        const auto gone = std::move(on.server);
    }(link));
    link.loop.run([](loopback& on) -> task<> {
        co_await on.client.handshake(); // TLS 1.3: done before the server has seen the certificate
        co_await test::settle(on.loop);
        for (const int again : {0, 1}) {
            CAPTURE(again);
            const auto written = co_await as_result(on.client.write("hello?"));
            REQUIRE(!written);
            REQUIRE(written.error().alert());
            CHECK(written.error().alert()->description == SSL_AD_CERTIFICATE_REQUIRED);
            CHECK(written.error().alert()->way == alert::direction::received);
        }
        std::array<std::byte, 8> buffer;
        const auto read = co_await as_result(on.client.read(buffer));
        REQUIRE(!read);
        CHECK(read.error().alert());
    }(link));
}

TEST_CASE("close_write during a renegotiation waits for its end and harms nothing") {
    loopback link(0,
                  test::only(test::trusting().danger_allow_renegotiation(), tls_version::tls_1_2),
                  test::only(test::serving().danger_allow_renegotiation(), tls_version::tls_1_2));
    REQUIRE(SSL_renegotiate(link.client.native_handle()) == 1);
    link.loop.spawn([](stream& from) -> task<> {
        std::array<std::byte, 8> buffer;
        CHECK(co_await from.read(buffer) == 0);
        co_await from.write("bye");
        co_await from.close_write();
    }(link.server));
    link.loop.run([](stream& one) -> task<> {
        co_await one.close_write();
        std::array<std::byte, 8> buffer;
        CHECK(co_await one.read(buffer) == 3);
        CHECK(co_await one.read(buffer) == 0);
    }(link.client));
    link.loop.run();
}

TEST_CASE("a write that waits behind a renegotiation ends if the peer closes instead") {
    loopback link(0,
                  test::only(test::trusting().danger_allow_renegotiation(), tls_version::tls_1_2),
                  test::only(test::serving().danger_allow_renegotiation(), tls_version::tls_1_2));
    SSL* const server = link.server.native_handle();
    REQUIRE(SSL_renegotiate(server) == 1);
    REQUIRE(SSL_do_handshake(server) == 1); // sends HelloRequest
    REQUIRE(SSL_shutdown(server) >= 0);
    link.loop.run([](stream& one) -> task<> {
        std::array<std::byte, 8> buffer;
        CHECK(co_await one.read(buffer) == 0);
        const auto written = co_await as_result(one.write("too late"));
        REQUIRE(!written);
        CHECK(written.error().code() == errc::truncated);
    }(link.client));
}

TEST_CASE("a write that fails after the peer's close_notify says so") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        co_await on.server.close_write();
        std::array<std::byte, 1> one;
        CHECK(co_await on.client.read(one) == 0);
        const auto gone = std::move(on.server);
    }(link));
    link.loop.run([](stream& one) -> task<> {
        for (const int again : {0, 1}) {
            CAPTURE(again);
            const auto written = co_await as_result(one.write("lost"));
            REQUIRE(!written);
            CHECK(written.error().code() == std::errc::broken_pipe);
            CHECK(written.error().bytes() == 0);
        }
        std::array<std::byte, 1> buffer;
        CHECK(co_await one.read(buffer) == 0);
    }(link.client));
}

TEST_CASE("close_notify in place of a handshake ends it as truncated") {
    loopback link(0, test::trusting(), test::serving(), true);
    const std::array<unsigned char, 7> alert = {21, 3, 3, 0, 2, 1, 0};
    auto ends = test::connected_pair(link.loop);
    stream client(std::move(ends.client), link.client_side, "localhost");
    REQUIRE(::send(ends.server.fd(), alert.data(), alert.size(), 0) == 7);
    link.loop.run([](stream& one) -> task<> {
        const auto shaken = co_await as_result(one.handshake());
        REQUIRE(!shaken);
        CHECK(shaken.error().code() == errc::truncated);
        const auto later = co_await as_result(one.write("x"));
        REQUIRE(!later);
        CHECK(later.error().code() == errc::truncated);
    }(client));
}

TEST_CASE("a frame destroyed by another that was ready before it loses no byte of its read") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        std::string digits;
        for (int i = 0; i < 1000; ++i)
            digits += static_cast<char>('0' + i % 10);
        co_await on.server.write(digits);
        std::array<std::byte, 1> one;
        co_await on.client.read(one); // the rest is decrypted
        // A budget's worth of reads, so that one is put off to the next turn, and killed there.
        int last = 0;
        {
            auto reader = [](stream& from, int& got) -> test::started {
                std::array<std::byte, 1> each;
                for (;;) {
                    co_await from.read(each);
                    ++got;
                }
            }(on.client, last);
            co_await on.loop.yield();
        }
        CHECK(last > 0);
        REQUIRE(last < 999);
        co_await on.client.read(one);
        CHECK(static_cast<char>(one[0]) == static_cast<char>('0' + (last + 1) % 10));
    }(link));
}

} // namespace ringtls
