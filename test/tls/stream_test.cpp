// SPDX-License-Identifier: MIT
// What each operation of a stream promises, over honest and over lossy transports.
#include "../started.hpp"
#include "../support/lossy_pipe.hpp"

#include <ringtls/tls/stream.hpp>

#include <openssl/ssl.h>

#include <csignal>
#include <cstring>
#include <string>

using namespace std::chrono_literals;

namespace ringtls {
namespace {

using test::bytes;
using test::loopback;
using test::run_all;

/// Sends the bytes through, by write and read_exactly, and back, by pieces and read.
task<> send_there(stream& to, const bytes& data) {
    const auto written = co_await to.write(data);
    CHECK(written == data.size());
    bytes back(data.size());
    co_await to.read_exactly(back);
    CHECK(back == data);
}

task<> send_back(stream& to, const bytes& data) {
    bytes arrived;
    bytes buffer(20000);
    while (arrived.size() < data.size()) {
        const auto count = co_await to.read(buffer);
        REQUIRE(count > 0);
        arrived.insert(arrived.end(), buffer.begin(),
                       buffer.begin() + static_cast<std::ptrdiff_t>(count));
    }
    CHECK(arrived == data);
    const std::span<const std::byte> all(arrived);
    const auto third = all.size() / 3;
    const std::array pieces = {all.first(third), std::span<const std::byte>(),
                               all.subspan(third, third), all.subspan(2 * third)};
    const auto written = co_await to.write(pieces);
    CHECK(written == data.size());
}

void echo_every_size(event_loop& loop, stream& client, stream& server) {
    for (const auto size : test::sizes) {
        CAPTURE(size);
        const auto data = test::random_bytes(size, static_cast<unsigned>(size));
        run_all(loop, send_there(client, data), send_back(server, data));
    }
}

template<class Operation>
task<std::error_code> code_of(Operation operation) {
    const auto ended = co_await as_result(std::move(operation));
    co_return ended ? std::error_code() : ended.error().code();
}

} // namespace

TEST_CASE("every size arrives unchanged by write, pieces, read and read_exactly") {
    SUBCASE("over unix sockets") {
        loopback link;
        echo_every_size(link.loop, link.client, link.server);
    }
    SUBCASE("over a send buffer smaller than a record") {
        loopback link(1);
        echo_every_size(link.loop, link.client, link.server);
    }
    SUBCASE("over TCP") {
        event_loop loop;
        const client_context c(test::trusting());
        const server_context s(test::serving());
        test::stream_pair ends(test::connected_tcp_pair(loop), c, s);
        echo_every_size(loop, ends.client, ends.server);
    }
    SUBCASE("with TLS 1.2") {
        loopback link(0, test::only(test::trusting(), tls_version::tls_1_2),
                      test::only(test::serving(), tls_version::tls_1_2));
        CHECK(link.client.info().protocol == "TLSv1.2");
        echo_every_size(link.loop, link.client, link.server);
    }
}

TEST_CASE("a pipe that chops and delays changes nothing but the time") {
    for (unsigned seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        event_loop loop;
        const client_context c(test::trusting());
        const server_context s(test::serving());
        test::mischief how(seed);
        how.most = seed == 1 ? 1 : 700 * seed;
        how.delay_turns = 2;
        test::lossy_pipe pipe(loop, how, how, 1);
        test::stream_pair ends(pipe.ends(), c, s);
        for (const std::size_t size : {1, 13, 1024, 16385, 100000}) {
            CAPTURE(size);
            const auto data = test::random_bytes(size, seed);
            run_all(loop, send_there(ends.client, data), send_back(ends.server, data));
        }
    }
}

TEST_CASE("a pipe that cuts is a truncation wherever it cuts, and no byte is wrong before it") {
    for (std::uint64_t cut = 0; cut < 6000; cut += 97) {
        CAPTURE(cut);
        event_loop loop;
        const client_context c(test::trusting());
        const server_context s(test::serving());
        test::mischief cutting(1);
        cutting.cut_after = cut;
        test::lossy_pipe pipe(loop, test::mischief(2), cutting);
        test::stream_pair ends(pipe.ends(), c, s);
        const auto data = test::random_bytes(20000);
        loop.spawn([](stream& from, const bytes& all) -> task<> {
            // Fails when the client is gone, which is not what this is about.
            (void)co_await as_result(from.write(all));
        }(ends.server, data));
        loop.run([](stream& into, const bytes& all) -> task<> {
            bytes got;
            bytes buffer(20000);
            for (;;) {
                const auto count = co_await as_result(into.read(buffer));
                if (!count) {
                    CHECK(count.error().code() == errc::truncated);
                    break;
                }
                got.insert(got.end(), buffer.begin(),
                           buffer.begin() + static_cast<std::ptrdiff_t>(*count));
            }
            REQUIRE(got.size() <= all.size());
            CHECK(std::equal(got.begin(), got.end(), all.begin()));
        }(ends.client, data));
    }
}

TEST_CASE("a pipe that corrupts ends the connection with an error and never passes a wrong byte") {
    for (std::uint64_t at = 0; at < 9000; at += 211) {
        CAPTURE(at);
        event_loop loop;
        const client_context c(test::trusting());
        const server_context s(test::serving());
        test::mischief corrupting(1);
        corrupting.corrupt_at = at;
        test::lossy_pipe pipe(loop, test::mischief(2), corrupting);
        auto ends = std::make_unique<test::stream_pair>(pipe.ends(), c, s);
        const auto data = test::random_bytes(20000);
        loop.spawn([](stream& from, const bytes& all) -> task<> {
            (void)co_await as_result(from.write(all));
            (void)co_await as_result(from.close_write());
            std::array<std::byte, 16> ignored;
            (void)co_await as_result(from.read(ignored));
        }(ends->server, data));
        loop.run([](stream& into, const bytes& all) -> task<> {
            bytes got(all.size());
            const auto whole = co_await as_result(into.read_exactly(got));
            CHECK(!whole);
            CHECK(std::equal(got.begin(),
                             got.begin() +
                                 static_cast<std::ptrdiff_t>(whole ? 0 : whole.error().bytes()),
                             all.begin()));
        }(ends->client, data));
        ends.reset();
    }
}

TEST_CASE("a gathered record that the socket has not room for is not yet written") {
    loopback link(1);
    const bytes data = test::random_bytes(16384);
    std::vector<std::span<const std::byte>> pieces;
    for (std::size_t at = 0; at < data.size(); at += 1024)
        pieces.push_back(std::span(data).subspan(at, 1024));
    bool written = false;
    link.loop.spawn([](stream& to, const auto& from, bool& done) -> task<> {
        co_await to.write(from);
        done = true;
    }(link.client, pieces, written));
    link.loop.run(test::settle(link.loop));
    CHECK(!written);
    bytes got(data.size());
    link.loop.run(test::read_all(link.server, got));
    link.loop.run();
    CHECK(written);
    CHECK(got == data);
}

TEST_CASE("read completes with 0 after close_notify, as often as it is called") {
    loopback link;
    run_all(
        link.loop, [](stream& from) -> task<> { co_await from.close_write(); }(link.server),
        [](stream& from) -> task<> {
            std::array<std::byte, 8> buffer;
            for (int i = 0; i < 3; ++i)
                CHECK(co_await from.read(buffer) == 0);
        }(link.client));
}

TEST_CASE("read_exactly past close_notify is truncated, with the bytes that arrived") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        co_await on.server.write("abc");
        co_await on.server.close_write();
        std::array<std::byte, 8> buffer;
        const auto whole = co_await as_result(on.client.read_exactly(buffer));
        REQUIRE(!whole);
        CHECK(whole.error().code() == errc::truncated);
        CHECK(whole.error().bytes() == 3);
        CHECK(whole.error().operation() == "read_exactly");
    }(link));
}

