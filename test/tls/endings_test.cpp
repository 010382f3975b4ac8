// SPDX-License-Identifier: MIT
// How connections end: with and without close_notify, by FIN and by reset, wherever they strike,
// and what close_write and shutdown make of it.
#include "../support/loopback.hpp"
#include "../support/tap.hpp"

#include <ringtls/tls/stream.hpp>

#include <openssl/ssl.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::loopback;
using test::run_all;
using test::tap;
using test::variant;

/// No tickets in TLS 1.3, so that what is on the wire is what the test had sent.
server_settings plain_server() {
    return test::serving().tickets(0);
}
server_settings renegotiating_server() {
    return plain_server().danger_allow_renegotiation();
}
client_settings renegotiating_client() {
    return test::trusting().danger_allow_renegotiation();
}

/// What a listener heard until the end, and no code if the end was close_notify.
struct outcome {
    std::string got;
    std::error_code code;
};

task<outcome> listen(stream& from) {
    outcome ended;
    std::array<char, 64> buffer;
    for (;;) {
        const auto count = co_await as_result(from.read(std::as_writable_bytes(std::span(buffer))));
        if (!count)
            ended.code = count.error().code();
        if (!count || *count == 0)
            co_return ended;
        ended.got.append(buffer.data(), *count);
    }
}

/// The end stays what it was, however often it is asked for.
void check_end(loopback& on, stream& listener, std::string_view got, std::error_code code) {
    const auto ended = on.loop.run(listen(listener));
    CHECK(ended.got == got);
    CHECK(ended.code == code);
    const auto again = on.loop.run(listen(listener));
    CHECK(again.got.empty());
    CHECK(again.code == code);
}

/// An established pair, and what one end's "abc", "defgh" and close_notify are on the wire.
struct cut_off : loopback {
    tap between;
    stream& listener;
    socket& wire; ///< to the listener
    std::string said;

    cut_off(const variant& how, bool to_client)
        : loopback(how, 0, test::trusting(), plain_server()),
          between(*this),
          listener(end(to_client)),
          wire(between.peer_of(to_client)) {
        stream& speaker = end(!to_client);
        const auto before = speaker.counters().bytes_sent;
        loop.run([](stream& by) -> task<> {
            co_await by.write("abc");
            co_await by.write("defgh");
            co_await by.close_write();
        }(speaker));
        said = test::receive(between.peer_of(!to_client), speaker.counters().bytes_sent - before);
    }

    /// Passes so many records on.
    void say(std::size_t records) const {
        const auto size = records == 0 ? 0 : record_ends().at(records - 1);
        test::send(wire, std::string_view(said).substr(0, size));
    }

    /// Where each of the three records ends.
    [[nodiscard]] std::array<std::size_t, 3> record_ends() const {
        std::array<std::size_t, 3> ends{};
        std::size_t at = 0;
        for (auto& each : ends) {
            at += 5 + (static_cast<std::size_t>(static_cast<unsigned char>(said[at + 3])) << 8) +
                  static_cast<unsigned char>(said[at + 4]);
            each = at;
        }
        REQUIRE(at == said.size());
        return ends;
    }
};

/// What a listener gets of so many of the records.
constexpr std::array<std::string_view, 4> heard = {"", "abc", "abcdefgh", "abcdefgh"};

enum class ending { fin, reset, reset_after_fin };

/// Ends the wire to the listener. A reset is what closing makes of bytes that were not read.
void end_wire(cut_off& link, ending how) {
    if (how != ending::fin) {
        link.loop.run([](stream& by) -> task<> { co_await by.write("unread"); }(link.listener));
        pollfd waiting = {link.wire.fd(), POLLIN, 0};
        REQUIRE(::poll(&waiting, 1, -1) == 1);
    }
    if (how == ending::reset_after_fin)
        REQUIRE(::shutdown(link.wire.fd(), SHUT_WR) == 0);
    test::drop(link.wire);
}

/// What a read finds there. Unix sockets have no order of FIN and reset.
std::error_code code_after(const variant& over, ending how) {
    if (how == ending::fin || (how == ending::reset_after_fin && over.tcp))
        return errc::truncated;
    return {ECONNRESET, std::system_category()};
}

task<std::error_code> code_of_shutdown(stream& one) {
    const auto ended = co_await as_result(one.shutdown());
    co_return ended ? std::error_code() : ended.error().code();
}

