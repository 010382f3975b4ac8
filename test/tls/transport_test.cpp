// SPDX-License-Identifier: MIT
// System calls, counted: by the transport's own counters and by the loop's.
#include "../support/loopback.hpp"

namespace ringtls {
namespace {

constexpr int rounds = 100;

using test::bytes;
using test::loopback;

task<> echo(stream& peer, int times) {
    bytes buffer(16384);
    for (int i = 0; i < times; ++i) {
        const auto count = co_await peer.read(buffer);
        co_await peer.write(std::span(buffer).first(count));
    }
}

} // namespace

TEST_CASE("a request and its response on a drained socket cost one recv, one send and one poll") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        // The tickets of TLS 1.3 and a first exchange are out of the way.
        bytes answer(5);
        on.loop.spawn(echo(on.server, rounds + 1));
        co_await on.client.write("warm!");
        co_await on.client.read_exactly(answer);
        co_await test::settle(on.loop);

        const auto client_before = on.client.counters();
        const auto server_before = on.server.counters();
        const auto loop_before = on.loop.counters();
        for (int i = 0; i < rounds; ++i) {
            co_await on.client.write("hello");
            co_await on.client.read_exactly(answer);
        }
        const auto client = on.client.counters();
        const auto server = on.server.counters();
        const auto loop = on.loop.counters();
        CHECK(client.receives - client_before.receives == rounds);
        CHECK(client.sends - client_before.sends == rounds);
        CHECK(client.read_waits - client_before.read_waits == rounds);
        CHECK(client.write_waits == client_before.write_waits);
        CHECK(server.receives - server_before.receives == rounds);
        CHECK(server.sends - server_before.sends == rounds);
        CHECK(loop.polls - loop_before.polls <= 2 * rounds); // one on each side
        CHECK(loop.completions - loop_before.completions == 2 * rounds);
        // The shared submit-and-wait; with epoll, a registration a wait besides.
        const int calls_a_wait = on.loop.driver() == "epoll" ? 2 : 1;
        CHECK(loop.enters - loop_before.enters <= 2 * rounds * calls_a_wait + 2);
    }(link));
}

TEST_CASE("a wait to read is one poll however long it lasts") {
    loopback link;
    link.loop.spawn([](stream& from) -> task<> {
        std::array<std::byte, 8> buffer;
        CHECK(co_await from.read(buffer) == 4);
    }(link.client));
    link.loop.run(test::settle(link.loop));
    const auto before = link.loop.counters();
    link.loop.run(test::settle(link.loop, 1000));
    const auto after = link.loop.counters();
    CHECK(after.polls == before.polls);
    CHECK(after.completions == before.completions);
    link.loop.run([](stream& to) -> task<> { co_await to.write("soon"); }(link.server));
    link.loop.run();
}

TEST_CASE("what OpenSSL holds decrypted is read without a system call") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        co_await on.server.write("0123456789");
        std::array<std::byte, 1> one;
        CHECK(co_await on.client.read(one) == 1);
        const auto before = on.client.counters();
        for (int i = 0; i < 9; ++i)
            CHECK(co_await on.client.read(one) == 1);
        CHECK(on.client.counters().receives == before.receives);
        CHECK(on.client.counters().read_waits == before.read_waits);
    }(link));
}

TEST_CASE("small pieces of a sequence share a record and a send") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        const auto before = on.client.counters();
        bytes piece(10, std::byte{1});
        std::vector<std::span<const std::byte>> pieces(100, piece);
        const auto written = co_await on.client.write(pieces);
        CHECK(written == 1000);
        CHECK(on.client.counters().sends - before.sends == 1);
        bytes got(2000);
        CHECK(co_await on.server.read(got) == 1000);
    }(link));
}

TEST_CASE("a half-closed peer with a full send buffer costs nothing while it is waited for") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    auto sockets = test::connected_tcp_pair(loop);
    const int server_fd = sockets.server.fd();
    test::stream_pair ends(std::move(sockets), c, s);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    const auto data = test::random_bytes(64 << 20);
    loop.spawn([](stream& to, const bytes& all) -> task<> {
        const auto ended = co_await as_result(to.write(all));
        CHECK(!ended); // its peer is gone in the end
    }(ends.client, data));
    loop.run(test::settle(loop));
    REQUIRE(::shutdown(server_fd, SHUT_WR) == 0);
    loop.run(test::settle(loop));
    const auto before = loop.counters();
    loop.run(test::settle(loop, 10'000));
    const auto after = loop.counters();
    CHECK(after.completions - before.completions <= 2);
    {
        const auto gone = std::move(ends.server);
    }
    loop.run();
}

} // namespace ringtls
