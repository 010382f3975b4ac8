// SPDX-License-Identifier: MIT
// Peers that take their time, by the clock's and not by ours: a byte a second, a handshake that
// stops anywhere, nothing read at all. What they cost in memory is in memory_test.cpp.
#include "../support/counted_memory.hpp"
#include "../support/lossy_pipe.hpp"
#include "../support/tap.hpp"

#include <ringtls/tls/stream.hpp>

#include <openssl/ssl.h>

#include <string>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::loopback;
using test::run_all;
using test::variant;

/// Not yet shaken hands, and every byte takes a second, both ways.
struct byte_a_second : loopback {
    test::tap between;

    explicit byte_a_second(const variant& how)
        : loopback(how, 0, test::trusting(), test::serving(), true), between(*this) {
        loop.spawn(test::trickle(*this, between.client_peer, between.server_peer, 1));
        loop.spawn(test::trickle(*this, between.server_peer, between.client_peer, 1));
    }
};

task<> talk(stream& one, const bytes& mine, bytes& theirs) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
        co_await one.write(std::span(mine).subspan(i, 1));
        co_await one.read_exactly(std::span(theirs).subspan(i, 1));
    }
    co_await one.shutdown();
}

/// An established pair with so many bytes a second both ways.
struct slow_link : loopback {
    test::tap between;
    stream& one;
    stream& other;

    slow_link(bool by_client, std::size_t a_second)
        : loopback(1), between(*this, 1), one(end(by_client)), other(end(!by_client)) {
        loop.spawn(test::trickle(*this, between.client_peer, between.server_peer, a_second));
        loop.spawn(test::trickle(*this, between.server_peer, between.client_peer, a_second));
    }
};

/// Ends what passes bytes on.
void end(loopback& link) {
    test::drop(link.client);
    test::drop(link.server);
    link.loop.run();
}

/// An operation with so many seconds was late, and no later than it had to be.
template<class T>
void check_late(const result<T>& ended, loop_clock::duration took, loop_clock::duration allowed) {
    REQUIRE(!ended);
    CHECK(ended.error().code() == errc::timed_out);
    CHECK(took >= allowed);
    CHECK(took <= allowed + 2s);
}

/// A handshake of which one end gets the other's bytes when the test passes them on.
struct stepwise : loopback {
    test::tap between;
    stream& one;
    const socket& from_other;
    const socket& to_one;
    std::string sent; ///< by the other end, until now
    std::size_t passed = 0;

    stepwise(const variant& how, bool by_client)
        : loopback(how, 0, test::trusting(), test::serving(), true),
          between(*this),
          one(end(by_client)),
          from_other(between.peer_of(!by_client)),
          to_one(between.peer_of(by_client)) {
        loop.spawn(test::relay(loop, to_one.fd(), from_other.fd(), test::mischief()));
        loop.spawn([](stream& with) -> task<> {
            static_cast<void>(co_await as_result(with.handshake()));
        }(end(!by_client)));
    }

    /// Goes on for five seconds, in which nothing comes. True once the handshake is over.
    bool goes_through() {
        return loop.run([](loopback& on, stream& with) -> task<bool> {
            on.loop.post([&on] { on.clock.advance(6s); });
            const auto ended = co_await as_result(with.handshake().within(5s));
            CHECK((ended || ended.error().code() == errc::timed_out));
            co_await test::settle(on.loop);
            co_return static_cast<bool>(ended);
        }(*this, one));
    }
    /// Passes on at most so many bytes of what there is, or comes next.
    void pass(std::size_t most) {
        if (passed == sent.size()) {
            loop.run([](event_loop& on, int fd) -> task<> {
                co_await on.poll(fd, poll_events::readable);
            }(loop, from_other.fd()));
            std::array<char, 4096> buffer;
            const auto count = ::recv(from_other.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            REQUIRE(count > 0);
            sent.append(buffer.data(), static_cast<std::size_t>(count));
        }
        const auto part = std::string_view(sent).substr(passed, most);
        test::send(to_one, part);
        passed += part.size();
    }
};

} // namespace

TEST_CASE("a byte a second takes its time through handshake, conversation and shutdown") {
    for (const auto& how : test::variants) {
        CAPTURE(how.name);
        byte_a_second link(how);
        const auto start = link.clock.now();
        const auto there = test::random_bytes(5, 1);
        const auto back = test::random_bytes(5, 2);
        bytes got_there(there.size());
        bytes got_back(back.size());
        run_all(link.loop, talk(link.client, there, got_back), talk(link.server, back, got_there));
        CHECK(got_there == there);
        CHECK(got_back == back);
        CHECK(link.clock.now() - start > 1000s);
        end(link);
    }
}

TEST_CASE("a handshake's deadline is for all of it, however often it makes progress") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        byte_a_second link(test::variants[0]);
        link.loop.spawn([](stream& with) -> task<> {
            const auto ended = co_await as_result(with.handshake());
            CHECK(!ended);
        }(link.end(!by_client)));
        link.loop.run([](loopback& on, stream& one) -> task<> {
            const auto start = on.clock.now();
            const auto ended = co_await as_result(one.handshake().within(500s));
            check_late(ended, on.clock.now() - start, 500s);
        }(link, link.end(by_client)));
        // A ClientHello with a post-quantum key alone takes longer: then the client gets nothing.
        const auto there = link.client.counters().bytes_received;
        CHECK(there + link.server.counters().bytes_received > 40);
        end(link);
    }
}