task<error> error_of_handshake(stream& one) {
    auto ended = co_await as_result(one.handshake());
    REQUIRE(!ended);
    co_return ended.error();
}

task<> end_of_writing(stream& one) {
    co_await one.close_write();
}

task<> write_and_close(stream& to, const bytes& all) {
    co_await to.write(all);
    co_await to.close_write();
}

task<> read_all_of(stream& from, bytes& into) {
    into = co_await test::read_to_end(from);
}

/// What a client does after its last write and close_notify: it closes TCP, waits for the end of
/// what comes first, or for that of its shutdown.
enum class leave { at_once, at_end, by_shutdown };

task<> write_and_leave(stream client, const bytes& all, leave how) {
    co_await write_and_close(client, all);
    if (how == leave::at_end)
        co_await test::read_to_end(client);
    if (how == leave::by_shutdown)
        co_await client.shutdown();
}

task<std::error_code> code_of_close_write(stream& one) {
    const auto done = co_await as_result(one.close_write());
    co_return done ? std::error_code() : done.error().code();
}

/// Fails to write, soon.
task<std::error_code> code_of_failed_write(stream& to) {
    for (int i = 0; i < 100'000; ++i) {
        const auto written = co_await as_result(to.write("anyone?"));
        if (!written)
            co_return written.error().code();
        co_await test::settle(to.loop(), 1);
    }
    co_return std::error_code();
}

} // namespace

TEST_CASE(
    "a FIN after any byte is truncation, unless close_notify was whole; whole records first") {
    test::over_all([](const variant& how, bool to_client) {
        std::size_t size = 1;
        for (std::size_t cut = 0; cut <= size; ++cut) {
            CAPTURE(cut);
            cut_off link(how, to_client);
            size = link.said.size();
            const auto ends = link.record_ends();
            const auto whole = std::ranges::count_if(ends, [&](auto end) { return end <= cut; });
            test::send(link.wire, std::string_view(link.said).substr(0, cut));
            end_wire(link, ending::fin);
            check_end(link, link.listener, heard.at(static_cast<std::size_t>(whole)),
                      cut == size ? std::error_code() : errc::truncated);
        }
        CHECK(size > 60);
    });
}

TEST_CASE("a reset between any two records comes after what was sent before it") {
    test::over_all([](const variant& how, bool to_client) {
        for (const auto kind : {ending::reset, ending::reset_after_fin}) {
            for (std::size_t records = 0; records <= 3; ++records) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(records);
                cut_off link(how, to_client);
                link.say(records);
                end_wire(link, kind);
                check_end(link, link.listener, heard.at(records),
                          records == 3 ? std::error_code() : code_after(how, kind));
            }
        }
    });
}

TEST_CASE("what a read finds in the end does not depend on a write that failed before it") {
    test::over_all([](const variant& how, bool to_client) {
        for (const auto kind : {ending::fin, ending::reset, ending::reset_after_fin}) {
            for (const std::size_t records : {0, 2, 3}) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(records);
                cut_off link(how, to_client);
                link.say(records);
                end_wire(link, kind);
                const auto failed = link.loop.run(code_of_failed_write(link.listener));
                CHECK((failed == std::errc::broken_pipe || failed == std::errc::connection_reset));
                const auto expected = records == 3 ? std::error_code() : code_after(how, kind);
                check_end(link, link.listener, heard.at(records), expected);
                // The end that reading found is the cause of it all, from then on.
                const auto later = link.loop.run(code_of_failed_write(link.listener));
                CHECK(later == (records == 3 ? failed : expected));
            }
        }
    });
}

TEST_CASE("each side may close its writing, and the other goes on for as long as it likes") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how);
        stream& one = link.end(by_client);
        stream& other = link.end(!by_client);
        const auto data = test::random_bytes(300'000);
        bytes got;
        link.loop.run(end_of_writing(one));
        check_end(link, other, "", {});
        run_all(link.loop, write_and_close(other, data), read_all_of(one, got));
        CHECK(got == data);
        CHECK(link.loop.run(code_of_failed_write(one)) == errc::write_closed);
        CHECK(link.loop.run(code_of_failed_write(other)) == errc::write_closed);
        run_all(link.loop, test::shut_down(one), test::shut_down(other));
        test::drop(other);
        check_end(link, one, "", {});
    });
}

