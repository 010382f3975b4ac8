// SPDX-License-Identifier: MIT
// Which context serves which name, and what becomes of names that none serves.
#include "../support/loopback.hpp"

#include <ringtls/tls/server_names.hpp>

#include <openssl/ssl.h>

#include <atomic>
#include <optional>
#include <thread>

namespace ringtls {
namespace {

using test::bytes;

/// A context that can be told from others by the protocol it speaks.
server_context speaking(const char* protocol) {
    return server_context(test::serving().alpn({protocol}));
}

server_names some_names() {
    return server_names()
        .add("one.example", speaking("one"))
        .add("Two.Example", speaking("two"))
        .add("*.example", speaking("wild"))
        .add("*.deep.example", speaking("deep"));
}

struct visit {
    std::string protocol; ///< what was spoken, if anything was
    std::optional<error> client;
    std::optional<error> server;
    connection_info seen; ///< by the server
};

/// A client asks for this name, an empty one for none, of a server with these.
visit ask_for(const server_context& s, const std::string& name,
              tls_version version = tls_version::tls_1_3) {
    event_loop loop;
    // The certificate is for localhost alone, which is not what is tested here.
    const client_context c(test::only(client_settings().danger_accept_any_certificate(), version)
                               .alpn({"one", "two", "wild", "deep", "other", "none"}));
    test::stream_pair ends(test::connected_pair(loop), c, s);
    SSL* const ssl = ends.client.native_handle();
    if (name.empty())
        REQUIRE(SSL_set_tlsext_host_name(ssl, nullptr) == 1);
    else
        REQUIRE(SSL_set_tlsext_host_name(ssl, name.c_str()) == 1);
    visit made;
    loop.spawn([](stream& with, visit& into) -> task<> {
        const auto shaken = co_await as_result(with.handshake());
        if (!shaken)
            into.server = shaken.error();
        else
            co_await with.close_write();
        into.seen = with.info();
    }(ends.server, made));
    loop.spawn([](stream& with, visit& into) -> task<> {
        std::array<std::byte, 8> buffer;
        const auto count = co_await as_result(with.read(buffer));
        if (!count)
            into.client = count.error();
        into.protocol = with.info().alpn;
    }(ends.client, made));
    loop.run();
    return made;
}

} // namespace

TEST_CASE("a name is served by its own context, in whatever case it is asked for") {
    const server_context s(some_names());
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        for (const auto& [name, protocol] : {std::pair{"one.example", "one"},
                                             {"ONE.example", "one"},
                                             {"two.example", "two"},
                                             {"three.example", "wild"},
                                             {"deep.example", "wild"},
                                             {"a.deep.EXAMPLE", "deep"}}) {
            CAPTURE(name);
            const auto made = ask_for(s, name, version);
            CHECK(made.protocol == protocol);
            CHECK(!made.server);
            CHECK(made.seen.server_name == name);
        }
    }
}

TEST_CASE("a name that is not there is refused with unrecognized_name") {
    const server_context s(some_names());
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        for (const char* name :
             {"example", "a.b.example", "a.b.deep.example", "one.example.org", "one.example.",
              ".example", "xone.exampl", "*.example.org", "\x01\x7f"}) {
            CAPTURE(name);
            const auto made = ask_for(s, name, version);
            REQUIRE(made.client);
            REQUIRE(made.client->alert());
            CHECK(made.client->alert()->way == alert::direction::received);
            CHECK(made.client->alert()->description == SSL_AD_UNRECOGNIZED_NAME);
            REQUIRE(made.server);
            CHECK(made.server->code() == errc::handshake_refused);
            CHECK(std::string(made.server->what()).find("no server named") != std::string::npos);
            CHECK(std::string(made.server->what()).find('\x01') == std::string::npos);
        }
    }
}

TEST_CASE("a client that asks for no name is refused") {
    const server_context s(some_names().unknown(speaking("other")));
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        const auto made = ask_for(s, "", version);
        REQUIRE(made.client);
        REQUIRE(made.client->alert());
        const auto heard = made.client->alert()->description;
        CHECK((heard == SSL_AD_MISSING_EXTENSION || heard == SSL_AD_HANDSHAKE_FAILURE));
        REQUIRE(made.server);
        CHECK(made.server->code() == errc::handshake_refused);
        CHECK(std::string(made.server->what()).find("names no server") != std::string::npos);
    }
}

