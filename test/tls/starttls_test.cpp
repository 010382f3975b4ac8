// SPDX-License-Identifier: MIT
// Plain text before TLS and after it, on one socket, with a peer that is OpenSSL alone.
#include "../support/openssl_peer.hpp"

#include <memory>
#include <optional>
#include <string>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::openssl_peer;
using test::run_all;

/// A stream, and OpenSSL as its peer; not yet shaken hands.
struct fixture {
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    test::socket_pair sockets;
    bool is_client;
    client_context client_side;
    server_context server_side;
    std::optional<socket> ours;
    openssl_peer peer;

    fixture(const test::variant& how, bool client, int buffer = 0)
        : sockets(test::connected(loop, how, buffer)),
          is_client(client),
          client_side(test::only(test::trusting(), how.version)),
          server_side(test::only(test::serving(), how.version)),
          ours(std::move(sockets.client)),
          peer(std::move(sockets.server), !client, how.version) {}

    /// The stream takes the socket.
    stream wrap(std::string_view already_read = {}) {
        const auto read = std::as_bytes(std::span(already_read));
        return is_client ? stream(*std::move(ours), client_side, "localhost", read)
                         : stream(*std::move(ours), server_side, read);
    }
};

task<std::string> read_some(socket& from) {
    std::string text(4096, ' ');
    const auto count = co_await from.read(std::as_writable_bytes(std::span(text)));
    text.resize(count);
    co_return text;
}

task<std::string> read_some(stream& from) {
    std::string text(4096, ' ');
    const auto count = co_await from.read(std::as_writable_bytes(std::span(text)));
    text.resize(count);
    co_return text;
}

task<> converse(stream& ours, openssl_peer& peer) {
    co_await ours.write("to the peer");
    const auto there = co_await peer.read();
    CHECK(there == "to the peer");
    co_await peer.send(peer.written("from the peer"));
    const auto back = co_await read_some(ours);
    CHECK(back == "from the peer");
}

/// The end of TLS by both, and plain text right behind the peer's close_notify.
task<> end_with(stream& ours, openssl_peer& peer, bool peer_first, const std::string& text) {
    if (!peer_first) {
        co_await ours.close_write();
        const auto ended = co_await peer.read();
        CHECK(ended.empty());
    }
    co_await peer.send(peer.written("the last of TLS") + peer.close_notify() + text);
    const auto last = co_await read_some(ours);
    CHECK(last == "the last of TLS");
    co_await ours.shutdown();
}

std::error_code refusal_of(stream& from) {
    try {
        static_cast<void>(from.detach());
    } catch (const error& failure) {
        CHECK(failure.operation() == "detach");
        return failure.code();
    }
    return {};
}

} // namespace

TEST_CASE("What was read before TLS began is what TLS receives first, however much it was") {
    test::over_all([](const test::variant& how, bool all_at_once) {
        for (const std::size_t part : {1, 5, 6, 100}) {
            CAPTURE(part);
            fixture on(how, false);
            const std::string command = "STARTTLS\r\n";
            on.loop.run(
                [](fixture& f, const std::string& line, std::size_t size, bool all) -> task<> {
                    const auto hello = f.peer.begin();
                    const auto first = all ? hello.size() : size;
                    co_await f.peer.send(line + hello.substr(0, first));
                    const auto read = co_await read_some(*f.ours);
                    REQUIRE(read.substr(0, line.size()) == line);
                    auto ours = f.wrap(std::string_view(read).substr(line.size()));
                    co_await f.peer.send(hello.substr(first));
                    co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
                    co_await converse(ours, f.peer);
                }(on, command, part, all_at_once));
        }
    });
}

TEST_CASE("What was read before TLS began is received by the context that it chooses") {
    fixture on(test::variants[0], false);
    on.server_side = server_context(server_names().add("localhost", on.server_side));
    on.loop.run([](fixture& f) -> task<> {
        const auto hello = f.peer.begin();
        const auto half = hello.size() / 2;
        auto ours = f.wrap(std::string_view(hello).substr(0, half));
        co_await f.peer.send(hello.substr(half));
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        co_await converse(ours, f.peer);
        CHECK(ours.info().server_name == "localhost");
    }(on));
}

TEST_CASE("Nothing that comes after what was read is kept") {
    fixture on(test::variants[0], false);
    on.loop.run([](fixture& f) -> task<> {
        auto ours = f.wrap(f.peer.begin());
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        const std::string record(16384, 'x');
        bytes buffer(record.size());
        for (int i = 0; i < 20; ++i) {
            co_await when_all(f.peer.send(f.peer.written(record)), test::read_all(ours, buffer));
        }
    }(on));
}

