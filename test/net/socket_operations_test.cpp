// SPDX-License-Identifier: MIT
#include <ringtls/net/socket_operations.hpp>

#include "../descriptors.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/socket.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::task;
using ringtls::test::socket_ends;

using bytes = std::vector<std::byte>;

bytes pattern(std::size_t size) {
    bytes made(size);
    for (std::size_t i = 0; i < size; ++i)
        made[i] = static_cast<std::byte>(i * 31 + i / 251);
    return made;
}

/// One end is the library's, the other the test's.
struct fixture {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    ringtls::test::descriptor peer;
    ringtls::socket ours;

    explicit fixture(socket_ends ends = socket_ends::unix_pair())
        : peer(std::move(ends.b)), ours(loop, ends.a.release()) {}
};

task<> turns(event_loop& loop, int count = 10) {
    for (int i = 0; i < count; ++i)
        co_await loop.yield();
}

task<bytes> read_to_end(ringtls::socket& from) {
    bytes all;
    bytes buffer(65536);
    for (;;) {
        const auto count = co_await from.read(buffer);
        if (count == 0)
            co_return all;
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
    }
}

task<> write_and_end(ringtls::socket& to, const bytes& from) {
    const auto count = co_await to.write(from);
    CHECK(count == from.size());
    to.shutdown_write();
}

/// What drains a peer as fast as it comes in, so that a write seldom waits.
bytes received(const ringtls::test::descriptor& peer) {
    bytes all;
    for (;;) {
        const auto got = peer.take();
        if (got.empty())
            return all;
        const auto more = std::as_bytes(std::span(got));
        all.insert(all.end(), more.begin(), more.end());
    }
}

} // namespace

TEST_CASE("A read completes with what is there, and with 0 at the end") {
    for (const bool tcp : {false, true}) {
        fixture on(tcp ? socket_ends::tcp_pair() : socket_ends::unix_pair());
        on.peer.put("hello");
        on.loop.run([](fixture& l) -> task<> {
            std::array<std::byte, 64> buffer{};
            auto count = co_await l.ours.read(buffer);
            CHECK(std::string(reinterpret_cast<const char*>(buffer.data()), count) == "hello");
            l.peer.close();
            count = co_await l.ours.read(buffer);
            CHECK(count == 0);
        }(on));
    }
}

TEST_CASE("A read waits for the first byte, with one poll however long that lasts") {
    fixture on;
    bytes got(16);
    on.loop.spawn([](fixture& l, bytes& into) -> task<> {
        const auto count = co_await l.ours.read(into);
        into.resize(count);
    }(on, got));
    const auto before = on.loop.counters().polls;
    on.loop.run(turns(on.loop));
    CHECK(got.size() == 16);
    CHECK(on.loop.counters().polls <= before + 2); // the loop's own is one
    const auto waiting = on.loop.counters().polls;
    on.peer.put("x");
    on.loop.run();
    CHECK(got == bytes(1, std::byte{'x'}));
    CHECK(on.loop.counters().polls == waiting);
}

TEST_CASE("An empty buffer is read and written at once and touches nothing") {
    event_loop loop;
    ringtls::socket none(loop, -1);
    loop.run([](ringtls::socket& s) -> task<> {
        const auto read = co_await s.read(std::span<std::byte>());
        const auto written = co_await s.write("");
        CHECK(read == 0);
        CHECK(written == 0);
    }(none));
}

TEST_CASE("A write of any size arrives whole and in order, both ways at once") {
    for (const bool tcp : {false, true}) {
        for (const std::size_t size : {1U, 1024U, 16385U, 1048576U, 5000000U}) {
            CAPTURE(tcp);
            CAPTURE(size);
            auto ends = tcp ? socket_ends::tcp_pair() : socket_ends::unix_pair();
            event_loop loop;
            ringtls::socket a(loop, ends.a.release());
            ringtls::socket b(loop, ends.b.release());
            const auto sent = pattern(size);
            loop.spawn(write_and_end(a, sent));
            loop.spawn(write_and_end(b, sent));
            bytes at_a;
            loop.spawn([](ringtls::socket& from, bytes& into) -> task<> {
                into = co_await read_to_end(from);
            }(a, at_a));
            const auto at_b = loop.run(read_to_end(b));
            loop.run();
            CHECK(at_a == sent);
            CHECK(at_b == sent);
        }
    }
}

TEST_CASE("A cancelled write tells what was sent, and no more than that arrives") {
    fixture on;
    const auto data = pattern(4000000);
    std::stop_source stop;
    std::size_t accepted = 0;
    on.loop.spawn(
        [](fixture& l, const bytes& from, std::stop_token token, std::size_t& sent) -> task<> {
            const auto ended = co_await as_result(l.ours.write(from).cancel_on(std::move(token)));
            REQUIRE(!ended);
            CHECK(ended.error().code() == errc::canceled);
            CHECK(ended.error().operation() == "write");
            sent = ended.error().bytes();
        }(on, data, stop.get_token(), accepted));
    on.loop.run(turns(on.loop));
    auto arrived = received(on.peer);
    on.loop.run(turns(on.loop));
    stop.request_stop();
    on.loop.run();
    const auto rest = received(on.peer);
    arrived.insert(arrived.end(), rest.begin(), rest.end());
    CHECK(accepted > 0);
    CHECK(accepted < data.size());
    CHECK(arrived == bytes(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(accepted)));
}

