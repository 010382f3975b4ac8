// SPDX-License-Identifier: MIT
// Both directions of a connection at once, and what makes one wait for the other: full buffers,
// renegotiation, key updates.
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

/// Less than a record, so that every record has to wait. Less still over TCP would have the kernel
/// wait for its own timers.
int small_buffer(const test::variant& how) {
    return how.tcp ? 8192 : 1;
}

enum class order { client_first, server_first, together };

void run_in(order which, event_loop& loop, task<> client, task<> server) {
    switch (which) {
    case order::client_first:
        loop.run(std::move(client));
        loop.run(std::move(server));
        return;
    case order::server_first:
        loop.run(std::move(server));
        loop.run(std::move(client));
        return;
    case order::together:
        run_all(loop, std::move(client), std::move(server));
        return;
    }
}

/// Writes all, whether or not the first attempt is cancelled on the way. Counts its ends.
task<> write_even_if_cancelled(stream& to, const bytes& all, std::stop_token token, int& cancels,
                               int& over) {
    const auto cut = co_await as_result(to.write(all).cancel_on(token));
    if (!cut) {
        CHECK(cut.error().code() == errc::canceled);
        ++cancels;
        co_await to.write(std::span(all).subspan(cut.error().bytes()));
    }
    ++over;
}

void block_and_free(const test::variant& how, order which, bool cancel) {
    loopback link(how, small_buffer(how));
    const auto there = test::random_bytes(400'000, 1);
    const auto back = test::random_bytes(400'000, 2);
    bytes got_there(there.size());
    bytes got_back(back.size());
    std::stop_source stop;
    int cancels = 0;
    int over = 0;
    link.loop.spawn(write_even_if_cancelled(link.client, there, stop.get_token(), cancels, over));
    link.loop.spawn(write_even_if_cancelled(link.server, back, stop.get_token(), cancels, over));
    link.loop.run(test::settle(link.loop, 100));
    CHECK(over == 0);
    if (cancel) {
        stop.request_stop();
        link.loop.run(test::settle(link.loop));
        CHECK(over == 0);
    }
    CHECK(cancels == (cancel ? 2 : 0));
    run_in(which, link.loop, test::read_all(link.client, got_back),
           test::read_all(link.server, got_there));
    link.loop.run();
    CHECK(over == 2);
    CHECK(got_there == there);
    CHECK(got_back == back);
}

/// Has the server request so many key updates, fewer a second than would be a flood.
task<> request_key_updates(loopback& on, int count, int& sent) {
    while (sent < count) {
        co_await on.server.key_update(key_update_request::requested);
        if (++sent % 50 == 0) {
            co_await test::settle(on.loop);
            on.clock.advance(1s);
        }
    }
    co_await on.server.write("the end");
}

/// A pair that may renegotiate.
struct renegotiable : loopback {
    explicit renegotiable(int buffer = 0)
        : loopback({"renegotiable", false, tls_version::tls_1_2}, buffer,
                   test::trusting().danger_allow_renegotiation(),
                   test::serving().danger_allow_renegotiation()) {}

    [[nodiscard]] bool renegotiated() const {
        return SSL_CTX_sess_connect_good(client_side.native_handle()) == 2 &&
               SSL_CTX_sess_accept_good(server_side.native_handle()) == 2;
    }
};

task<> update_keys_for_ever(stream& peer, key_update_request request) {
    for (;;) {
        const auto sent = co_await as_result(peer.key_update(request));
        if (!sent)
            co_return;
    }
}

task<> read_and_tell(stream& from, std::span<std::byte> into, bool& over) {
    co_await from.read_exactly(into);
    over = true;
}

/// Writes in parts, and has the keys updated in the middle of each.
task<> write_and_update_keys(loopback& on, stream& to, std::span<const std::byte> all, int parts,
                             int& under_load) {
    const auto part = all.size() / static_cast<std::size_t>(parts);
    for (int i = 0; i < parts; ++i) {
        bool over = false;
        co_await when_all(
            [](stream& by, std::span<const std::byte> from, bool& ended) -> task<> {
                co_await by.write(from);
                ended = true;
            }(to, all.subspan(static_cast<std::size_t>(i) * part, part), over),
            [](stream& by, int number, const bool& ended, int& counted) -> task<> {
                counted += ended ? 0 : 1;
                co_await by.key_update(number % 2 == 0 ? key_update_request::requested
                                                       : key_update_request::not_requested);
            }(to, i, over, under_load));
        on.clock.advance(100ms);
    }
}

} // namespace

TEST_CASE("both directions blocked by full buffers at once come free, whoever reads first") {
    for (const auto& how : test::variants) {
        for (const auto which : {order::client_first, order::server_first, order::together}) {
            for (const bool cancel : {false, true}) {
                CAPTURE(how.name);
                CAPTURE(static_cast<int>(which));
                CAPTURE(cancel);
                block_and_free(how, which, cancel);
            }
        }
    }
}

TEST_CASE("a read that cannot write its answers waits for the peer to make room, and goes on") {
    // What the client sends is passed on to nobody at first, while the server asks it for key
    // updates: the answers fill the spill, and from then on the client must not read.
    constexpr int requests = 3000;
    loopback link(1);
    const test::tap between(link, 1);
    link.loop.spawn(test::relay(link.loop, between.server_peer.fd(), between.client_peer.fd(),
                                test::mischief()));
    const auto data = test::random_bytes(100'000);
    bytes got(data.size());
    link.loop.spawn(test::write_all(link.client, data));
    bool got_over = false;
    link.loop.spawn(read_and_tell(link.server, got, got_over));
    int sent = 0;
    link.loop.spawn(request_key_updates(link, requests, sent));
    std::string end(7, ' ');
    bool read_over = false;
    link.loop.spawn(read_and_tell(link.client, std::as_writable_bytes(std::span(end)), read_over));
    link.loop.run(test::settle(link.loop, 5000));
    CHECK(sent > 1000);
    CHECK(sent < requests);
    const auto blocked = link.client.counters();
    link.loop.run(test::settle(link.loop, 1000));
    CHECK(link.client.counters().receives == blocked.receives);
    MESSAGE("key updates asked for until the read waited: " << sent);

    link.loop.spawn(test::trickle(link, between.client_peer, between.server_peer, 2000));
    link.loop.run(test::until(link.loop, read_over));
    CHECK(end == "the end");
    CHECK(sent == requests);
    link.loop.run(test::until(link.loop, got_over));
    run_all(link.loop, test::shut_down(link.client), test::shut_down(link.server));
    CHECK(got == data);
    test::drop(link.client);
    test::drop(link.server);
    link.loop.run();
}

TEST_CASE("a write alone takes a renegotiation through: it waits to read") {
    for (const bool by_client : {false, true}) {
        CAPTURE(by_client);
        renegotiable link;
        stream& writer = link.end(by_client);
        const auto data = test::random_bytes(100'000);
        bytes got(data.size());
        REQUIRE(SSL_renegotiate(writer.native_handle()) == 1);
        const auto before = writer.counters();
        run_all(link.loop, test::write_all(writer, data),
                test::read_all(link.end(!by_client), got));
        CHECK(got == data);
        CHECK(link.renegotiated());
        CHECK(writer.counters().read_waits > before.read_waits);
    }
}

TEST_CASE("a reader that waits is told what a writer consumed of a renegotiation") {
    for (const bool by_client : {false, true}) {
        for (const bool reader_first : {false, true}) {
            CAPTURE(by_client);
            CAPTURE(reader_first);
            renegotiable link(1);
            stream& one = link.end(by_client);
            stream& other = link.end(!by_client);
            const auto there = test::random_bytes(300'000, 1);
            const auto back = test::random_bytes(300'000, 2);
            bytes got_there(there.size());
            bytes got_back(back.size());
            if (reader_first) {
                link.loop.spawn(test::read_all(one, got_back));
                link.loop.run(test::settle(link.loop));
            }
            REQUIRE(SSL_renegotiate(one.native_handle()) == 1);
            link.loop.spawn(test::write_all(one, there));
            link.loop.run(test::settle(link.loop));
            if (!reader_first)
                link.loop.spawn(test::read_all(one, got_back));
            link.loop.spawn(test::write_all(other, back));
            link.loop.spawn(test::read_all(other, got_there));
            link.loop.run();
            CHECK(got_there == there);
            CHECK(got_back == back);
            CHECK(link.renegotiated());
        }
    }
}

TEST_CASE("what a writer takes of the input after the reader has looked reaches the reader") {
    // Three poll the same socket: a reader, a writer in a renegotiation, and between them somebody
    // who has the rest of a record arrive. In one of the two orders the reader looks at the first
    // half, and the writer takes the second before the reader's next poll is submitted.
    for (const bool by_client : {false, true}) {
        for (const bool reader_first : {false, true}) {
            CAPTURE(by_client);
            CAPTURE(reader_first);
            renegotiable link;
            test::tap between(link);
            stream& one = link.end(by_client);
            stream& other = link.end(!by_client);
            const socket& wire = between.peer_of(by_client);
            const int fd = by_client ? link.ends.client_fd : link.ends.server_fd;
            const auto before = other.counters().bytes_sent;
            link.loop.run([](stream& to) -> task<> { co_await to.write("hello"); }(other));
            const auto record =
                test::receive(between.peer_of(!by_client), other.counters().bytes_sent - before);
            const auto first = std::string_view(record).substr(0, 10);
            const auto second = std::string_view(record).substr(10);
            REQUIRE(SSL_renegotiate(one.native_handle()) == 1);

            std::string got(5, ' ');
            bool over = false;
            auto reader = read_and_tell(one, std::as_writable_bytes(std::span(got)), over);
            auto writer = [](stream& to) -> task<> {
                const auto ended = co_await as_result(to.write("x"));
                CHECK(!ended); // nobody answers
            }(one);
            auto between_them = [](event_loop& on, int poll, const socket& to,
                                   std::string_view rest) -> task<> {
                co_await on.poll(poll, poll_events::readable);
                test::send(to, rest);
            }(link.loop, fd, wire, second);
            link.loop.spawn(reader_first ? std::move(reader) : std::move(writer));
            link.loop.spawn(std::move(between_them));
            link.loop.spawn(reader_first ? std::move(writer) : std::move(reader));
            link.loop.run(test::settle(link.loop));
            test::send(wire, first);
            link.loop.run(test::settle(link.loop));
            CHECK(over);
            CHECK(got == "hello");
            test::drop(between.peer_of(by_client));
            link.loop.run();
        }
    }
}

TEST_CASE("two key updates asked for by the peer while a write is pending lose nothing") {
    for (const bool looks_first : {false, true}) {
        CAPTURE(looks_first);
        loopback link(1);
        const auto data = test::random_bytes(1'000'000);
        bytes got(data.size());
        bool write_over = false;
        link.loop.spawn([](stream& to, const bytes& all, bool& over) -> task<> {
            co_await to.write(all);
            over = true;
        }(link.client, data, write_over));
        link.loop.spawn([](stream& from, bool looks) -> task<> {
            std::array<std::byte, 4> buffer;
            if (looks)
                co_await from.readable();
            co_await from.read_exactly(buffer);
        }(link.client, looks_first));
        link.loop.run([](loopback& on) -> task<> {
            co_await test::settle(on.loop);
            co_await on.server.key_update(key_update_request::requested);
            co_await on.server.key_update(key_update_request::requested);
            co_await test::settle(on.loop);
        }(link));
        CHECK(!write_over);
        CHECK(link.client.counters().spills > 0);
        link.loop.run(test::read_all(link.server, got));
        CHECK(got == data);
        link.loop.run([](stream& to) -> task<> { co_await to.write("done"); }(link.server));
        link.loop.run();
        CHECK(write_over);
    }
}

TEST_CASE("both sides update their keys, and ask for the peer's, under load both ways") {
    for (const bool tcp : {false, true}) {
        CAPTURE(tcp);
        constexpr int parts = 64;
        const test::variant how = {"", tcp, tls_version::tls_1_3};
        loopback link(how, small_buffer(how));
        const auto there = test::random_bytes(8 << 20, 1);
        const auto back = test::random_bytes(8 << 20, 2);
        bytes got_there(there.size());
        bytes got_back(back.size());
        int under_load = 0;
        run_all(link.loop, write_and_update_keys(link, link.client, there, parts, under_load),
                write_and_update_keys(link, link.server, back, parts, under_load),
                test::read_all(link.client, got_back), test::read_all(link.server, got_there));
        CHECK(got_there == there);
        CHECK(got_back == back);
        MESSAGE("key updates while a write was pending: " << under_load << " of " << 2 * parts);
        CHECK(under_load > parts / 2);
    }
}

TEST_CASE("a flood of key updates ends the connection, and soon") {
    for (const auto request : {key_update_request::not_requested, key_update_request::requested}) {
        CAPTURE(static_cast<int>(request));
        loopback link(1);
        const auto data = test::random_bytes(500'000);
        link.loop.spawn(update_keys_for_ever(link.server, request));
        link.loop.spawn([](stream& to, const bytes& all) -> task<> {
            const auto ended = co_await as_result(to.write(all)); // the server does not read
            REQUIRE(!ended);
            CHECK(ended.error().code() == errc::key_update_flood);
        }(link.client, data));
        link.loop.run([](loopback& on) -> task<> {
            std::array<std::byte, 8> buffer;
            const auto ended = co_await as_result(on.client.read(buffer));
            REQUIRE(!ended);
            CHECK(ended.error().code() == errc::key_update_flood);
            CHECK(std::string(ended.error().what()) == "read: too many key updates");
            co_await test::settle(on.loop);
            const auto later = co_await as_result(on.client.write("x"));
            REQUIRE(!later);
            CHECK(later.error().code() == errc::key_update_flood);
            CHECK(on.client.counters().bytes_received < 200'000);
            test::drop(on.client);
        }(link));
        link.loop.run();
    }
}

TEST_CASE("a hundred key updates a second are no flood") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        std::array<std::byte, 1> one;
        for (int second = 0; second < 3; ++second) {
            for (int i = 0; i < 100; ++i)
                co_await on.server.key_update(key_update_request::not_requested);
            co_await on.server.write("x");
            CHECK(co_await on.client.read(one) == 1);
            on.clock.advance(1s);
        }
    }(link));
}

} // namespace ringtls