TEST_CASE("unknown names and clients without one are served where there are contexts for them") {
    const server_context both(some_names().unknown(speaking("other")).unnamed(speaking("none")));
    CHECK(ask_for(both, "elsewhere.org").protocol == "other");
    CHECK(ask_for(both, "").protocol == "none");
    CHECK(ask_for(both, "one.example").protocol == "one");
    const server_context for_unnamed(server_names().unnamed(speaking("none")));
    CHECK(ask_for(for_unnamed, "").protocol == "none");
    CHECK(ask_for(for_unnamed, "one.example").client);
}

TEST_CASE(
    "names that cannot be asked for, or stand there twice, are refused when the context is made") {
    const auto refusal = [](const server_names& names) -> std::string {
        try {
            const server_context made(names);
            return "none";
        } catch (const error& failure) {
            CHECK(failure.code() == errc::invalid_setting);
            return std::string(failure.subject());
        }
    };
    const auto one = speaking("one");
    for (const char* name : {"", "*", "*.", "a..b", "*.*.example", "a*.example", "www.*.example",
                             "192.0.2.1", "::1", "with space", "dot.at.the.end."}) {
        CAPTURE(name);
        CHECK(refusal(server_names().add(name, one)) == "\"" + std::string(name) + "\"");
    }
    CHECK(refusal(server_names().add("a.example", one).add("A.example", one)) == "\"A.example\"");
    CHECK(refusal(server_names().add("*.example", one).add("*.Example", one)) == "\"*.Example\"");
    CHECK(refusal(server_names().add("*.example", one).add("a.example", one)) == "none");
    CHECK(refusal(server_names()) == "\"\"");
}

TEST_CASE("a name's own decision about ClientHellos is asked") {
    int asked = 0;
    const server_context careful(
        test::serving().alpn({"one"}).on_client_hello([&asked](const client_hello& hello) {
            ++asked;
            return [](bool good) -> task<client_hello_answer> {
                co_return good ? client_hello_answer::proceed()
                               : client_hello_answer::refuse(refusal_alert::access_denied);
            }(hello.server_name == "one.example");
        }));
    const server_context s(server_names().add("one.example", careful).add("two.example", careful));
    CHECK(ask_for(s, "one.example").protocol == "one");
    CHECK(asked == 1);
    const auto made = ask_for(s, "two.example");
    REQUIRE(made.client);
    CHECK(made.client->alert()->description == SSL_AD_ACCESS_DENIED);
    CHECK(asked == 2);
}

TEST_CASE("names may be looked up in names again") {
    const server_context inner(server_names().add("one.example", speaking("one")));
    const server_context s(server_names().add("*.example", inner));
    CHECK(ask_for(s, "one.example").protocol == "one");
    CHECK(ask_for(s, "two.example").client->alert()->description == SSL_AD_UNRECOGNIZED_NAME);
}

TEST_CASE("a server that used the name acknowledges it, another does not") {
    const auto acknowledged = [](const server_context& s, tls_version version) {
        event_loop loop;
        const client_context c(test::only(test::trusting().alpn({"one"}), version));
        test::stream_pair ends(test::connected_pair(loop), c, s);
        // The extensions of the server's first flight; those of TLS 1.3 are in its second message.
        bool seen = false;
        SSL_set_tlsext_debug_arg(ends.client.native_handle(), &seen);
        SSL_set_tlsext_debug_callback(
            ends.client.native_handle(),
            +[](SSL*, int, int type, const unsigned char*, int, void* flag) {
                *static_cast<bool*>(flag) |= type == TLSEXT_TYPE_server_name;
            });
        test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        return seen;
    };
    const server_context by_name(
        server_names().add("*.example", speaking("one")).add("localhost", speaking("one")));
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CHECK(acknowledged(by_name, version));
        CHECK(!acknowledged(speaking("one"), version));
    }
}

TEST_CASE("one context of names serves several threads") {
    const server_context s(some_names());
    std::vector<std::jthread> threads;
    std::atomic<int> served = 0;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&s, &served, i] {
            const bool even = i % 2 == 0;
            for (int again = 0; again < 5; ++again)
                served += ask_for(s, even ? "one.example" : "two.example").protocol ==
                          (even ? "one" : "two");
        });
    threads.clear();
    CHECK(served == 20);
}

} // namespace ringtls