TEST_CASE("A read that is cancelled or times out loses nothing") {
    fixture on;
    std::stop_source stop;
    on.loop.spawn([](fixture& l, std::stop_token token) -> task<> {
        std::array<std::byte, 8> buffer{};
        const auto late = co_await as_result(l.ours.read(buffer).within(1s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
        CHECK(late.error().operation() == "read");
        const auto stopped = co_await as_result(l.ours.read(buffer).cancel_on(std::move(token)));
        REQUIRE(!stopped);
        CHECK(stopped.error().code() == errc::canceled);
        const auto count = co_await l.ours.read(buffer);
        CHECK(count == 5);
    }(on, stop.get_token()));
    on.loop.run(turns(on.loop));
    on.clock.advance(2s);
    on.loop.run(turns(on.loop));
    stop.request_stop();
    on.loop.run(turns(on.loop));
    on.peer.put("bytes");
    on.loop.run();
}

TEST_CASE("A frame destroyed while it reads or writes leaves nothing to wait for") {
    for (const bool writes : {false, true}) {
        CAPTURE(writes);
        fixture on;
        const auto data = pattern(4000000);
        on.loop.spawn([](event_loop& loop) -> task<> {
            co_await turns(loop);
            loop.stop();
        }(on.loop));
        // Stopping the loop destroys the task that it runs to its end.
        CHECK_THROWS_AS(on.loop.run([](fixture& f, const bytes& from, bool writing) -> task<> {
            std::array<std::byte, 8> buffer{};
            if (writing)
                co_await f.ours.write(from);
            else
                co_await f.ours.read(buffer);
        }(on, data, writes)),
                        ringtls::error);
        on.loop.run();
        const auto sent = received(on.peer);
        CHECK(sent.empty() != writes);
        CHECK(sent == bytes(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(sent.size())));
    }
}

TEST_CASE("Writing to a peer that is gone is an error, and no signal") {
    fixture on;
    on.peer.close();
    on.loop.run([](fixture& l) -> task<> {
        const auto ended = co_await as_result(l.ours.write("anybody?"));
        REQUIRE(!ended);
        CHECK(ended.error().code() == std::errc::broken_pipe);
        CHECK(ended.error().operation() == "write");
        CHECK(ended.error().bytes() == 0);
    }(on));
}

TEST_CASE("A socket that cannot be read says why") {
    event_loop loop;
    ringtls::socket none(loop, -1);
    loop.run([](ringtls::socket& s) -> task<> {
        std::array<std::byte, 8> buffer{};
        const auto ended = co_await as_result(s.read(buffer));
        REQUIRE(!ended);
        CHECK(ended.error().code() == std::errc::bad_file_descriptor);
    }(none));
    CHECK_THROWS_WITH_AS(none.shutdown_write(), "shutdown_write: Bad file descriptor",
                         ringtls::error);
}

TEST_CASE("After shutdown_write() the peer reads the end, and its answer is still read") {
    fixture on;
    on.loop.run([](fixture& l) -> task<> {
        co_await l.ours.write("ask");
        l.ours.shutdown_write();
        CHECK(l.peer.take() == "ask");
        CHECK(l.peer.take().empty());
        l.peer.put("answer");
        std::array<std::byte, 64> buffer{};
        const auto count = co_await l.ours.read(buffer);
        CHECK(count == 6);
    }(on));
}

TEST_CASE("Reads that never have to wait let others have their turn") {
    fixture on;
    on.peer.put(std::string(1000, 'x'));
    bool other = false;
    int before_other = 0;
    on.loop.run([](fixture& l, bool& had_turn, int& before) -> task<> {
        l.loop.spawn([](bool& set) -> task<> {
            set = true;
            co_return;
        }(had_turn));
        std::array<std::byte, 1> one{};
        for (int i = 0; i < 1000; ++i) {
            static_cast<void>(co_await l.ours.read(one));
            before += had_turn ? 0 : 1;
        }
    }(on, other, before_other));
    CHECK(other);
    CHECK(before_other <= 64);
}

TEST_CASE("A socket that is moved while it is read goes on reading") {
    fixture on;
    bool ended = false;
    on.loop.spawn([](fixture& l, bool& done) -> task<> {
        std::array<std::byte, 8> buffer{};
        const auto count = co_await l.ours.read(buffer);
        CHECK(count == 2);
        done = true;
    }(on, ended));
    on.loop.run(turns(on.loop));
    const ringtls::socket elsewhere(std::move(on.ours));
    on.peer.put("on");
    on.loop.run();
    CHECK(ended);
}
