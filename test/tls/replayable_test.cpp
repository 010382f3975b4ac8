// SPDX-License-Identifier: MIT
// Early data: accepted, rejected and sent again, never twice, never unasked.
#include "../support/visit.hpp"

#include <ringtls/tls/replayable.hpp>

#include <openssl/ssl.h>

#include <cstring>
#include <stop_token>

namespace ringtls {
namespace {

using test::bytes;
using test::run_all;
using test::visit_once;

constexpr std::string_view request = "a request";
constexpr std::string_view answer = "an answer";

server_settings early_serving() {
    return test::serving().early_data(16384);
}

std::string text_of(std::span<const std::byte> from) {
    return {reinterpret_cast<const char*>(from.data()), from.size()};
}

task<> write_early(stream& to, std::string_view what) {
    const auto count = co_await to.write(replayable(what));
    CHECK(count == what.size());
}

/// All early data, to its end.
task<> read_early(stream& from, std::string& into) {
    for (;;) {
        std::array<std::byte, 4> buffer;
        const auto part = co_await from.read_early(buffer);
        into += text_of(part.bytes());
        if (part.empty())
            co_return;
    }
}

task<> read_text(stream& from, std::size_t size, std::string& into) {
    bytes buffer(size);
    co_await from.read_exactly(buffer);
    into = text_of(buffer);
}

/// A connection that a client begins with early data, on a session of the server's.
struct beginning {
    event_loop loop;
    client_context client_side;
    server_context server_side;
    test::stream_pair ends;
    stream& client = ends.client;
    stream& server = ends.server;
    std::string early; ///< what the server got before the handshake was over

    explicit beginning(const server_settings& s = early_serving(),
                       const client_settings& c = test::trusting())
        : client_side(c),
          server_side(s),
          ends(test::connected_pair(loop), client_side, server_side) {
        const auto first = visit_once(client_side, server_side);
        REQUIRE(first.session);
        client.resume(*first.session);
    }
    beginning(const client_context& c, const server_context& s, const session& with)
        : client_side(c),
          server_side(s),
          ends(test::connected_pair(loop), client_side, server_side) {
        client.resume(with);
    }