TEST_CASE("both sides close their writing at once, with and without data before") {
    test::over_all([](const variant& how, bool) {
        for (const std::size_t size : {0, 300'000}) {
            CAPTURE(size);
            loopback link(how, how.tcp ? 8192 : 1);
            const auto there = test::random_bytes(size, 1);
            const auto back = test::random_bytes(size, 2);
            bytes got_there;
            bytes got_back;
            run_all(link.loop, write_and_close(link.client, there),
                    write_and_close(link.server, back), read_all_of(link.client, got_back),
                    read_all_of(link.server, got_there));
            CHECK(got_there == there);
            CHECK(got_back == back);
        }
    });
}

TEST_CASE("both sides shut down at once, and once more") {
    test::over_all([](const variant& how, bool) {
        loopback link(how);
        run_all(link.loop, test::shut_down(link.client), test::shut_down(link.server));
        const auto before = link.client.counters();
        run_all(link.loop, test::shut_down(link.client), test::shut_down(link.server));
        CHECK(link.client.counters().sends == before.sends);
        CHECK(link.client.counters().receives == before.receives);
        check_end(link, link.client, "", {});
    });
}

TEST_CASE("shutdown before a handshake performs it; during one it is busy") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how, 0, test::trusting(), test::serving(), true);
        stream& one = link.end(by_client);
        link.loop.spawn(test::shake_hands(one));
        link.loop.run(test::settle(link.loop));
        CHECK(link.loop.run(code_of_shutdown(one)) == errc::busy);
        link.loop.run(test::shake_hands(link.end(!by_client)));
        link.loop.run();
        run_all(link.loop, test::shut_down(one), test::shut_down(link.end(!by_client)));

        loopback fresh(how, 0, test::trusting(), test::serving(), true);
        run_all(fresh.loop, test::shut_down(fresh.client), test::shut_down(fresh.server));
        check_end(fresh, fresh.end(by_client), "", {});
    });
}

TEST_CASE("shutdown of a handshake that the peer never finishes ends at its deadline") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how, 0, test::trusting(), test::serving(), true);
        link.loop.run([](loopback& on, stream& one) -> task<> {
            on.loop.post([&on] { on.clock.advance(6s); });
            const auto late = co_await as_result(one.shutdown().within(5s));
            REQUIRE(!late);
            CHECK(late.error().code() == errc::timed_out);
        }(link, link.end(by_client)));
        test::drop(link.end(!by_client));
        // The client's hello stays unread, which makes a reset of the server's end.
        const auto code = link.loop.run(code_of_shutdown(link.end(by_client)));
        CHECK((by_client ? code == std::errc::connection_reset : code == errc::truncated));
    });
}

TEST_CASE("shutdown during a write is busy; after its cancel it sends what was accepted first") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how, how.tcp ? 8192 : 1);
        const auto data = test::random_bytes(500'000);
        link.loop.run([](loopback& on, bool writer, const bytes& all) -> task<> {
            stream& one = on.end(writer);
            stream& other = on.end(!writer);
            std::error_code during;
            on.loop.spawn([](loopback& link, stream& by, std::error_code& code) -> task<> {
                co_await test::settle(link.loop);
                code = co_await code_of_shutdown(by);
                link.clock.advance(2s);
            }(on, one, during));
            const auto cut = co_await as_result(one.write(all).within(1s));
            REQUIRE(!cut);
            CHECK(during == errc::busy);
            REQUIRE(cut.error().bytes() > 0);
            on.loop.spawn(test::shut_down(one));
            co_await test::settle(on.loop);
            bytes got;
            got = co_await test::read_to_end(other);
            CHECK(std::equal(got.begin(), got.end(), all.begin(),
                             all.begin() + static_cast<std::ptrdiff_t>(cut.error().bytes())));
            co_await other.close_write();
        }(link, by_client, data));
        link.loop.run();
    });
}