TEST_CASE("the end without close_notify is truncated, and stays so") {
    auto link = std::make_unique<loopback>();
    link->loop.run([](loopback& on) -> task<> {
        co_await on.server.write("last words");
        {
            const auto gone = std::move(on.server);
        }
        std::array<std::byte, 64> buffer;
        CHECK(co_await on.client.read(buffer) == 10);
        for (int i = 0; i < 2; ++i) {
            const auto end = co_await as_result(on.client.read(buffer));
            REQUIRE(!end);
            CHECK(end.error().code() == errc::truncated);
        }
        const auto write = co_await as_result(on.client.write("anyone?"));
        REQUIRE(!write);
        CHECK(write.error().code() == errc::truncated);
    }(*link));
}

TEST_CASE("empty buffers complete at once and touch nothing") {
    loopback link(0, test::trusting(), test::serving(), true);
    link.loop.run([](loopback& on) -> task<> {
        CHECK(co_await on.client.read(std::span<std::byte>()) == 0);
        CHECK(co_await on.client.write(std::span<const std::byte>()) == 0);
        co_await on.client.read_exactly(std::span<std::byte>());
        CHECK(on.client.counters().sends == 0);
        CHECK(on.client.counters().receives == 0);
    }(link));
}

TEST_CASE("a second operation in a direction is busy and disturbs nothing") {
    loopback link;
    link.loop.spawn([](loopback& on) -> task<> {
        std::array<std::byte, 5> buffer;
        co_await on.client.read_exactly(buffer);
        CHECK(std::memcmp(buffer.data(), "hello", 5) == 0);
    }(link));
    link.loop.run([](loopback& on) -> task<> {
        co_await test::settle(on.loop);
        std::array<std::byte, 5> buffer;
        const auto second = co_await as_result(on.client.read(buffer));
        REQUIRE(!second);
        CHECK(second.error().code() == errc::busy);
        const auto shake = co_await as_result(on.client.handshake());
        CHECK(shake.error().code() == errc::busy);
        const auto down = co_await as_result(on.client.shutdown());
        CHECK(down.error().code() == errc::busy);
        const auto wait = co_await as_result(on.client.readable());
        CHECK(wait.error().code() == errc::busy);
        co_await on.server.write("hello");
    }(link));
    link.loop.run();
}