    /// The request goes to a server that looks for early data.
    void request_early(std::string_view what = request) {
        run_all(loop, write_early(client, what), [](stream& from, std::string& into) -> task<> {
            co_await read_early(from, into);
            co_await from.handshake();
        }(server, early));
    }
    /// It was not early data, but came none the less, once.
    void check_written(std::string_view what = request) {
        CHECK(early.empty());
        std::string text;
        loop.run(read_text(server, what.size(), text));
        CHECK(text == what);
        check_nothing_left();
    }
    void check_nothing_left() {
        bytes rest;
        run_all(loop, test::shut_down(client), [](stream& from, bytes& into) -> task<> {
            into = co_await test::read_to_end(from);
            co_await from.shutdown();
        }(server, rest));
        CHECK(rest.empty());
    }
    void check_status(early_data_status expected) const {
        CHECK(client.early_data() == expected);
        CHECK(server.early_data() == expected);
    }
};

} // namespace

TEST_CASE("early data is accepted, and answered before the handshake is over") {
    beginning link;
    std::string answered;
    run_all(
        link.loop,
        [](stream& at, std::string& into) -> task<> {
            co_await write_early(at, request);
            co_await read_text(at, answer.size(), into);
        }(link.client, answered),
        [](stream& at, std::string& into) -> task<> {
            std::array<std::byte, 64> buffer;
            const auto got = co_await at.read_early(buffer);
            into = text_of(got.bytes());
            co_await at.write(replayable(answer));
            CHECK(at.info().protocol.empty()); // the handshake is not over
            const auto more = co_await at.read_early(buffer);
            CHECK(more.empty());
            co_await at.handshake();
        }(link.server, link.early));
    CHECK(link.early == request);
    CHECK(answered == answer);
    link.check_status(early_data_status::accepted);
    CHECK(link.client.resumed());
    link.check_nothing_left();
}

TEST_CASE("a long answer to early data comes whole, though the client reads late") {
    beginning link;
    const auto data = test::random_bytes(1'000'000);
    bytes got(data.size());
    run_all(
        link.loop,
        [](stream& at, bytes& into) -> task<> {
            co_await write_early(at, request);
            co_await at.read_exactly(into);
        }(link.client, got),
        [](stream& at, const bytes& all) -> task<> {
            std::array<std::byte, 64> buffer;
            const auto early = co_await at.read_early(buffer);
            CHECK(!early.empty());
            co_await at.write(replayable(all));
        }(link.server, data));
    CHECK(got == data);
}

TEST_CASE("the context that a ClientHello chooses takes early data as its own") {
    for (const bool at_once : {true, false}) {
        CAPTURE(at_once);
        const client_context client(test::trusting());
        const server_context chosen(early_serving());
        event_loop* on = nullptr;
        auto choosing = test::serving(); // takes none itself
        choosing.on_client_hello([&](const client_hello&) {
            return [](server_context use, event_loop* loop) -> task<client_hello_answer> {
                if (loop)
                    co_await test::settle(*loop);
                co_return client_hello_answer::use(use);
            }(chosen, at_once ? nullptr : on);
        });
        const server_context server(choosing);
        const auto first = visit_once(client, server);
        REQUIRE(first.session);
        beginning link(client, server, *first.session);
        on = &link.loop;
        link.request_early();
        CHECK(link.early == request);
        link.check_status(early_data_status::accepted);
        CHECK(link.client.resumed());
        link.check_nothing_left();
    }
}

TEST_CASE("it is read in pieces, to its end") {
    beginning link;
    const std::string whole(16384, 'x');
    link.request_early(whole);
    CHECK(link.early == whole);
    link.check_status(early_data_status::accepted);
    link.check_nothing_left();
}

TEST_CASE("off unless the server's settings say so") {
    const client_context client(test::trusting());
    const server_context server(test::serving());
    const auto made = *visit_once(client, server).session;
    CHECK(made.early_data_limit() == 0);
    beginning link(client, server, made);
    link.request_early();
    link.check_status(early_data_status::none);
    CHECK(link.client.resumed());
    link.check_written();
    CHECK(visit_once(client, server_context(early_serving())).session->early_data_limit() == 16384);
}

TEST_CASE("without a session, or more than one allows, it is written after the handshake") {
    test::loopback plain(0, test::trusting(), early_serving(), true);
    std::string text;
    run_all(plain.loop, write_early(plain.client, request),
            read_text(plain.server, request.size(), text));
    CHECK(text == request);
    CHECK(plain.client.early_data() == early_data_status::none);
    for (const auto& [limit, size] : {std::pair<std::uint32_t, std::size_t>{100, 101},
                                      std::pair<std::uint32_t, std::size_t>{100'000, 16385}}) {
        CAPTURE(limit);
        beginning link(test::serving().early_data(limit));
        const std::string much(size, 'x');
        link.request_early(much);
        link.check_status(early_data_status::none);
        link.check_written(much);
    }
    beginning old(test::only(early_serving(), tls_version::tls_1_2));
    old.request_early();
    old.check_status(early_data_status::none);
    old.check_written();
}

TEST_CASE("a server that does not look for it rejects it, and gets it as ordinary data, once") {
    beginning link;
    run_all(link.loop, write_early(link.client, request), test::shake_hands(link.server));
    link.check_status(early_data_status::rejected);
    CHECK(link.client.resumed());
    link.check_written();
}

TEST_CASE("a server that asks for another key share rejects it") {
    const client_context client(test::trusting());
    const server_context server(early_serving());
    const auto made = *visit_once(client, server).session;
    SSL_CTX_set1_groups_list(server.native_handle(), "P-384");
    beginning link(client, server, made);
    link.request_early();
    link.check_status(early_data_status::rejected);
    CHECK(link.client.info().group == "secp384r1");
    link.check_written();
}

TEST_CASE("a session takes early data along once") {
    const client_context client(test::trusting());
    const server_context server(early_serving());
    const auto made = *visit_once(client, server).session;
    beginning first(client, server, made);
    first.request_early();
    CHECK(first.early == request);
    beginning second(client, server, made);
    second.request_early();
    second.check_status(early_data_status::rejected);
    CHECK(!second.client.resumed());
    second.check_written();
}

TEST_CASE("a recorded first flight, sent again, is no early data") {
    beginning link;
    event_loop& loop = link.loop;
    // What the client sends goes nowhere at first, but is recorded.
    link.loop.spawn([](stream& to) -> task<> {
        (void)co_await as_result(to.write(replayable(request)));
    }(link.client));
    loop.run(test::settle(loop));
    bytes flight(65536);
    const auto size = ::recv(link.ends.server_fd, flight.data(), flight.size(), MSG_DONTWAIT);
    REQUIRE(size > 0);
    int accepted = 0;
    for (int i = 0; i < 3; ++i) {
        auto sockets = test::connected_pair(loop);
        REQUIRE(::send(sockets.client.fd(), flight.data(), static_cast<std::size_t>(size), 0) ==
                size);
        stream server(std::move(sockets.server), link.server_side);
        std::array<std::byte, 64> buffer;
        const auto got = loop.run([](stream& at, std::span<std::byte> into) -> task<std::string> {
            const auto early = co_await at.read_early(into);
            co_return text_of(early.bytes());
        }(server, buffer));
        accepted += got == request ? 1 : 0;
        CHECK((got.empty() || i == 0));
    }
    CHECK(accepted == 1);
    test::drop(link.server);
    loop.run();
}

TEST_CASE("for another protocol than the session's it is not sent again") {
    static const char* chosen = "old";
    const client_context client(test::trusting().alpn({"old", "new"}));
    const server_context server(early_serving().alpn({"old", "new"}));
    SSL_CTX_set_alpn_select_cb(
        server.native_handle(),
        [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned,
           void*) {
            *out = reinterpret_cast<const unsigned char*>(chosen);
            *size = 3;
            return SSL_TLSEXT_ERR_OK;
        },
        nullptr);
    const auto made = *visit_once(client, server).session;
    chosen = "new";
    beginning link(client, server, made);
    std::error_code code;
    run_all(
        link.loop,
        [](stream& to, std::error_code& refusal) -> task<> {
            const auto written = co_await as_result(to.write(replayable(request)));
            REQUIRE(!written);
            CHECK(written.error().bytes() == 0);
            refusal = written.error().code();
            co_await to.write("spoken newly");
        }(link.client, code),
        test::shake_hands(link.server));
    CHECK(code == errc::early_data_rejected);
    CHECK(link.client.info().alpn == "new");
    link.check_written("spoken newly");
}

TEST_CASE("cancelled early data counts as accepted, and is followed by what is written next") {
    for (const bool rejected : {false, true}) {
        CAPTURE(rejected);
        beginning link;
        std::stop_source stop;
        link.loop.post([&stop] { stop.request_stop(); });
        link.loop.run([](stream& to, std::stop_token token) -> task<> {
            const auto cut = co_await as_result(to.write(replayable(request)).cancel_on(token));
            REQUIRE(!cut);
            CHECK(cut.error().code() == errc::canceled);
            CHECK(cut.error().bytes() == request.size());
        }(link.client, stop.get_token()));
        const auto write_on = [](stream& to, std::error_code& code) -> task<> {
            const auto next = co_await as_result(to.write(" and more"));
            code = next ? std::error_code() : next.error().code();
        };
        std::error_code code;
        if (rejected) {
            run_all(link.loop, write_on(link.client, code), [](stream& at) -> task<> {
                (void)co_await as_result(at.handshake());
            }(link.server));
            CHECK(code == errc::early_data_rejected);
            link.loop.run(write_on(link.client, code));
            CHECK(code == errc::early_data_rejected);
            continue;
        }
        std::string rest;
        run_all(link.loop, write_on(link.client, code),
                [](stream& at, std::string& early, std::string& text) -> task<> {
                    co_await read_early(at, early);
                    co_await read_text(at, 9, text);
                }(link.server, link.early, rest));
        CHECK(!code);
        CHECK(link.early == request);
        CHECK(rest == " and more");
    }
}

TEST_CASE("begun, early data must be read to its end before anything else") {
    beginning link;
    run_all(link.loop, write_early(link.client, request), [](stream& at) -> task<> {
        std::array<std::byte, 4> buffer;
        const auto part = co_await at.read_early(buffer);
        CHECK(part.size() == 4);
        const auto early = co_await as_result(at.read(buffer));
        REQUIRE(!early);
        CHECK(early.error().code() == errc::not_available);
        std::string rest;
        co_await read_early(at, rest);
        CHECK(rest == request.substr(4));
        co_await at.handshake();
    }(link.server));
    link.check_nothing_left();
}

TEST_CASE("a client has no early data to read, and an established server none any more") {
    beginning link;
    link.request_early();
    std::array<std::byte, 4> buffer;
    link.loop.run([](beginning& on, std::span<std::byte> into) -> task<> {
        const auto refused = co_await as_result(on.client.read_early(into));
        REQUIRE(!refused);
        CHECK(refused.error().code() == errc::not_available);
        const auto none = co_await on.server.read_early(into);
        CHECK(none.empty());
    }(link, buffer));
    link.check_nothing_left();
}

TEST_CASE("early data without tickets is refused") {
    try {
        const server_context made(early_serving().tickets(0));
        FAIL("accepted");
    } catch (const error& refused) {
        CHECK(refused.code() == errc::invalid_setting);
        CHECK(refused.subject() == "early data");
    }
}

} // namespace ringtls
