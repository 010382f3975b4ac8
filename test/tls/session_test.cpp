// SPDX-License-Identifier: MIT
// Sessions are resumed where they may be, and nowhere else.
#include "../../lib/tls/session.hpp"
#include "../support/visit.hpp"

#include <ringtls/tls/session.hpp>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace ringtls {
namespace {

using test::visit_once;
using test::visit_with;

std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
        return {};
    } catch (const error& refused) {
        return refused.code();
    }
}

client_context caching(const session_cache& cache, client_settings settings = test::trusting()) {
    return client_context(settings.sessions(cache));
}

/// The session of a first visit.
session first_session(const client_context& client, const server_context& server,
                      const std::string& name = "localhost") {
    const auto made = visit_once(client, server, name);
    CHECK(!made.resumed);
    REQUIRE(made.session);
    return *made.session;
}

/// The session as another process would have it.
session moved(const session& from) {
    return session::deserialize(from.serialize().bytes());
}

task<> greet(listener& at, const server_context& server) {
    stream made(co_await at.accept(), server);
    co_await made.write("x");
    co_await made.shutdown();
}

task<bool> greeted(event_loop& loop, const client_context& client, const endpoint& to) {
    auto made = co_await connect(loop, client, to);
    std::array<std::byte, 1> one{};
    co_await made.read_exactly(one);
    const bool resumed = made.resumed();
    co_await made.shutdown();
    co_return resumed;
}

/// Whether a connection made by connect() is resumed. It waits for the tickets.
task<bool> resumed_by_connect(event_loop& loop, listener& at, const server_context& server,
                              const client_context& client, const endpoint& to) {
    auto serving = greet(at, server);
    loop.spawn(std::move(serving));
    co_return co_await greeted(loop, client, to);
}

/// A server that no authority knows.
server_context stranger() {
    const std::array<std::string, 1> names = {"localhost"};
    return server_context(server_settings(self_signed(names)));
}

} // namespace

TEST_CASE("without a cache no session is resumed") {
    const client_context client(test::trusting());
    const server_context server(test::serving());
    for (int i = 0; i < 2; ++i)
        CHECK(!visit_once(client, server).resumed);
}

TEST_CASE("with a cache the second connection is resumed, and each further one") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        const session_cache cache;
        const auto client = caching(cache, test::only(test::trusting(), version));
        const server_context server(test::serving());
        CHECK(!visit_once(client, server).resumed);
        for (int i = 0; i < 6; ++i)
            CHECK(visit_once(client, server).resumed);
    }
}

TEST_CASE("a resumed connection knows its peer, and that it was verified") {
    const session_cache cache;
    const auto client = caching(cache);
    const server_context server(test::serving());
    visit_once(client, server);
    event_loop loop;
    test::stream_pair ends(test::connected_pair(loop), client, server);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    const auto info = ends.client.info();
    CHECK(info.resumed);
    CHECK(info.verify_code == 0);
    REQUIRE(info.peer);
    CHECK(info.peer->subject == "CN=localhost");
}

TEST_CASE("a session of TLS 1.3 is used once, one of TLS 1.2 until a newer comes") {
    const server_context server(test::serving().tickets(2));
    const session_cache newer;
    visit_once(caching(newer), server);
    CHECK(newer.size() == 2);
    event_loop loop;
    const auto client = caching(newer);
    {
        const test::stream_pair first(test::connected_pair(loop), client, server);
        CHECK(newer.size() == 1);
        const test::stream_pair second(test::connected_pair(loop), client, server);
        CHECK(newer.size() == 0);
    }
    const session_cache older;
    const auto old_client = caching(older, test::only(test::trusting(), tls_version::tls_1_2));
    visit_once(old_client, server);
    CHECK(older.size() == 1);
    const test::stream_pair third(test::connected_pair(loop), old_client, server);
    CHECK(older.size() == 1);
}