TEST_CASE("a read that timed out or was cancelled loses no byte") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        std::array<std::byte, 64> buffer;
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto late = co_await as_result(on.client.read(buffer).within(1s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
        std::stop_source stop;
        on.loop.post([&stop] { stop.request_stop(); });
        const auto stopped = co_await as_result(on.client.read(buffer).cancel_on(stop.get_token()));
        REQUIRE(!stopped);
        CHECK(stopped.error().code() == errc::canceled);
        co_await on.server.write("still there");
        CHECK(co_await on.client.read(buffer) == 11);
    }(link));
}

TEST_CASE(
    "a cancelled write says how much was accepted, and exactly that arrives before the next") {
    for (const std::size_t size : {100'000UL, 300'000UL, 1'000'000UL}) {
        CAPTURE(size);
        loopback link(1);
        const auto data = test::random_bytes(size);
        link.loop.run([](loopback& on, const bytes& all) -> task<> {
            on.loop.post([&on] { on.clock.advance(2s); });
            const auto cut = co_await as_result(on.client.write(all).within(1s));
            REQUIRE(!cut);
            CHECK(cut.error().code() == errc::timed_out);
            const auto accepted = cut.error().bytes();
            CHECK(accepted > 0);
            CHECK(accepted < all.size());
            bytes expected(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(accepted));
            const std::string more = "after the cut";
            const auto tail = std::as_bytes(std::span(more));
            expected.insert(expected.end(), tail.begin(), tail.end());
            bytes got(expected.size());
            co_await when_all(test::write_all(on.client, tail), test::read_all(on.server, got));
            CHECK(got == expected);
            // And the other direction is as good as before.
            co_await on.server.write("reply");
            std::array<std::byte, 5> reply;
            co_await on.client.read_exactly(reply);
        }(link, data));
    }
}

