// SPDX-License-Identifier: MIT
// TLS over unix sockets: what listener and connect() make of a path, and a socketpair(2).
#include "../support/loopback.hpp"
#include "../support/scratch.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <stop_token>

namespace ringtls {
namespace {

using test::bytes;
using test::run_all;

/// The first socket is the one that connects.
test::socket_pair connected_by_path(event_loop& loop, const test::scratch& here) {
    auto listening = listener::bind(loop, address::unix_path(here.path("socket")));
    return loop.run([](event_loop& on, listener& at) -> task<test::socket_pair> {
        auto client = co_await connect(on, at.local_address());
        auto server = co_await at.accept();
        co_return test::socket_pair{std::move(client), std::move(server)};
    }(loop, listening));
}

/// Runs a test over a path and over a socketpair.
template<class Test>
void over_both(Test test) {
    for (const bool by_path : {true, false}) {
        CAPTURE(by_path);
        const test::scratch here;
        event_loop loop;
        const client_context client(test::trusting());
        const server_context server(test::serving().tickets(0));
        test::stream_pair ends(by_path ? connected_by_path(loop, here) : test::connected_pair(loop),
                               client, server);
        run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        test(loop, ends);
    }
}

int signals = 0; // NOLINT: a signal handler has no other place

/// Counts SIGPIPE while it lives.
class sigpipe_counter {
  public:
    sigpipe_counter() : before_(std::signal(SIGPIPE, [](int) { ++signals; })) { signals = 0; }
    sigpipe_counter(const sigpipe_counter&) = delete;
    sigpipe_counter& operator=(const sigpipe_counter&) = delete;
    ~sigpipe_counter() { std::signal(SIGPIPE, before_); }

  private:
    void (*before_)(int);
};

} // namespace

TEST_CASE("a megabyte passes in both directions at once, and both ends close cleanly") {
    over_both([](event_loop& loop, test::stream_pair& ends) {
        const auto there = test::random_bytes(1 << 20, 1);
        const auto back = test::random_bytes(1 << 20, 2);
        bytes got_there(there.size());
        bytes got_back(back.size());
        run_all(loop, test::write_all(ends.client, there), test::write_all(ends.server, back),
                test::read_all(ends.client, got_back), test::read_all(ends.server, got_there));
        CHECK(got_there == there);
        CHECK(got_back == back);
        run_all(loop, test::shut_down(ends.client), test::shut_down(ends.server));
    });
}

TEST_CASE("a cancelled write's count is exact, and a cancelled read loses nothing") {
    over_both([](event_loop& loop, test::stream_pair& ends) {
        const auto much = test::random_bytes(4 << 20);
        std::stop_source stop;
        std::size_t accepted = 0;
        loop.spawn(
            [](stream& to, const bytes& from, std::stop_token token, std::size_t& count) -> task<> {
                const auto end = co_await as_result(to.write(from).cancel_on(token));
                REQUIRE(!end);
                CHECK(end.error().code() == errc::canceled);
                count = end.error().bytes();
            }(ends.client, much, stop.get_token(), accepted));
        loop.spawn([](stream& from, std::stop_token token) -> task<> {
            std::array<std::byte, 1> one;
            const auto end = co_await as_result(from.read(one).cancel_on(token));
            REQUIRE(!end);
            CHECK(end.error().code() == errc::canceled);
        }(ends.client, stop.get_token()));
        loop.run(test::settle(loop));
        stop.request_stop();
        loop.run(test::settle(loop));
        CHECK(accepted > 0);
        CHECK(accepted < much.size());
        const auto behind = test::random_bytes(5, 2);
        bytes got(accepted);
        bytes next(5);
        loop.spawn(test::write_all(ends.client, behind));
        loop.run(test::read_all(ends.server, got));
        loop.run(test::read_all(ends.server, next));
        CHECK(std::ranges::equal(got, std::span(much).first(accepted)));
        CHECK(next == behind);
        bytes answer(5);
        run_all(loop, test::write_all(ends.server, std::span(much).first(5)),
                test::read_all(ends.client, answer));
        CHECK(std::ranges::equal(answer, std::span(much).first(5)));
    });
}

TEST_CASE("a peer that dies is truncation to a reader, an error to a writer, and never a signal") {
    over_both([](event_loop& loop, test::stream_pair& ends) {
        const sigpipe_counter pipes;
        test::drop(ends.server);
        loop.run([](stream& with) -> task<> {
            std::array<std::byte, 8> buffer;
            const auto written = co_await as_result(with.write("anybody?"));
            REQUIRE(!written);
            CHECK(written.error().code() == std::errc::broken_pipe);
            const auto got = co_await as_result(with.read(buffer));
            REQUIRE(!got);
            CHECK(got.error().code() == errc::truncated);
        }(ends.client));
        CHECK(signals == 0);
    });
}

TEST_CASE("a peer that dies with something unread resets the connection") {
    over_both([](event_loop& loop, test::stream_pair& ends) {
        const sigpipe_counter pipes;
        loop.run([](stream& to) -> task<> { co_await to.write("never read"); }(ends.client));
        test::drop(ends.server);
        loop.run([](stream& with) -> task<> {
            std::array<std::byte, 8> buffer;
            const auto got = co_await as_result(with.read(buffer));
            REQUIRE(!got);
            CHECK(got.error().code() == std::errc::connection_reset);
            const auto written = co_await as_result(with.write("anybody?"));
            CHECK(!written);
        }(ends.client));
        CHECK(signals == 0);
    });
}

TEST_CASE("the server's path is the client's peer address, and sessions need no port") {
    const test::scratch here;
    event_loop loop;
    const client_context client(test::trusting().sessions(session_cache()));
    const server_context server(test::serving());
    for (const bool again : {false, true}) {
        test::stream_pair ends(connected_by_path(loop, here), client, server);
        CHECK(ends.client.peer_address() == address::unix_path(here.path("socket")));
        CHECK(ends.server.peer_address().family() == address::family::unix_path);
        bytes one(1);
        run_all(loop, test::write_all(ends.server, one), test::read_all(ends.client, one));
        CHECK(ends.client.resumed() == again);
        run_all(loop, test::shut_down(ends.client), test::shut_down(ends.server));
        std::filesystem::remove(here.path("socket"));
    }
}

} // namespace ringtls
