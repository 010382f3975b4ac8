// SPDX-License-Identifier: MIT
// The ClientHello chooses a server's context: everything of that one counts, nothing of the other.
#include "../started.hpp"
#include "../support/visit.hpp"
#include "tls/session.hpp"

#include <ringtls/tls/decisions.hpp>

#include <openssl/ssl.h>

#include <chrono>
#include <functional>
#include <memory>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::started;

using chooser = std::function<client_hello_answer(const client_hello&)>;

task<client_hello_answer> choose(event_loop* loop, chooser by, const client_hello& hello) {
    if (loop)
        co_await loop->yield();
    co_return by(hello);
}

/// Settings of a server that has this function choose; in a later turn of the loop, if one is
/// given.
server_settings choosing(chooser by, event_loop* loop = nullptr) {
    return test::serving().on_client_hello(
        [by = std::move(by), loop](const client_hello& hello) { return choose(loop, by, hello); });
}

/// How the two sides ended.
struct endings {
    std::optional<error> client;
    std::optional<error> server;
    connection_info client_info;
    connection_info server_info;
};

started shake(stream& with, std::optional<error>& failed, bool& over) {
    std::array<std::byte, 8> buffer;
    const auto shaken = co_await as_result(with.handshake());
    if (!shaken)
        failed = shaken.error();
    over = true;
    if (shaken && SSL_is_server(with.native_handle()) == 0) { // it may be refused later
        const auto count = co_await as_result(with.read(buffer));
        if (!count)
            failed = count.error();
    }
}

endings meet(event_loop& loop, stream& client, stream& server) {
    endings both;
    bool client_over = false;
    bool server_over = false;
    const auto first = shake(client, both.client, client_over);
    const auto second = shake(server, both.server, server_over);
    loop.run(test::settle(loop, 40));
    CHECK(client_over);
    CHECK(server_over);
    both.client_info = client.info();
    both.server_info = server.info();
    return both;
}

/// A client meets a server that goes on with the context of these settings.
endings meet(const client_settings& client, const server_settings& chosen,
             const server_settings& first = test::serving()) {
    event_loop loop;
    const client_context c(client);
    const server_context to(chosen);
    auto settings = first;
    settings.on_client_hello([to, &loop](const client_hello& hello) {
        return choose(
            &loop, [to](const client_hello&) { return client_hello_answer::use(to); }, hello);
    });
    const server_context s(settings);
    test::stream_pair ends(test::connected_pair(loop), c, s);
    return meet(loop, ends.client, ends.server);
}

bool is_whole(const endings& both) {
    return !both.client && !both.server;
}

} // namespace

TEST_CASE("a ClientHello tells a decision what it asks for") {
    std::optional<client_hello> seen;
    test::loopback link(0, test::trusting().alpn({"h2", "echo"}),
                        choosing([&seen](const client_hello& hello) {
                            seen = hello;
                            return client_hello_answer::proceed();
                        }).fingerprint_clients());
    REQUIRE(seen);
    CHECK(seen->server_name == "localhost");
    CHECK(seen->alpn == std::vector<std::string>{"h2", "echo"});
    CHECK(seen->versions.front() == TLS1_3_VERSION);
    CHECK(seen->extensions.size() > 8);
    CHECK(seen->ja4() == link.server.info().ja4);
}

TEST_CASE("the chosen context's certificate, versions, ciphers, groups and protocols count") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        const auto client = test::only(test::trusting(), version).alpn({"a", "b"});
        auto both = meet(client,
                         server_settings(test::named_identity("rsa"))
                             .ciphers("ECDHE-RSA-AES256-GCM-SHA384")
                             .ciphersuites("TLS_CHACHA20_POLY1305_SHA256")
                             .groups("P-384")
                             .alpn({"b"}),
                         test::serving().groups("P-521").alpn({"a"}));
        REQUIRE(is_whole(both));
        CHECK(both.client_info.cipher == (version == tls_version::tls_1_3
                                              ? "TLS_CHACHA20_POLY1305_SHA256"
                                              : "ECDHE-RSA-AES256-GCM-SHA384"));
        CHECK(both.client_info.group == "secp384r1");
        CHECK(both.client_info.alpn == "b");
        CHECK(both.server_info.alpn == "b");
        CHECK(both.server_info.server_name == "localhost");
        // What the first context was told, and the chosen one was not, is no more.
        both = meet(client, test::serving(), test::serving().groups("P-521").alpn({"a"}));
        REQUIRE(is_whole(both));
        CHECK(both.client_info.group != "secp521r1");
        CHECK(both.client_info.alpn.empty());
    }
    const auto newest = [] { return test::serving().minimum_version(tls_version::tls_1_3); };
    const auto oldest = [] { return test::serving().maximum_version(tls_version::tls_1_2); };
    auto both = meet(test::trusting(), oldest(), newest());
    CHECK(both.client_info.protocol == "TLSv1.2");
    both = meet(test::only(test::trusting(), tls_version::tls_1_2), newest(), oldest());
    REQUIRE(both.client);
    CHECK(both.client->alert()->description == SSL_AD_PROTOCOL_VERSION);
    both = meet(test::trusting().alpn({"x"}), test::serving().alpn({"y"}));
    REQUIRE(both.client);
    CHECK(both.client->alert()->description == SSL_AD_NO_APPLICATION_PROTOCOL);
}