TEST_CASE("a deadline of read_exactly is for all of it, and loses nothing") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        slow_link link(by_client, 1);
        link.loop.run([](slow_link& on) -> task<> {
            std::string ten(10, ' ');
            const auto into = std::as_writable_bytes(std::span(ten));
            on.loop.spawn([](stream& to) -> task<> {
                for (char digit = '0'; digit <= '9'; ++digit)
                    co_await to.write(std::string_view(&digit, 1));
            }(on.other));
            const auto start = on.clock.now();
            const auto ended = co_await as_result(on.one.read_exactly(into).within(100s));
            check_late(ended, on.clock.now() - start, 100s);
            REQUIRE(ended.error().bytes() > 0);
            REQUIRE(ended.error().bytes() < 10);
            co_await on.one.read_exactly(into.subspan(ended.error().bytes()));
            CHECK(ten == "0123456789");
        }(link));
        end(link);
    }
}

TEST_CASE("a write's deadline is for all of it, and what it says was accepted arrives") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        slow_link link(by_client, 100);
        link.loop.run([](slow_link& on) -> task<> {
            const auto data = test::random_bytes(100'000);
            bytes got;
            bool over = false;
            on.loop.spawn([](stream& from, bytes& into, bool& ended) -> task<> {
                into = co_await test::read_to_end(from);
                ended = true;
            }(on.other, got, over));
            const auto start = on.clock.now();
            const auto ended = co_await as_result(on.one.write(data).within(500s));
            check_late(ended, on.clock.now() - start, 500s);
            CHECK(ended.error().bytes() > 16384);
            co_await on.one.close_write();
            co_await test::until(on.loop, over);
            CHECK(got.size() == ended.error().bytes());
            CHECK(std::equal(got.begin(), got.end(), data.begin()));
        }(link));
        end(link);
    }
}

TEST_CASE("a cancelled write takes little more than a record to its end, however small") {
    loopback link(1, test::trusting(), test::serving(), true);
    REQUIRE(SSL_set_tlsext_max_fragment_length(link.client.native_handle(),
                                               TLSEXT_max_fragment_length_512) == 1);
    run_all(link.loop, test::shake_hands(link.client), test::shake_hands(link.server));
    const auto before = link.client.counters().bytes_sent;
    const auto accepted = link.loop.run([](stream& to) -> task<std::size_t> {
        const bytes much(1 << 20);
        const auto late = co_await as_result(to.write(much).within(0s));
        REQUIRE(!late);
        co_return late.error().bytes();
    }(link.client));
    CHECK(accepted > 512);
    // The repeated call takes the record under way to its end, and one more.
    CHECK(accepted <= link.client.counters().bytes_sent - before + 2 * 512);
}

TEST_CASE("shutdown's deadline is for all of it, however much still comes") {
    for (const bool by_client : {true, false}) {
        CAPTURE(by_client);
        slow_link link(by_client, 1);
        link.loop.run([](slow_link& on) -> task<> {
            co_await on.other.write(bytes(1000));
            const auto start = on.clock.now();
            const auto ended = co_await as_result(on.one.shutdown().within(100s));
            check_late(ended, on.clock.now() - start, 100s);
            CHECK(on.one.counters().bytes_received > 80);
        }(link));
        end(link);
    }
}

TEST_CASE("a handshake that stops after any byte ends at its deadline, and goes on with the next") {
    test::over_all([](const variant& how, bool by_client) {
        stepwise link(how, by_client);
        while (!link.goes_through())
            link.pass(1);
        CHECK(link.passed > 100);
        end(link);
    });
}

TEST_CASE("a handshake given up wherever it stopped leaves nothing behind") {
    const auto give_up = [](const variant& how, bool by_client) {
        bool through = false;
        for (std::size_t cut = 0; !through; cut += 61) {
            CAPTURE(cut);
            stepwise link(how, by_client);
            through = link.goes_through();
            while (!through && link.passed < cut) {
                link.pass(cut - link.passed);
                through = link.goes_through();
            }
            end(link);
        }
    };
    test::over_all(give_up); // whatever is made once
    const test::usage before;
    test::over_all(give_up);
    const auto left = test::usage() - before;
    CHECK(left.ours == 0);
    CHECK(left.openssls == 0);
}

TEST_CASE("a peer that never reads keeps a write waiting, and costs no system call meanwhile") {
    for (const auto& how : test::variants) {
        CAPTURE(how.name);
        loopback link(how, how.tcp ? 8192 : 1);
        const auto data = test::random_bytes(1'000'000);
        bool over = false;
        link.loop.spawn([](stream& to, const bytes& all, bool& ended) -> task<> {
            co_await to.write(all);
            ended = true;
        }(link.client, data, over));
        link.loop.run(test::settle(link.loop, 100));
        const auto before = link.client.counters();
        link.clock.advance(24h);
        link.loop.run(test::settle(link.loop, 1000));
        CHECK(!over);
        if (!how.tcp) { // there the kernel makes a little room when its timers say so
            CHECK(link.client.counters().sends == before.sends);
            CHECK(link.client.counters().write_waits == before.write_waits);
        }
        bytes got(data.size());
        link.loop.run(test::read_all(link.server, got));
        link.loop.run();
        CHECK(over);
        CHECK(got == data);
    }
}

} // namespace ringtls