TEST_CASE("what a cancelled write left arrives even if nobody uses the stream again") {
    loopback link(1);
    const auto data = test::random_bytes(200'000);
    link.loop.run([](loopback& on, const bytes& all) -> task<> {
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto cut = co_await as_result(on.client.write(all).within(1s));
        REQUIRE(!cut);
        bytes got(cut.error().bytes());
        co_await on.server.read_exactly(got);
        CHECK(std::equal(got.begin(), got.end(), all.begin()));
    }(link, data));
}

TEST_CASE("a frame destroyed while it writes leaves whole records and a usable stream") {
    loopback link(1);
    const auto data = test::random_bytes(200'000);
    link.loop.run([](loopback& on, const bytes& all) -> task<> {
        {
            auto doomed = [](stream& to, const bytes& from) -> test::started {
                co_await to.write(from);
            }(on.client, all);
            co_await test::settle(on.loop);
            CHECK(!doomed.ended());
        }
        // An unknown number of whole records, then what is written now.
        bytes got;
        co_await when_all(
            [](stream& to) -> task<> {
                co_await to.write("the end");
                co_await to.close_write();
            }(on.client),
            [](stream& from, bytes& into) -> task<> {
                into = co_await test::read_to_end(from);
            }(on.server, got));
        REQUIRE(got.size() >= 7);
        const auto accepted = got.size() - 7;
        CHECK(accepted % 16384 == 0);
        CHECK(accepted > 0);
        CHECK(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(accepted),
                         all.begin()));
        CHECK(std::memcmp(got.data() + accepted, "the end", 7) == 0);
    }(link, data));
}

TEST_CASE("destroying a stream cancels the operations in other coroutines") {
    loopback link(1);
    const auto data = test::random_bytes(500'000);
    auto doomed = std::make_unique<stream>(std::move(link.client));
    std::error_code read_code;
    std::error_code write_code;
    link.loop.spawn([](stream& from, std::error_code& code) -> task<> {
        std::array<std::byte, 8> buffer;
        const auto ended = co_await as_result(from.read(buffer));
        code = ended.error().code();
    }(*doomed, read_code));
    link.loop.spawn([](stream& to, const bytes& all, std::error_code& code) -> task<> {
        const auto ended = co_await as_result(to.write(all));
        code = ended.error().code();
    }(*doomed, data, write_code));
    link.loop.run(test::settle(link.loop));
    CHECK(!read_code);
    CHECK(!write_code);
    doomed.reset();
    link.loop.run();
    CHECK(read_code == errc::canceled);
    CHECK(write_code == errc::canceled);
}

TEST_CASE("a stream may move while operations are in flight") {
    loopback link(1);
    const auto data = test::random_bytes(500'000);
    bytes got(data.size());
    link.loop.spawn(test::write_all(link.client, data));
    link.loop.run(test::settle(link.loop));
    stream moved = std::move(link.client);
    link.loop.run(test::read_all(link.server, got));
    link.loop.run();
    CHECK(got == data);
    link.loop.spawn(test::write_all(link.server, data));
    link.loop.run(test::read_all(moved, got));
}

TEST_CASE("after close_write, reading goes on and writing is refused") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        co_await on.client.close_write();
        std::array<std::byte, 16> buffer;
        CHECK(co_await on.server.read(buffer) == 0);
        co_await on.server.write("half open");
        CHECK(co_await on.client.read(buffer) == 9);
        const auto refused = co_await as_result(on.client.write("more"));
        REQUIRE(!refused);
        CHECK(refused.error().code() == errc::write_closed);
        co_await on.client.close_write(); // once more is nothing
        co_await on.server.close_write();
        CHECK(co_await on.client.read(buffer) == 0);
    }(link));
}

TEST_CASE("key_update is refused below TLS 1.3") {
    loopback link(0, test::only(test::trusting(), tls_version::tls_1_2),
                  test::only(test::serving(), tls_version::tls_1_2));
    link.loop.run([](loopback& on) -> task<> {
        const auto refused =
            co_await as_result(on.client.key_update(key_update_request::not_requested));
        REQUIRE(!refused);
        CHECK(refused.error().code() == errc::key_update_refused);
        co_await on.client.write("unharmed");
    }(link));
}

TEST_CASE("a key update to a peer that is gone fails, and so does the next") {
    loopback link;
    test::drop(link.server);
    link.loop.run([](loopback& on) -> task<> {
        for (int again = 0; again < 2; ++again) {
            const auto refused =
                co_await as_result(on.client.key_update(key_update_request::not_requested));
            REQUIRE(!refused);
            CHECK(refused.error().code() == std::errc::broken_pipe);
        }
    }(link));
}