TEST_CASE("the chosen context decides whether clients need a certificate, and whose") {
    const auto asking = [](const char* authority) {
        return test::serving().require_client_certificate(pem::file(test::pki(authority)));
    };
    const auto known = test::trusting().identify_as(test::named_identity("client"));
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        auto both = meet(test::only(known, version), asking("ca.pem"));
        REQUIRE(is_whole(both));
        CHECK(both.server_info.peer->subject == "CN=a client");
        both = meet(test::only(test::trusting(), version), asking("ca.pem"));
        REQUIRE(both.server);
        CHECK(std::string(both.server->what()).find("did not return a certificate") !=
              std::string::npos);
        both = meet(test::only(known, version), asking("other-ca.pem"));
        REQUIRE(both.server);
        CHECK(both.server->code() == errc::verify_failed);
        // And nothing is asked for where only the first one does.
        both = meet(test::only(test::trusting(), version), test::serving(), asking("ca.pem"));
        REQUIRE(is_whole(both));
        // The authorities that it names are its own.
        std::vector<std::string> named;
        auto telling = test::only(known, version);
        telling.on_certificate_needed(
            [&named](const certificate_request& of) -> task<std::optional<identity>> {
                named = of.authorities;
                return []() -> task<std::optional<identity>> { co_return std::nullopt; }();
            });
        both = meet(telling, asking("ca.pem"), asking("other-ca.pem"));
        REQUIRE(is_whole(both));
        CHECK(named == std::vector<std::string>{"CN=ringtls test authority"});
    }
}

TEST_CASE("the chosen context decides about tickets, and its sessions are its own") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        event_loop loop;
        const client_context c(test::only(test::trusting(), version));
        const server_context one(test::serving().tickets(5));
        const server_context other(test::serving());
        const server_context* now = &one;
        const server_context s(choosing(
            [&now](const client_hello&) { return client_hello_answer::use(*now); }, &loop));
        int tickets = 0;
        SSL_CTX_set_app_data(c.native_handle(), &tickets);
        SSL_CTX_set_session_cache_mode(c.native_handle(),
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c.native_handle(), [](SSL* ssl, SSL_SESSION*) {
            ++*static_cast<int*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
            return 0;
        });
        using session = std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)>;
        session kept(nullptr, SSL_SESSION_free);
        std::vector<std::unique_ptr<test::stream_pair>> visits;
        const auto visit = [&](const server_context& of) {
            now = &of;
            // A connection that ends without close_notify takes its session along.
            visits.push_back(std::make_unique<test::stream_pair>(test::connected_pair(loop), c, s));
            auto& ends = *visits.back();
            if (kept)
                REQUIRE(SSL_set_session(ends.client.native_handle(), kept.get()) == 1);
            const auto both = meet(loop, ends.client, ends.server);
            CHECK(is_whole(both));
            if (!kept)
                kept.reset(SSL_get1_session(ends.client.native_handle()));
            return both.client_info.resumed;
        };
        CHECK(!visit(one));
        CHECK(tickets == (version == tls_version::tls_1_3 ? 5 : 1));
        CHECK(visit(one));
        CHECK(!visit(other));
    }
}

