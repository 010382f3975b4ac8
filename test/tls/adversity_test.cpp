// SPDX-License-Identifier: MIT
// Peers that are slow, hostile or gone, where an earlier version of this library fell short.
#include "../started.hpp"
#include "../support/loopback.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::loopback;
using test::run_all;

} // namespace

TEST_CASE("what others leave in OpenSSL's error queue is taken for no failure of ours") {
    const auto late = [](loopback& on, auto call) -> std::error_code {
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        return on.loop.run([](stream& at, auto what) -> task<std::error_code> {
            const auto ended = co_await as_result(what(at).within(0s));
            co_return ended ? std::error_code() : ended.error().code();
        }(on.client, call));
    };
    loopback link(1, test::trusting(), test::serving(), true);
    CHECK(late(link, [](stream& at) { return at.handshake(); }) == errc::timed_out);
    run_all(link.loop, test::shake_hands(link.client), test::shake_hands(link.server));
    std::array<std::byte, 8> buffer;
    const bytes much(1 << 20);
    CHECK(late(link, [&](stream& at) { return at.read(buffer); }) == errc::timed_out);
    CHECK(late(link, [](stream& at) { return at.readable(); }) == errc::timed_out);
    CHECK(late(link, [&](stream& at) { return at.write(much); }) == errc::timed_out);
    CHECK(late(link, [](stream& at) { return at.shutdown(); }) == errc::timed_out);
    ERR_clear_error();
}

TEST_CASE("nor is it when half a record has come") {
    for (const bool looks : {false, true}) {
        CAPTURE(looks);
        loopback link;
        bool over = false;
        link.loop.spawn([](stream& at, bool only_looks, bool& ended) -> task<> {
            std::array<std::byte, 8> buffer;
            if (only_looks)
                static_cast<void>(co_await as_result(at.readable()));
            else
                static_cast<void>(co_await as_result(at.read(buffer)));
            ended = true;
        }(link.client, looks, over));
        link.loop.run(test::settle(link.loop));
        REQUIRE(::send(link.ends.server_fd, "\x17\x03\x03", 3, 0) == 3);
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        link.loop.run(test::settle(link.loop));
        CHECK(!over);
        test::drop(link.server);
        link.loop.run();
        CHECK(over);
    }
}

TEST_CASE("a flood of tickets is taken in parts, so that others have their turn") {
    loopback link(test::variants[2]);
    SSL* const server = link.server.native_handle();
    for (int i = 0; i < 500; ++i)
        REQUIRE(SSL_new_session_ticket(server) == 1);
    REQUIRE(SSL_do_handshake(server) == 1);
    bool over = false;
    link.loop.spawn([](stream& from, bool& done) -> task<> {
        std::array<std::byte, 4> buffer;
        co_await from.read_exactly(buffer);
        done = true;
    }(link.client, over));
    link.loop.spawn([](stream& to) -> task<> { co_await to.write("done"); }(link.server));
    std::uint64_t most = 0;
    link.loop.run([](loopback& on, const bool& done, std::uint64_t& in_a_turn) -> task<> {
        while (!done) {
            const auto before = on.client.counters().receives;
            co_await on.loop.yield();
            in_a_turn = std::max(in_a_turn, on.client.counters().receives - before);
        }
    }(link, over, most));
    CHECK(link.client.counters().bytes_received > 100'000);
    CHECK(most <= 8); // four an attempt
}

TEST_CASE("a failure leaves nothing of its own in OpenSSL's error queue") {
    loopback link(0, client_settings(), test::serving(), true); // trusts nobody
    link.loop.spawn([](stream& at) -> task<> {
        const auto refused = co_await as_result(at.handshake());
        CHECK(!refused);
    }(link.server));
    link.loop.run([](stream& at) -> task<> {
        const auto refused = co_await as_result(at.handshake());
        CHECK(!refused);
    }(link.client));
    link.loop.run();
    CHECK(ERR_peek_error() == 0);
}

TEST_CASE("what comes behind a flood of key updates is not read") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        for (int i = 0; i < 101; ++i)
            co_await on.server.key_update(key_update_request::not_requested);
        co_await on.server.write("late");
        std::array<std::byte, 8> buffer{};
        const auto ended = co_await as_result(on.client.read(buffer));
        REQUIRE(!ended);
        CHECK(ended.error().code() == errc::key_update_flood);
        CHECK(ended.error().bytes() == 0);
        CHECK(buffer == std::array<std::byte, 8>{});
    }(link));
}

TEST_CASE("a callback that OpenSSL is to wait for is refused, not waited for in vain") {
    loopback link(0, test::trusting(), test::serving(), true);
    SSL_set_cert_cb(link.server.native_handle(), [](SSL*, void*) { return -1; }, nullptr);
    link.loop.spawn([](stream& at) -> task<> {
        const auto never = co_await as_result(at.handshake());
        CHECK(!never);
    }(link.client));
    link.loop.run([](loopback& on) -> task<> {
        const auto refused = co_await as_result(on.server.handshake());
        REQUIRE(!refused);
        CHECK(refused.error().code() == errc::unsupported_want);
        test::drop(on.server);
    }(link));
    link.loop.run();
}

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