TEST_CASE("a cache is filed by name and by settings, and bounded") {
    const session_cache cache;
    const server_context server(test::serving().tickets(9));
    visit_once(caching(cache), server);
    CHECK(cache.size() == 4); // the newest of one server
    CHECK(!visit_once(caching(cache), server, "127.0.0.1").resumed);
    CHECK(cache.size() == 8);
    CHECK(visit_once(caching(cache), server, "LOCALHOST.").resumed);
    CHECK(visit_once(caching(cache), server, "127.0.0.1").resumed);
    CHECK(!visit_once(caching(cache, test::trusting().ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")),
                      server)
               .resumed);

    session_cache small(3);
    const server_context one_ticket(test::serving().tickets(1));
    for (const char* name : {"localhost", "127.0.0.1", "::1"})
        visit_once(caching(small), one_ticket, name);
    CHECK(small.size() == 3);
    visit_once(caching(small), server_context(test::serving().tickets(1)), "localhost");
    CHECK(small.size() == 3);
    small.clear();
    CHECK(small.size() == 0);
    visit_once(caching(session_cache(0)), server);
}

TEST_CASE("the port is part of a server's name") {
    const session_cache cache;
    const auto client = caching(cache);
    const server_context server(test::serving());
    event_loop loop;
    auto one = listener::bind(loop, address("127.0.0.1", 0));
    auto other = listener::bind(loop, address("127.0.0.1", 0));
    for (const bool resumed : {false, true}) {
        for (auto* at : {&one, &other}) {
            const endpoint to("127.0.0.1", at->local_address().port());
            CHECK(loop.run(resumed_by_connect(loop, *at, server, client, to)) == resumed);
        }
    }
}

TEST_CASE("an expired session is not used") {
    const auto name = std::string("localhost");
    const client_context client(test::trusting());
    const server_context server(test::serving());
    const auto made = first_session(client, server);
    CHECK(visit_with(made, client, server).resumed);
    const auto now = std::chrono::system_clock::now();
    CHECK(made.expires() > now + 1h);
    CHECK(made.expires() <= now + 2h);
    SSL_SESSION_set_timeout(made.state()->ssl.get(), 0);
    CHECK(!visit_with(made, client, server).resumed);
}

TEST_CASE("a session goes to another process in bytes") {
    const server_context server(test::serving());
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        const auto settings = test::only(test::trusting(), version);
        const auto made = moved(first_session(client_context(settings), server));
        CHECK(made.server_name() == "localhost");
        CHECK(made.single_use() == (version == tls_version::tls_1_3));
        CHECK(made.early_data_limit() == 0);
        // Another context of the same settings, as the other process has.
        CHECK(visit_with(made, client_context(settings), server).resumed);
    }
}

TEST_CASE("a session that was only resumed is not handed out again") {
    const client_context client(test::trusting());
    const auto keys = ticket_keys();
    const auto made =
        first_session(client, server_context(test::serving().seal_tickets_with(keys)));
    event_loop loop;
    const server_context server(test::serving().seal_tickets_with(keys));
    test::stream_pair ends(test::connected_pair(loop), client, server);
    ends.client.resume(made);
    CHECK(!ends.client.session());
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    CHECK(ends.client.resumed());
    CHECK(!ends.client.session()); // its tickets are not read yet
    CHECK(!ends.server.session());
}

TEST_CASE("bytes that are no session are refused") {
    const auto made =
        first_session(client_context(test::trusting()), server_context(test::serving()))
            .serialize();
    const auto all = made.bytes();
    for (std::size_t size = 0; size < all.size(); ++size)
        CHECK(code_of([&] { (void)session::deserialize(all.first(size)); }) ==
              errc::session_refused);
    test::bytes more(all.begin(), all.end());
    more.push_back(std::byte(0));
    CHECK(code_of([&] { (void)session::deserialize(more); }) == errc::session_refused);
}

TEST_CASE("a session of another name, or made under other settings, is refused") {
    const server_context server(test::serving());
    const client_context client(test::trusting());
    const auto made = first_session(client, server);
    const auto refusal = [&](const client_context& by, const session& with, const char* name) {
        return code_of([&] {
            event_loop loop;
            test::stream_pair ends(test::connected_pair(loop), by, server, name);
            ends.client.resume(with);
        });
    };
    CHECK(!refusal(client, made, "localhost"));
    CHECK(!refusal(client, made, "Localhost."));
    CHECK(refusal(client, made, "127.0.0.1") == errc::session_refused);
    const auto weak_settings = test::trusting().danger_accept_any_certificate();
    const auto weak = first_session(client_context(weak_settings), server);
    CHECK(refusal(client, weak, "localhost") == errc::session_refused);
    CHECK(refusal(client, moved(weak), "localhost") == errc::session_refused);
    for (const auto& other :
         {client_settings(), test::trusting().trust(pem::file(test::pki("other-ca.pem"))),
          client_settings().trust(pem::file(test::pki("other-ca.pem"))),
          test::trusting().trust_system_roots(),
          test::trusting().identify_as(test::named_identity("client")),
          test::trusting().minimum_version(tls_version::tls_1_3),
          test::trusting().ciphersuites("TLS_AES_128_GCM_SHA256"), test::trusting().groups("P-256"),
          weak_settings})
        CHECK(refusal(client_context(other), made, "localhost") == errc::session_refused);
}