TEST_CASE("Plain text handed over as TLS fails the handshake, and is never data") {
    for (const bool is_client : {false, true}) {
        CAPTURE(is_client);
        fixture on(test::variants[0], is_client);
        on.loop.run([](fixture& f) -> task<> {
            auto ours = f.wrap("MAIL FROM:<mallory@example.org>\r\n");
            if (!f.is_client)
                co_await f.peer.send(f.peer.begin());
            const auto ended = co_await as_result(ours.handshake());
            REQUIRE(!ended);
            CHECK(ended.error().code().category() == openssl_category());
            bytes buffer(64);
            const auto read = co_await as_result(ours.read(buffer));
            REQUIRE(!read);
            CHECK(read.error().code() == ended.error().code());
        }(on));
    }
}

TEST_CASE("More than the bound is refused by name") {
    for (const bool is_client : {false, true}) {
        fixture most(test::variants[0], is_client);
        static_cast<void>(most.wrap(std::string(stream::already_read_bound, 'x')));
        fixture more(test::variants[0], is_client);
        try {
            static_cast<void>(more.wrap(std::string(stream::already_read_bound + 1, 'x')));
            FAIL("was not refused");
        } catch (const error& refused) {
            CHECK(refused.code() == std::errc::message_size);
            CHECK(std::string(refused.what()).find("65537 bytes already read") !=
                  std::string::npos);
        }
    }
}

TEST_CASE("A detached socket goes on with the byte behind the peer's close_notify") {
    test::over_all([](const test::variant& how, bool is_client) {
        for (const bool peer_first : {false, true}) {
            CAPTURE(peer_first);
            fixture on(how, is_client);
            on.loop.run([](fixture& f, bool first) -> task<> {
                auto ours = f.wrap();
                ours.make_detachable();
                co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
                co_await converse(ours, f.peer);
                co_await end_with(ours, f.peer, first, "plain again\r\n");
                auto plain = ours.detach();
                const auto text = co_await read_some(plain);
                CHECK(text == "plain again\r\n");
                if (first) {
                    const auto ended = co_await f.peer.read();
                    CHECK(ended.empty());
                }
                co_await plain.write("indeed\r\n");
                const auto answer = co_await read_some(f.peer.carrier);
                CHECK(answer == "indeed\r\n");
            }(on, peer_first));
        }
    });
}

TEST_CASE("TLS can begin again on a detached socket") {
    test::over_all([](const test::variant& how, bool is_client) {
        fixture on(how, is_client);
        on.loop.run([](fixture& f, tls_version version) -> task<> {
            auto ours = f.wrap();
            ours.make_detachable();
            co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
            co_await end_with(ours, f.peer, false, "once more\r\n");
            f.ours.emplace(ours.detach());
            const auto text = co_await read_some(*f.ours);
            CHECK(text == "once more\r\n");
            openssl_peer again(std::move(f.peer.carrier), !f.is_client, version);
            auto second = f.wrap();
            co_await when_all(test::shake_hands(second), again.shake_hands());
            co_await converse(second, again);
        }(on, how.version));
    });
}

TEST_CASE("A context that a ClientHello chooses keeps the stream detachable") {
    fixture on(test::variants[0], false);
    on.server_side = server_context(server_names().add("localhost", on.server_side));
    on.loop.run([](fixture& f) -> task<> {
        auto ours = f.wrap();
        ours.make_detachable();
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        co_await end_with(ours, f.peer, true, "plain again\r\n");
        auto plain = ours.detach();
        const auto text = co_await read_some(plain);
        CHECK(text == "plain again\r\n");
    }(on));
}

TEST_CASE("A detachable stream makes two receives a record, and any other one") {
    for (const bool detachable : {false, true}) {
        fixture on(test::variants[1], true);
        on.loop.run([](fixture& f, bool exactly) -> task<> {
            auto ours = f.wrap();
            if (exactly)
                ours.make_detachable();
            co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
            const auto before = ours.counters().receives;
            for (int i = 0; i < 10; ++i) {
                co_await f.peer.send(f.peer.written("a record"));
                static_cast<void>(co_await read_some(ours));
            }
            CHECK(ours.counters().receives - before == (exactly ? 20 : 10));
        }(on, detachable));
    }
}

TEST_CASE("A stream is made detachable before its handshake, or not at all") {
    fixture on(test::variants[0], true);
    on.loop.run([](fixture& f) -> task<> {
        auto ours = f.wrap();
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        try {
            ours.make_detachable();
            FAIL("was not refused");
        } catch (const error& refused) {
            CHECK(refused.code() == errc::not_available);
            CHECK(refused.operation() == "make_detachable");
        }
        co_await end_with(ours, f.peer, false, "");
        CHECK(refusal_of(ours) == errc::not_available);
    }(on));
}