TEST_CASE(
    "shutdown during a key update that cannot leave is busy; after its cancel it follows it") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        loopback link(1);
        const auto data = test::random_bytes(500'000);
        link.loop.run([](loopback& on, bool writer, const bytes& all) -> task<> {
            stream& one = on.end(writer);
            std::size_t accepted = 0;
            on.loop.post([&on] { on.clock.advance(2s); });
            const auto cut = co_await as_result(one.write(all).within(1s));
            REQUIRE(!cut);
            accepted = cut.error().bytes();
            std::error_code during;
            on.loop.spawn([](loopback& link, stream& by, std::error_code& code) -> task<> {
                co_await test::settle(link.loop);
                code = co_await code_of_shutdown(by);
                link.clock.advance(2s);
            }(on, one, during));
            const auto update =
                co_await as_result(one.key_update(key_update_request::requested).within(1s));
            REQUIRE(!update);
            CHECK(during == errc::busy);
            on.loop.spawn(test::shut_down(one));
            const auto got = co_await test::read_to_end(on.end(!writer));
            CHECK(got.size() == accepted);
            CHECK(std::equal(got.begin(), got.end(), all.begin()));
            co_await on.end(!writer).shutdown();
        }(link, by_client, data));
        link.loop.run();
    }
}

TEST_CASE("after close_write, key updates that the peer asks for end nothing") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        loopback link;
        link.loop.run([](stream& one, stream& other) -> task<> {
            co_await one.close_write();
            for (int i = 0; i < 3; ++i) {
                co_await other.key_update(key_update_request::requested);
                co_await other.write("more");
            }
            bytes twelve(12);
            co_await one.read_exactly(twelve);
            co_await other.shutdown();
            co_await one.shutdown();
        }(link.end(by_client), link.end(!by_client)));
    }
}

TEST_CASE("shutdown after a fatal error reports that, and sends nothing") {
    test::over_all([](const variant& how, bool to_client) {
        cut_off link(how, to_client);
        link.said[7] = static_cast<char>(link.said[7] ^ 1);
        test::send(link.wire, link.said);
        const auto ended = link.loop.run(listen(link.listener));
        CHECK(ended.got.empty());
        CHECK(ended.code.category() == openssl_category());
        const auto before = link.listener.counters().bytes_sent;
        for (int i = 0; i < 2; ++i)
            CHECK(link.loop.run(code_of_shutdown(link.listener)) == ended.code);
        CHECK(link.listener.counters().bytes_sent == before);
    });
}

TEST_CASE("shutdown with a peer that never answers ends at its deadline, and goes on when asked") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how);
        link.loop.run([](loopback& on, stream& one, stream& other) -> task<> {
            std::uint64_t sent = 0;
            for (int i = 0; i < 3; ++i) {
                on.loop.post([&on] { on.clock.advance(6s); });
                const auto late = co_await as_result(one.shutdown().within(5s));
                REQUIRE(!late);
                CHECK(late.error().code() == errc::timed_out);
                if (i == 0)
                    sent = one.counters().bytes_sent;
            }
            CHECK(one.counters().bytes_sent == sent); // close_notify is sent once
            co_await when_all(test::shut_down(one), test::shut_down(other));
        }(link, link.end(by_client), link.end(!by_client)));
    });
}