TEST_CASE("the chosen context decides about renegotiation") {
    for (const bool allowed : {false, true}) {
        event_loop loop;
        const auto strict = test::only(test::serving(), tls_version::tls_1_2);
        const auto lax = server_settings(strict).danger_allow_renegotiation();
        const server_context to(allowed ? lax : strict);
        auto settings = allowed ? strict : lax;
        settings.on_client_hello([&to](const client_hello& hello) {
            return choose(
                nullptr, [&to](const client_hello&) { return client_hello_answer::use(to); },
                hello);
        });
        const server_context s(settings);
        const client_context c(test::trusting().danger_allow_renegotiation());
        test::stream_pair ends(test::connected_pair(loop), c, s);
        test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        const auto options = SSL_get_options(ends.server.native_handle());
        CHECK(((options & SSL_OP_NO_RENEGOTIATION) == 0) == allowed);
        REQUIRE(SSL_renegotiate(ends.client.native_handle()) == 1);
        bool failed = false;
        const auto reader = [](stream& with) -> started {
            std::array<std::byte, 8> buffer;
            const auto count = co_await as_result(with.read(buffer));
            static_cast<void>(count);
        }(ends.server);
        const auto writer = [](stream& with, bool& has_failed) -> started {
            const auto count = co_await as_result(with.write("abc"));
            has_failed = !count;
        }(ends.client, failed);
        loop.run(test::settle(loop));
        REQUIRE(writer.ended());
        CHECK(failed == !allowed);
    }
}

TEST_CASE("the chosen context's own decisions are asked, each context once") {
    event_loop loop;
    int hellos = 0;
    int certificates = 0;
    const auto certificate = [&certificates](const certificate_request&) {
        ++certificates;
        return []() -> task<std::optional<identity>> { co_return test::named_identity("rsa"); }();
    };
    std::optional<server_context> back; // to which the last one sends
    const server_context last(choosing(
                                  [&](const client_hello&) {
                                      ++hellos;
                                      return client_hello_answer::use(*back);
                                  },
                                  &loop)
                                  .on_certificate_needed(certificate)
                                  .alpn({"last"}));
    const server_context middle(choosing(
        [&](const client_hello&) {
            ++hellos;
            return client_hello_answer::use(last);
        },
        &loop));
    const server_context first(choosing(
        [&](const client_hello&) {
            ++hellos;
            return client_hello_answer::use(middle);
        },
        &loop));
    const client_context c(test::trusting().alpn({"last"}));
    const auto visit = [&] {
        hellos = 0;
        test::stream_pair ends(test::connected_pair(loop), c, first);
        return meet(loop, ends.client, ends.server);
    };
    back = last;
    auto both = visit();
    CHECK(is_whole(both));
    CHECK(hellos == 3);
    CHECK(certificates == 1);
    CHECK(both.client_info.alpn == "last");
    back = first; // which was asked, and is taken as it is
    both = visit();
    CHECK(is_whole(both));
    CHECK(hellos == 3);
    CHECK(both.client_info.alpn.empty());
}

TEST_CASE("a HelloRetryRequest brings a second ClientHello, and no second question") {
    for (const bool by_first : {true, false}) {
        int asked = 0;
        int certificates = 0;
        auto chosen = test::only(test::serving(), tls_version::tls_1_3).groups("P-384");
        chosen.on_certificate_needed([&certificates](const certificate_request&) {
            ++certificates;
            return []() -> task<std::optional<identity>> { co_return std::nullopt; }();
        });
        event_loop loop;
        const server_context to(chosen);
        const server_context s((by_first ? choosing(
                                               [&](const client_hello&) {
                                                   ++asked;
                                                   return client_hello_answer::proceed();
                                               },
                                               &loop)
                                               .groups("P-384")
                                         : choosing(
                                               [&](const client_hello&) {
                                                   ++asked;
                                                   return client_hello_answer::use(to);
                                               },
                                               &loop))
                                   .fingerprint_clients());
        const client_context c(test::trusting().groups("x25519:P-384"));
        test::stream_pair ends(test::connected_pair(loop), c, s);
        const auto both = meet(loop, ends.client, ends.server);
        CHECK(is_whole(both));
        CHECK(both.client_info.group == "secp384r1");
        CHECK(asked == 1);
        CHECK(certificates == (by_first ? 0 : 1));
        CHECK(both.server_info.ja4.size() == 36);
    }
}