TEST_CASE("A stream is detached only after both ends have closed, and refusing changes nothing") {
    for (const bool peer_first : {false, true}) {
        CAPTURE(peer_first);
        fixture on(test::variants[0], true);
        on.loop.run([](fixture& f, bool first) -> task<> {
            auto ours = f.wrap();
            ours.make_detachable();
            CHECK(refusal_of(ours) == errc::not_available);
            co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
            CHECK(refusal_of(ours) == errc::not_available);
            co_await converse(ours, f.peer);
            if (first) {
                co_await f.peer.send(f.peer.close_notify());
                const auto ended = co_await read_some(ours);
                CHECK(ended.empty());
            } else {
                co_await ours.close_write();
            }
            CHECK(refusal_of(ours) == errc::not_available);
            if (!first)
                co_await f.peer.send(f.peer.close_notify());
            co_await ours.shutdown();
            CHECK(ours.detach().fd() >= 0);
        }(on, peer_first));
    }
}

TEST_CASE("A peer that only closes its TCP connection leaves nothing to detach") {
    fixture on(test::variants[0], true);
    on.loop.run([](fixture& f) -> task<> {
        auto ours = f.wrap();
        ours.make_detachable();
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        co_await ours.close_write();
        test::drop(f.peer.carrier);
        co_await ours.shutdown();
        CHECK(refusal_of(ours) == errc::not_available);
    }(on));
}

TEST_CASE("A stream that failed is not detached, and says why it failed") {
    fixture on(test::variants[0], true);
    on.loop.run([](fixture& f) -> task<> {
        auto ours = f.wrap();
        ours.make_detachable();
        co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
        test::drop(f.peer.carrier);
        bytes buffer(8);
        const auto ended = co_await as_result(ours.read(buffer));
        REQUIRE(!ended);
        CHECK(refusal_of(ours) == errc::truncated);
    }(on));
}

TEST_CASE("A stream is not detached while an operation is in flight") {
    fixture on(test::variants[0], true);
    auto ours = on.wrap();
    ours.make_detachable();
    run_all(on.loop, test::shake_hands(ours), on.peer.shake_hands());
    on.loop.spawn([](stream& from) -> task<> { co_await from.shutdown(); }(ours));
    on.loop.run(test::settle(on.loop));
    CHECK(refusal_of(ours) == errc::busy);
    on.loop.run([](fixture& f) -> task<> { co_await f.peer.send(f.peer.close_notify()); }(on));
    on.loop.run();
    CHECK(ours.detach().fd() >= 0);
}

TEST_CASE("A stream is not detached while its close_notify has not left") {
    fixture on(test::variants[0], true, 1);
    auto ours = on.wrap();
    ours.make_detachable();
    run_all(on.loop, test::shake_hands(ours), on.peer.shake_hands());
    const auto data = test::random_bytes(1'000'000);
    on.loop.spawn([](fixture& f, stream& from, const bytes& all) -> task<> {
        const auto cut = co_await as_result(from.write(all).within(1s));
        REQUIRE(!cut);
        co_await f.peer.send(f.peer.close_notify());
        const auto late = co_await as_result(from.shutdown().within(1s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
    }(on, ours, data));
    on.loop.run(test::settle(on.loop));
    on.clock.advance(2s);
    on.loop.run(test::settle(on.loop));
    on.clock.advance(2s);
    on.loop.run(test::settle(on.loop));
    CHECK(refusal_of(ours) == errc::not_available);
    on.loop.run([](fixture& f, stream& from) -> task<> {
        for (;;) {
            const auto text = co_await f.peer.read();
            if (text.empty())
                break;
        }
        co_await from.shutdown();
    }(on, ours));
    CHECK(ours.detach().fd() >= 0);
}

TEST_CASE("A detached socket outlives the stream") {
    fixture on(test::variants[0], true);
    on.loop.run([](fixture& f) -> task<> {
        std::optional<socket> plain;
        {
            auto ours = f.wrap();
            ours.make_detachable();
            co_await when_all(test::shake_hands(ours), f.peer.shake_hands());
            co_await end_with(ours, f.peer, true, "");
            plain.emplace(ours.detach());
        }
        const auto ended = co_await f.peer.read();
        CHECK(ended.empty());
        co_await plain->write("still open");
        const auto text = co_await read_some(f.peer.carrier);
        CHECK(text == "still open");
    }(on));
}

} // namespace ringtls