TEST_CASE("shutdown drops what the peer still sends, before and after it has read close_notify") {
    test::over_all([](const variant& how, bool by_client) {
        loopback link(how, how.tcp ? 8192 : 1);
        const auto data = test::random_bytes(300'000);
        run_all(link.loop, test::shut_down(link.end(by_client)),
                [](stream& to, const bytes& all) -> task<> {
                    co_await to.write(all);
                    std::array<std::byte, 8> buffer;
                    CHECK(co_await to.read(buffer) == 0);
                    co_await to.write(all);
                    co_await to.shutdown();
                }(link.end(!by_client), data));
        check_end(link, link.end(by_client), "", {});
    });
}

TEST_CASE("a peer that ends TCP after our close_notify is no error of shutdown") {
    test::over_all([](const variant& how, bool to_client) {
        for (const bool unread : {false, true}) {
            CAPTURE(unread);
            cut_off link(how, to_client);
            const auto before = link.listener.counters().bytes_sent;
            link.loop.spawn(test::shut_down(link.listener));
            link.loop.run(test::settle(link.loop));
            if (!unread)
                test::receive(link.wire, link.listener.counters().bytes_sent - before);
            test::drop(link.wire);
            link.loop.run();
        }
    });
}

TEST_CASE("shutdown after a write that failed reports what ended the connection") {
    test::over_all([](const variant& how, bool to_client) {
        for (const auto kind : {ending::fin, ending::reset, ending::reset_after_fin}) {
            CAPTURE(static_cast<int>(kind));
            cut_off link(how, to_client);
            end_wire(link, kind);
            const auto failed = link.loop.run(code_of_failed_write(link.listener));
            CHECK((failed == std::errc::broken_pipe || failed == std::errc::connection_reset));
            CHECK(link.loop.run(code_of_shutdown(link.listener)) == code_after(how, kind));
        }
    });
}

TEST_CASE("a peer that closes TCP with our bytes unread after its close_notify ended cleanly") {
    test::over_all([](const variant& how, bool to_client) {
        for (const auto kind : {ending::reset, ending::reset_after_fin}) {
            CAPTURE(static_cast<int>(kind));
            cut_off link(how, to_client);
            test::send(link.wire, link.said);
            end_wire(link, kind);
            CHECK(!link.loop.run(code_of_shutdown(link.listener)));
            check_end(link, link.listener, "", {});
        }
    });
}

TEST_CASE("a renegotiation that the peer's close_notify cuts short ends the asker's shutdown") {
    // OpenSSL sends no close_notify in the middle of a handshake, and this one will not end.
    for (const bool by_client : {true, false}) {
        for (const bool asker_first : {true, false}) {
            CAPTURE(by_client);
            CAPTURE(asker_first);
            loopback link(test::variants[1], 0, renegotiating_client(), renegotiating_server());
            stream& asker = link.end(by_client);
            stream& other = link.end(!by_client);
            REQUIRE(SSL_renegotiate(asker.native_handle()) == 1);
            std::error_code asked;
            std::error_code answered;
            const auto keep = [](stream& one, std::error_code& code) -> task<> {
                code = co_await code_of_shutdown(one);
                test::drop(one);
            };
            link.loop.spawn(asker_first ? keep(asker, asked) : keep(other, answered));
            link.loop.run(test::settle(link.loop));
            link.loop.spawn(asker_first ? keep(other, answered) : keep(asker, asked));
            link.loop.run();
            CHECK(asked == errc::truncated);
            CHECK(!answered);
        }
    }
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

TEST_CASE("shutdown waits for room for its close_notify, though the peer's has come") {
    loopback link(1, test::trusting(), plain_server());
    link.loop.run(end_of_writing(link.server));
    bool over = false;
    link.loop.spawn([](stream& client, bool& done) -> task<> {
        const bytes more(100'000);
        const auto late = co_await as_result(client.write(more).within(0s));
        CHECK(!late);
        co_await client.shutdown();
        done = true;
    }(link.client, over));
    link.loop.run(test::settle(link.loop));
    CHECK(!over);
    bytes got;
    link.loop.run(read_all_of(link.server, got)); // to our close_notify, or it throws
    link.loop.run();
    CHECK(over);
}

TEST_CASE("no writing call after a failed send takes away what can still be read") {
    const auto handshake = [](stream& at) { return at.handshake(); };
    const auto close_write = [](stream& at) { return at.close_write(); };
    const auto after = [](auto call) {
        loopback link;
        link.loop.run([](loopback& on, auto what) -> task<> {
            co_await on.server.write("abc");
            co_await on.server.close_write();
            test::drop(on.server);
            const auto written = co_await as_result(on.client.write("hello?"));
            CHECK(!written);
            static_cast<void>(co_await as_result(what(on.client)));
            const auto rest = co_await test::read_to_end(on.client);
            CHECK(rest.size() == 3);
        }(link, call));
    };
    after(handshake);
    after(close_write);
}

TEST_CASE("shutdown during a renegotiation drops the data that stands in its way") {
    loopback link(test::variants[1], 0, renegotiating_client(), renegotiating_server());
    link.loop.run([](stream& from) -> task<> { co_await from.write("abc"); }(link.server));
    REQUIRE(SSL_renegotiate(link.client.native_handle()) == 1);
    link.loop.spawn([](stream& at) -> task<> {
        const auto got = co_await test::read_to_end(at);
        CHECK(got.empty());
        co_await at.shutdown();
    }(link.server));
    link.loop.run(test::shut_down(link.client));
    link.loop.run();
}

TEST_CASE("close_write during a renegotiation waits for its end and harms nothing") {
    loopback link(test::variants[1], 0, renegotiating_client(), renegotiating_server());
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
    loopback link(test::variants[1], 0, renegotiating_client(), renegotiating_server());
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

TEST_CASE("a write that data keeps from a renegotiation's end ends with the connection") {
    for (const bool tcp : {true, false}) {
        for (const bool closing : {true, false}) {
            CAPTURE(tcp);
            CAPTURE(closing);
            loopback link({"", tcp, tls_version::tls_1_2}, 0, renegotiating_client(),
                          renegotiating_server());
            link.loop.run([](stream& from) -> task<> { co_await from.write("abc"); }(link.server));
            REQUIRE(SSL_renegotiate(link.client.native_handle()) == 1);
            std::optional<std::error_code> ended;
            link.loop.spawn([](stream& one, bool close, auto& code) -> task<> {
                auto work = close ? code_of_close_write(one) : code_of_failed_write(one);
                code = co_await std::move(work);
            }(link.client, closing, ended));
            link.loop.run(test::settle(link.loop));
            CHECK(!ended); // a reader could still make way
            test::drop(link.server);
            link.loop.run(test::settle(link.loop));
            CHECK(ended == std::errc::broken_pipe);
            link.loop.run([](stream& one) -> task<> {
                std::array<std::byte, 8> buffer;
                CHECK(co_await one.read(buffer) == 3);
                const auto end = co_await as_result(one.read(buffer));
                REQUIRE(!end);
                CHECK(end.error().code() == std::errc::connection_reset);
            }(link.client));
            link.loop.run();
        }
    }
}

TEST_CASE("a client that writes and closes at once loses nothing to any number of tickets") {
    // Tickets that hold the client's certificate are more than OpenSSL sends at once.
    const auto identified = test::trusting().identify_as(test::named_identity("client"));
    const auto asking = test::serving().require_client_certificate(pem::file(test::pki("ca.pem")));
    for (const bool mutual : {false, true}) {
        for (const bool tcp : {true, false}) {
            for (const unsigned tickets : {0U, 1U, 2U, 8U}) {
                for (const std::size_t size : {1, 100'000}) {
                    for (const auto how : {leave::at_once, leave::at_end, leave::by_shutdown}) {
                        CAPTURE(mutual);
                        CAPTURE(tcp);
                        CAPTURE(tickets);
                        CAPTURE(size);
                        CAPTURE(static_cast<int>(how));
                        auto serving = mutual ? asking : test::serving();
                        loopback link({"", tcp, tls_version::tls_1_3}, 0,
                                      mutual ? identified : test::trusting(),
                                      serving.tickets(tickets), true);
                        const auto data = test::random_bytes(size);
                        bytes got;
                        link.loop.spawn(write_and_leave(std::move(link.client), data, how));
                        link.loop.run(read_all_of(link.server, got));
                        link.loop.run(test::shut_down(link.server));
                        link.loop.run();
                        CHECK(got == data);
                    }
                }
            }
        }
    }
}

TEST_CASE("a handshake whose send fails ends with what the peer had left, or else by that") {
    constexpr std::string_view handshake_failure("\x15\x03\x03\x00\x02\x02\x28", 7);
    for (const bool tcp : {true, false}) {
        for (const auto left : {handshake_failure, std::string_view()}) {
            CAPTURE(tcp);
            CAPTURE(left.size());
            loopback link({"", tcp, tls_version::tls_1_3}, 0, test::trusting(), plain_server(),
                          true);
            tap between(link);
            test::send(between.client_peer, left);
            constexpr linger reset = {1, 0};
            test::check_system(::setsockopt(between.client_peer.fd(), SOL_SOCKET, SO_LINGER, &reset,
                                            sizeof reset) == 0);
            test::drop(between.client_peer);
            const auto why = link.loop.run(error_of_handshake(link.client));
            CHECK(why.alert().has_value() == !left.empty());
            if (why.alert()) {
                CHECK(why.alert()->description == SSL_AD_HANDSHAKE_FAILURE);
                CHECK(why.code().category() == openssl_category());
            } else if (tcp) {
                CHECK(why.code() == std::errc::connection_reset);
            } else {
                CHECK(why.code() == errc::truncated);
            }
        }
        // Nothing can be sent, and nothing will come: the peer has not heard of us yet.
        loopback link({"", tcp, tls_version::tls_1_3}, 0, test::trusting(), plain_server(), true);
        REQUIRE(::shutdown(link.ends.client_fd, SHUT_WR) == 0);
        CHECK(link.loop.run(error_of_handshake(link.client)).code() == std::errc::broken_pipe);
    }
}

} // namespace ringtls