TEST_CASE("a second ClientHello cannot ask for another server than the first one did") {
    enum class asked_for { context, none, identity };
    for (const auto what : {asked_for::context, asked_for::none, asked_for::identity}) {
        for (const bool renames : {true, false}) {
            CAPTURE(static_cast<int>(what));
            CAPTURE(renames);
            event_loop loop;
            stream* peer = nullptr;
            const auto rename = [&] {
                if (renames)
                    SSL_set_tlsext_host_name(peer->native_handle(), "other.example");
            };
            const server_context to(test::serving().groups("P-384"));
            auto settings = test::serving();
            if (what == asked_for::identity)
                settings.on_certificate_needed([&](const certificate_request&) {
                    rename();
                    return []() -> task<std::optional<identity>> { co_return std::nullopt; }();
                });
            else
                settings = choosing(
                    [&](const client_hello&) {
                        rename();
                        return what == asked_for::none ? client_hello_answer::proceed()
                                                       : client_hello_answer::use(to);
                    },
                    &loop);
            const server_context s(settings.groups("P-384"));
            const client_context c(
                test::only(test::trusting(), tls_version::tls_1_3).groups("x25519:P-384"));
            test::stream_pair ends(test::connected_pair(loop), c, s);
            peer = &ends.client;
            const auto both = meet(loop, ends.client, ends.server);
            CHECK(is_whole(both) == !renames);
            CHECK(both.server_info.server_name == (renames ? "" : "localhost"));
            REQUIRE(both.server.has_value() == renames);
            REQUIRE(both.client.has_value() == renames);
            if (!renames)
                continue;
            CHECK(both.server->code() == errc::handshake_refused);
            CHECK(std::string(both.server->what())
                      .ends_with("a second ClientHello names another server"));
            REQUIRE(both.client->alert());
            CHECK(both.client->alert()->name() == "illegal parameter");
        }
    }
}

TEST_CASE("the chosen context lives as long as its connection, whoever else lets go of it") {
    event_loop loop;
    auto to = std::make_unique<server_context>(test::serving().alpn({"chosen"}));
    auto s = std::make_unique<server_context>(
        choosing([&to](const client_hello&) { return client_hello_answer::use(*to); }, &loop));
    const client_context c(test::trusting().alpn({"chosen"}));
    test::stream_pair ends(test::connected_pair(loop), c, *s);
    s.reset();
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    to.reset();
    CHECK(ends.server.info().alpn == "chosen");
    test::run_all(loop, test::write_all(ends.client, test::random_bytes(100)),
                  [](stream& at) -> task<> {
                      bytes all(100);
                      co_await at.read_exactly(all);
                  }(ends.server));
}