TEST_CASE("a key update occupies the writing direction, and waits behind a write's record") {
    loopback link(1);
    const auto data = test::random_bytes(200'000);
    link.loop.spawn([](stream& to) -> task<> {
        const auto ended = co_await as_result(to.key_update(key_update_request::not_requested));
        CHECK(ended);
    }(link.server));
    link.loop.spawn(test::write_all(link.client, data));
    link.loop.spawn([](stream& to) -> task<> {
        co_await to.key_update(key_update_request::not_requested);
    }(link.client));
    link.loop.run([](loopback& on, const bytes& all) -> task<> {
        co_await test::settle(on.loop);
        const auto second =
            co_await as_result(on.client.key_update(key_update_request::not_requested));
        REQUIRE(!second);
        CHECK(second.error().code() == errc::busy);
        bytes got(all.size());
        co_await on.server.read_exactly(got);
        CHECK(got == all);
    }(link, data));
    link.loop.run();
}

TEST_CASE("beside a key update that waits for room only a write may begin") {
    loopback link(1);
    const auto much = test::random_bytes(500'000);
    std::stop_source stop;
    const auto code_of = [](auto call) -> task<std::error_code> {
        const auto ended = co_await as_result(call().within(0s));
        co_return ended ? std::error_code() : ended.error().code();
    };
    link.loop.spawn([](stream& to, const bytes& all, std::stop_token token) -> task<> {
        const auto stopped = co_await as_result(to.write(all).cancel_on(token));
        CHECK(!stopped);
    }(link.client, much, stop.get_token()));
    link.loop.run(test::settle(link.loop));
    link.loop.spawn([](stream& at) -> task<> {
        const auto cut_off = co_await as_result(at.key_update(key_update_request::not_requested));
        CHECK(!cut_off);
    }(link.client));
    link.loop.run(test::settle(link.loop));
    stop.request_stop();
    link.loop.run(test::settle(link.loop));
    const auto update = [&] { return link.client.key_update(key_update_request::not_requested); };
    CHECK(link.loop.run(code_of(update)) == errc::busy);
    CHECK(link.loop.run(code_of([&] { return link.client.close_write(); })) == errc::busy);
    CHECK(link.loop.run(code_of([&] { return link.client.shutdown(); })) == errc::busy);
    CHECK(link.loop.run(code_of([&] { return link.client.write("x"); })) == errc::timed_out);
    test::drop(link.server);
    link.loop.run();
}

TEST_CASE("readable completes when a read would not wait, and takes nothing") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto early = co_await as_result(on.client.readable().within(1s));
        REQUIRE(!early);
        CHECK(early.error().code() == errc::timed_out);
        co_await on.server.write("x");
        co_await on.client.readable();
        co_await on.client.readable();
        std::array<std::byte, 8> buffer;
        CHECK(co_await on.client.read(buffer) == 1);
        co_await on.server.close_write();
        co_await on.client.readable();
        CHECK(co_await on.client.read(buffer) == 0);
        co_await on.client.readable();
    }(link));
}

TEST_CASE("a reader and a writer that start at once share the handshake") {
    loopback link(1, test::trusting(), test::serving(), true);
    const auto data = test::random_bytes(50'000);
    bytes there(data.size());
    bytes back(data.size());
    run_all(link.loop, test::read_all(link.client, back), test::write_all(link.client, data),
            test::read_all(link.server, there), test::write_all(link.server, data));
    CHECK(there == data);
    CHECK(back == data);
}

TEST_CASE("a handshake that timed out goes on where it was") {
    loopback link(0, test::trusting(), test::serving(), true);
    link.loop.run([](loopback& on) -> task<> {
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto late = co_await as_result(on.client.handshake().within(1s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
        co_await when_all(test::shake_hands(on.client), test::shake_hands(on.server));
        CHECK(on.client.info().protocol == "TLSv1.3");
    }(link));
}

TEST_CASE("writing to a peer that is gone is an error and raises no SIGPIPE") {
    struct sigaction before{};
    REQUIRE(::sigaction(SIGPIPE, nullptr, &before) == 0);
    REQUIRE((before.sa_handler == SIG_DFL)); // it would kill this process
    loopback link;
    {
        const auto gone = std::move(link.server);
    }
    link.loop.run([](loopback& on) -> task<> {
        const auto written = co_await as_result(on.client.write("hello?"));
        REQUIRE(!written);
        CHECK(written.error().code() == std::errc::broken_pipe);
        CHECK(written.error().operation() == "write");
        const auto again = co_await as_result(on.client.write("hello?"));
        CHECK(again.error().code() == std::errc::broken_pipe);
    }(link));
}

TEST_CASE("renegotiation is refused unless it is allowed") {
    loopback link(0, test::only(test::trusting(), tls_version::tls_1_2),
                  test::only(test::serving(), tls_version::tls_1_2));
    CHECK(SSL_renegotiate(link.client.native_handle()) == 0);
}

} // namespace ringtls