TEST_CASE("a verifying client shares nothing with one that accepts any certificate") {
    const session_cache cache;
    const auto unknown = stranger();
    const auto careless = caching(cache, test::trusting().danger_accept_any_certificate());
    visit_once(careless, unknown);
    CHECK(cache.size() > 0);
    CHECK(visit_once(careless, unknown).resumed);
    event_loop loop;
    test::stream_pair ends(test::connected_pair(loop), caching(cache), unknown);
    loop.spawn(
        [](stream& with) -> task<> { (void)co_await as_result(with.handshake()); }(ends.server));
    const auto ended = loop.run([](stream& with) -> task<std::error_code> {
        const auto shaken = co_await as_result(with.handshake());
        co_return shaken ? std::error_code() : shaken.error().code();
    }(ends.client));
    CHECK(ended == errc::verify_failed);
}

TEST_CASE("whatever it is filed under, a session must fit the connection that it is offered in") {
    const server_context server(test::serving());
    const client_context careless(test::trusting().danger_accept_any_certificate());
    const client_context client(test::trusting());
    bool checks_name = true;
    const auto offered = [&](const session& with, const client_context& by, const char* name) {
        const detail::ssl_handle ssl(SSL_new(by.native_handle()));
        const auto own = detail::copy_of(with.state()->ssl.get());
        return detail::offer(ssl.get(), own.get(), name, checks_name) &&
               SSL_get0_session(ssl.get()) != nullptr;
    };
    const auto good = first_session(client, server);
    CHECK(offered(good, client, "localhost"));
    CHECK(offered(good, client, "127.0.0.1"));
    CHECK(!offered(good, client, "elsewhere.example"));
    CHECK(offered(good, careless, "elsewhere.example"));
    const server_context late(server_settings(test::named_identity("expired")));
    const auto expired = first_session(careless, late);
    CHECK(offered(expired, careless, "localhost"));
    CHECK(!offered(expired, client, "localhost"));
    const auto unverified = first_session(careless, stranger());
    CHECK(!offered(unverified, client, "localhost"));
    checks_name = false;
    CHECK(offered(good, client, "elsewhere.example"));
    CHECK(!offered(expired, client, "localhost"));
}

TEST_CASE("a client that takes any name resumes under any") {
    const server_context server(test::serving());
    const client_context any(test::trusting().danger_accept_any_name().sessions(session_cache()));
    event_loop loop;
    for (const bool again : {false, true}) {
        test::socket_pair ends = test::connected_pair(loop);
        stream client(std::move(ends.client), any, "elsewhere.example");
        stream served(std::move(ends.server), server);
        loop.run([](stream& one, stream& other) -> task<> {
            co_await when_all(test::shake_hands(one), test::shake_hands(other));
            co_await other.write("x");
            std::array<std::byte, 1> got;
            co_await one.read(got); // and the tickets before it
        }(client, served));
        CHECK(client.resumed() == again);
    }
}

TEST_CASE("a session comes too late for a handshake that has begun") {
    const server_context server(test::serving());
    const client_context client(test::trusting());
    const auto made = first_session(client, server);
    event_loop loop;
    test::stream_pair ends(test::connected_pair(loop), client, server);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    CHECK(code_of([&] { ends.client.resume(made); }) == errc::session_refused);
    CHECK(code_of([&] { ends.server.resume(made); }) == errc::session_refused);
}

TEST_CASE("connect() resumes a session that it is given") {
    const server_context server(test::serving());
    const client_context client(test::trusting());
    const auto made = first_session(client, server);
    event_loop loop;
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    const auto to = endpoint("127.0.0.1", listening.local_address().port())
                        .server_name("localhost")
                        .resume(made);
    CHECK(loop.run(resumed_by_connect(loop, listening, server, client, to)));
}

TEST_CASE("threads may share a context and its cache") {
    const session_cache cache(8);
    const auto client = caching(cache);
    const server_context server(test::serving());
    visit_once(client, server);
    std::vector<std::thread> threads;
    std::array<int, 3> resumed{};
    for (auto& count : resumed) {
        threads.emplace_back([&count, &client, &server] {
            for (int i = 0; i < 10; ++i)
                count += visit_once(client, server).resumed ? 1 : 0;
        });
    }
    for (auto& each : threads)
        each.join();
    for (const int count : resumed)
        CHECK(count > 0);
    CHECK(cache.size() <= 8);
}

} // namespace ringtls