namespace {

/// The first flight of a client of these settings, as it goes over the wire.
bytes first_flight(const client_settings& settings) {
    event_loop loop;
    auto sockets = test::connected_pair(loop);
    stream client(std::move(sockets.client), client_context(settings), "localhost");
    bytes flight(65536);
    loop.run([](event_loop& on, stream& with, const socket& peer, bytes& into) -> task<> {
        const auto shaking = [](stream& one) -> started {
            const auto shaken = co_await as_result(one.handshake());
            static_cast<void>(shaken);
        }(with);
        co_await test::settle(on, 4);
        const auto count = ::recv(peer.fd(), into.data(), into.size(), MSG_DONTWAIT);
        test::check_system(count > 0);
        into.resize(static_cast<std::size_t>(count));
    }(loop, client, sockets.server, flight));
    return flight;
}

/// What a server that sends each client to another context makes of these bytes, which end.
std::error_code end_of(const bytes& sent, int& asked) {
    event_loop loop;
    auto sockets = test::connected_pair(loop);
    const server_context to(test::serving());
    stream server(std::move(sockets.server), server_context(choosing(
                                                 [&](const client_hello&) {
                                                     ++asked;
                                                     return client_hello_answer::use(to);
                                                 },
                                                 &loop)));
    return loop.run([](stream& with, socket from, const bytes& all) -> task<std::error_code> {
        auto& on = with.loop();
        std::error_code code;
        bool over = false;
        const auto shaking = [](stream& one, std::error_code& ended, bool& is_over) -> started {
            const auto shaken = co_await as_result(one.handshake());
            ended = shaken ? std::error_code() : shaken.error().code();
            is_over = true;
        }(with, code, over);
        std::size_t at = 0;
        while (at < all.size() && !over) {
            const auto count =
                ::send(from.fd(), all.data() + at, all.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            at += count > 0 ? static_cast<std::size_t>(count) : 0;
            co_await on.yield();
        }
        test::drop(from);
        co_await test::until(on, over);
        co_return code;
    }(server, std::move(sockets.client), sent));
}

/// The same handshake message in records of one byte each.
bytes in_single_bytes(const bytes& record) {
    bytes made;
    for (std::size_t at = 5; at < record.size(); ++at) {
        made.insert(made.end(), record.begin(), record.begin() + 3);
        made.insert(made.end(), {std::byte{0}, std::byte{1}, record[at]});
    }
    return made;
}

} // namespace

TEST_CASE("a ClientHello in records of one byte is asked about once") {
    int asked = 0;
    const auto flight = in_single_bytes(first_flight(test::trusting()));
    CHECK(end_of(flight, asked) == errc::truncated); // behind it, not in it
    CHECK(asked == 1);
}

TEST_CASE("a ClientHello that is cut short is not asked about") {
    const auto flight = first_flight(test::trusting());
    int asked = 0;
    for (std::size_t size = 0; size < flight.size(); size += 17)
        CHECK(end_of(bytes(flight.begin(), flight.begin() + static_cast<std::ptrdiff_t>(size)),
                     asked) == errc::truncated);
    CHECK(asked == 0);
}

TEST_CASE("a ClientHello that is blown up ends the handshake before it fills the memory") {
    // 64 KiB of an unknown extension, a byte a record.
    auto record = first_flight(test::trusting());
    constexpr std::size_t more = 60'000;
    const auto add = [&record](std::size_t at, std::size_t size) {
        std::size_t value = 0;
        for (std::size_t i = 0; i < size; ++i)
            value = value << 8 | std::to_integer<std::size_t>(record[at + i]);
        value += more + 4;
        for (std::size_t i = size; i-- > 0; value >>= 8)
            record[at + i] = static_cast<std::byte>(value & 255);
    };
    add(6, 3); // the message's length
    const auto session = 9 + 2 + 32;
    const auto ciphers = session + 1 + std::to_integer<std::size_t>(record[session]);
    const auto compression = ciphers + 2 + (std::to_integer<std::size_t>(record[ciphers]) << 8) +
                             std::to_integer<std::size_t>(record[ciphers + 1]);
    add(compression + 1 + std::to_integer<std::size_t>(record[compression]), 2);
    for (const int byte : {0x44, 0x44, static_cast<int>(more >> 8), static_cast<int>(more & 255)})
        record.push_back(static_cast<std::byte>(byte));
    record.resize(record.size() + more);
    int asked = 0;
    CHECK(end_of(in_single_bytes(record), asked) == std::errc::message_size);
    CHECK(asked == 0);
    // The same in records of a decent size is as good as any.
    bytes decent;
    for (std::size_t at = 5; at < record.size(); at += 16384) {
        const auto size = std::min<std::size_t>(16384, record.size() - at);
        decent.insert(decent.end(), record.begin(), record.begin() + 3);
        decent.insert(decent.end(),
                      {static_cast<std::byte>(size >> 8), static_cast<std::byte>(size & 255)});
        decent.insert(decent.end(), record.begin() + static_cast<std::ptrdiff_t>(at),
                      record.begin() + static_cast<std::ptrdiff_t>(at + size));
    }
    CHECK(end_of(decent, asked) == errc::truncated);
    CHECK(asked == 1);
}

TEST_CASE("a ClientHello in SSLv2's form is refused where ClientHellos are asked about") {
    bytes hello;
    for (const int byte : {0x80, 0x1c, 1, 3, 3, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f})
        hello.push_back(static_cast<std::byte>(byte));
    hello.resize(hello.size() + 16, std::byte{5});
    int asked = 0;
    CHECK(end_of(hello, asked) == errc::handshake_refused);
    CHECK(asked == 0);
}

TEST_CASE("a session of one name is not resumed under another, though the keys are the same") {
    const ticket_keys keys;
    const server_context one(test::serving().seal_tickets_with(keys));
    const server_context other(
        server_settings(test::named_identity("elsewhere")).seal_tickets_with(keys));
    const server_context names(server_names().add("localhost", one).add("other.example", other));
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        const client_context client(test::only(test::trusting(), version));
        const auto first = test::visit_once(client, names);
        REQUIRE(first.session);
        CHECK(test::visit_with(*first.session, client, names).resumed);
        // A client that is not ours offers it under another name.
        event_loop loop;
        test::stream_pair ends(test::connected_pair(loop), client, names, "other.example");
        SSL* const ssl = ends.client.native_handle();
        const auto again = test::visit_once(client, names);
        REQUIRE(again.session);
        REQUIRE(SSL_set_session(ssl, again.session->state()->ssl.get()) == 1);
        test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        CHECK(!ends.client.resumed());
        CHECK(ends.server.info().server_name == "other.example");
    }
}

} // namespace ringtls
