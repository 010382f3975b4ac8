// SPDX-License-Identifier: MIT
// Each decision in each way that it, or the handshake that waits for it, can go.
#include "../started.hpp"
#include "../support/shaken.hpp"

#include <ringtls/tls/decisions.hpp>

#include <openssl/ssl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::started;

/// Who asks, and about what.
enum class question { client_hello, server_certificate, server_identity, client_identity };
constexpr std::array all_questions = {question::client_hello, question::server_certificate,
                                      question::server_identity, question::client_identity};
constexpr std::array<const char*, 4> question_names = {"ClientHello", "server's certificate",
                                                       "server's identity", "client's identity"};

/// What a decision does before it answers, and how often it was asked.
struct deliberation {
    std::function<task<>()> before; ///< empty: nothing
    bool refuses = false;
    int begun = 0;
    int ended = 0; ///< answered, thrown or destroyed
};

/// Counts the end of a decision, whichever it is.
class presence {
  public:
    explicit presence(deliberation& in) noexcept : in_(in) { ++in_.begun; }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence() { ++in_.ended; }

  private:
    deliberation& in_;
};

task<client_hello_answer> about_hello(deliberation& with) {
    const presence here(with);
    if (with.before)
        co_await with.before();
    co_return with.refuses ? client_hello_answer::refuse(refusal_alert::access_denied)
                           : client_hello_answer::proceed();
}

task<verdict> about_server(deliberation& with) {
    const presence here(with);
    if (with.before)
        co_await with.before();
    co_return with.refuses ? verdict::refuse("not this one") : verdict::as_found();
}

task<std::optional<identity>> about_identity(deliberation& with, std::string name) {
    const presence here(with);
    if (with.before)
        co_await with.before();
    co_return test::named_identity(with.refuses ? "nowhere" : name);
}

client_settings client_for(question what, deliberation& with) {
    auto settings = test::trusting();
    if (what == question::server_certificate)
        settings.on_server_certificate(
            [&with](const server_certificate&) { return about_server(with); });
    if (what == question::client_identity)
        settings.on_certificate_needed(
            [&with](const certificate_request&) { return about_identity(with, "client"); });
    return settings;
}

server_settings server_for(question what, deliberation& with) {
    auto settings = test::serving();
    if (what == question::client_hello)
        settings.on_client_hello([&with](const client_hello&) { return about_hello(with); });
    if (what == question::server_identity)
        settings.on_certificate_needed(
            [&with](const certificate_request&) { return about_identity(with, "rsa"); });
    if (what == question::client_identity)
        settings.require_client_certificate(pem::file(test::pki("ca.pem")));
    return settings;
}

/// A pair of streams, the one of which asks; not yet shaken hands.
struct asking {
    asking(const test::variant& how, question what)
        : link(how, 0, client_for(what, decision), server_for(what, decision), true),
          asker_is_client(what == question::server_certificate ||
                          what == question::client_identity) {}

    stream& asker() { return link.end(asker_is_client); }
    stream& other() { return link.end(!asker_is_client); }

    deliberation decision;
    test::loopback link;
    bool asker_is_client;
};

template<class Test>
void over_questions(Test test) {
    for (const auto what : all_questions) {
        for (const auto& how : test::variants) {
            CAPTURE(question_names.at(static_cast<std::size_t>(what)));
            CAPTURE(how.name);
            asking pair(how, what);
            test(pair, what);
        }
    }
}

/// How a handshake, and the first read behind it, end: a TLS 1.3 client hears of a refusal there.
struct ending {
    std::optional<error> failed;
    bool over = false;
};

started shake(stream& with, ending& ended) {
    const auto shaken = co_await as_result(with.handshake());
    if (!shaken)
        ended.failed = shaken.error();
    ended.over = true;
}

started shake_and_read(stream& with, ending& ended) {
    std::array<std::byte, 8> buffer;
    const auto count = co_await as_result(with.read(buffer));
    if (!count)
        ended.failed = count.error();
    ended.over = true;
}

/// Both say something and hear it: the connection is whole.
void check_echo(stream& one, stream& other, event_loop& loop) {
    const auto say = [](stream& with, std::string_view text) -> task<> {
        co_await with.write(text);
        std::string heard(4, ' ');
        co_await with.read_exactly(std::as_writable_bytes(std::span(heard)));
        CHECK(heard == (text == "ping" ? "pong" : "ping"));
    };
    test::run_all(loop, say(one, "ping"), say(other, "pong"));
}

/// Which the loop has turned a while, and everybody has got stuck where he can.
void rest(event_loop& loop) {
    loop.run(test::settle(loop));
}

task<> pass(test::gate& one) {
    co_await one.passed();
}

} // namespace

TEST_CASE("a decision that needs not wait is made at once") {
    over_questions([](asking& pair, question what) {
        test::run_all(pair.link.loop, test::shake_hands(pair.asker()),
                      test::shake_hands(pair.other()));
        CHECK(pair.decision.begun == 1);
        CHECK(pair.decision.ended == 1);
        check_echo(pair.asker(), pair.other(), pair.link.loop);
        if (what == question::client_identity)
            CHECK(pair.link.server.info().peer->subject == "CN=a client");
    });
}

TEST_CASE("a decision may sleep") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        pair.decision.before = [&loop]() -> task<> { co_await loop.sleep(1h); };
        ending asker;
        ending other;
        const auto first = shake(pair.asker(), asker);
        const auto second = shake(pair.other(), other);
        rest(loop);
        CHECK(pair.decision.begun == 1);
        CHECK(pair.decision.ended == 0);
        CHECK(!asker.over);
        pair.link.clock.advance(1h);
        rest(loop);
        CHECK(asker.over);
        CHECK(!asker.failed);
        CHECK(!other.failed);
        CHECK(pair.decision.ended == 1);
        check_echo(pair.asker(), pair.other(), loop);
    });
}

TEST_CASE("a decision may wait for another thread") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        test::gate answered;
        std::jthread elsewhere;
        pair.decision.before = [&]() -> task<> {
            elsewhere = std::jthread([&] { loop.post([&] { answered.open(); }); });
            return pass(answered);
        };
        test::run_all(loop, test::shake_hands(pair.asker()), test::shake_hands(pair.other()));
        CHECK(pair.decision.begun == 1);
        check_echo(pair.asker(), pair.other(), loop);
    });
}

TEST_CASE("a decision may use the loop, other connections included") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        const client_context c(test::trusting());
        const server_context s(test::serving());
        test::stream_pair beside(test::connected_pair(loop), c, s);
        pair.decision.before = [&]() -> task<> {
            return [](test::stream_pair& with) -> task<> {
                co_await when_all(test::shake_hands(with.client), test::shake_hands(with.server));
            }(beside);
        };
        test::run_all(loop, test::shake_hands(pair.asker()), test::shake_hands(pair.other()));
        check_echo(pair.asker(), pair.other(), loop);
        check_echo(beside.client, beside.server, loop);
    });
}

TEST_CASE("what a decision throws is the handshake's error, and the peer hears internal_error") {
    struct kind {
        const char* name;
        void (*go)();
        std::error_code code;
        std::string_view reason;
    };
    const auto no_memory = std::make_error_code(std::errc::not_enough_memory);
    const std::array kinds = {
        kind{"error", [] { throw error(errc::invalid_name, "look-up"); }, errc::invalid_name, ""},
        kind{"system_error",
             [] { throw std::system_error(std::make_error_code(std::errc::host_unreachable)); },
             std::make_error_code(std::errc::host_unreachable), ""},
        kind{"an empty code", [] { throw std::system_error(std::error_code()); },
             errc::decision_failed, ""},
        kind{"bad_alloc", [] { throw std::bad_alloc(); }, no_memory, ""},
        kind{"exception", [] { throw std::runtime_error("the database is gone"); },
             errc::decision_failed, "the database is gone"},
        kind{"an int", [] { throw 1; }, errc::decision_failed, ""},
    };
    for (const auto& each : kinds) {
        for (const int when : {0, 1, 2}) { // in the function, in its task, after a wait
            CAPTURE(each.name);
            CAPTURE(when);
            over_questions([&](asking& pair, question) {
                auto& loop = pair.link.loop;
                pair.decision.before = [&loop, &each, when]() -> task<> {
                    if (when == 0)
                        each.go();
                    return [](event_loop& on, const kind& what, int yields) -> task<> {
                        if (yields == 2)
                            co_await on.yield();
                        what.go();
                    }(loop, each, when);
                };
                ending asker;
                ending other;
                const auto first = shake(pair.asker(), asker);
                const auto second = shake_and_read(pair.other(), other);
                rest(loop);
                REQUIRE(asker.failed);
                CHECK(asker.failed->code() == each.code);
                CHECK(asker.failed->operation() == "handshake");
                CHECK(std::string(asker.failed->what()).find(each.reason) != std::string::npos);
                REQUIRE(other.failed);
                REQUIRE(other.failed->alert());
                CHECK(other.failed->alert()->description == SSL_AD_INTERNAL_ERROR);
                CHECK(pair.decision.begun == pair.decision.ended);
                // It is final.
                ending again;
                const auto third = shake(pair.asker(), again);
                REQUIRE(again.failed);
                CHECK(again.failed->code() == each.code);
            });
        }
    }
}

TEST_CASE("a function that throws before it makes a task does so, too") {
    for (const auto& how : test::variants) {
        deliberation unused;
        const auto refuse = [](const client_hello&) -> task<client_hello_answer> {
            throw std::runtime_error("no task");
        };
        test::loopback link(how, 0, test::trusting(), test::serving().on_client_hello(refuse),
                            true);
        ending server;
        ending client;
        const auto first = shake(link.server, server);
        const auto second = shake_and_read(link.client, client);
        rest(link.loop);
        REQUIRE(server.failed);
        CHECK(server.failed->code() == errc::decision_failed);
        REQUIRE(client.failed->alert());
        CHECK(client.failed->alert()->description == SSL_AD_INTERNAL_ERROR);
    }
}

TEST_CASE("a refusal reaches both sides") {
    over_questions([](asking& pair, question what) {
        auto& loop = pair.link.loop;
        pair.decision.refuses = true;
        pair.decision.before = [&loop]() -> task<> { co_await loop.yield(); };
        ending asker;
        ending other;
        const auto first = shake(pair.asker(), asker);
        const auto second = shake_and_read(pair.other(), other);
        rest(loop);
        REQUIRE(asker.failed);
        REQUIRE(other.failed);
        REQUIRE(other.failed->alert());
        const auto alert = other.failed->alert()->description;
        switch (what) {
        case question::client_hello:
            CHECK(asker.failed->code() == errc::handshake_refused);
            CHECK(asker.failed->alert()->description == SSL_AD_ACCESS_DENIED);
            CHECK(alert == SSL_AD_ACCESS_DENIED);
            break;
        case question::server_certificate:
            CHECK(asker.failed->code() == errc::verify_failed);
            CHECK(std::string(asker.failed->what()).find("not this one") != std::string::npos);
            CHECK(asker.failed->verification()->code == X509_V_ERR_CERT_REJECTED);
            CHECK(alert == SSL_AD_BAD_CERTIFICATE);
            break;
        case question::server_identity:
        case question::client_identity:
            CHECK(asker.failed->code() == errc::invalid_pem);
            CHECK(asker.failed->subject().find("nowhere.pem") != std::string_view::npos);
            CHECK(!asker.failed->chain().empty());
            CHECK(alert == SSL_AD_INTERNAL_ERROR);
            break;
        }
        CHECK(pair.decision.begun == 1);
    });
}

/// What can end a handshake's operation while the decision runs, and leaves the decision alone.
enum class interruption { stop, stop_by_thread, deadline, frame };

TEST_CASE("a handshake that is ended leaves its decision running, and goes on where it was") {
    for (const auto by : {interruption::stop, interruption::stop_by_thread, interruption::deadline,
                          interruption::frame}) {
        for (const bool answered_first : {false, true}) {
            CAPTURE(static_cast<int>(by));
            CAPTURE(answered_first);
            over_questions([&](asking& pair, question) {
                auto& loop = pair.link.loop;
                test::gate answer;
                pair.decision.before = [&answer] { return pass(answer); };
                std::stop_source stop;
                std::error_code code;
                auto first = [](stream& with, std::stop_token token,
                                std::error_code& ended) -> started {
                    const auto shaken =
                        co_await as_result(with.handshake().within(1h).cancel_on(std::move(token)));
                    ended = shaken ? std::error_code() : shaken.error().code();
                }(pair.asker(), stop.get_token(), code);
                ending other;
                const auto second = shake(pair.other(), other);
                rest(loop);
                CHECK(pair.decision.begun == 1);
                REQUIRE(!first.ended());
                if (by == interruption::stop)
                    stop.request_stop();
                if (by == interruption::stop_by_thread)
                    std::jthread([&stop] { stop.request_stop(); }).join();
                if (by == interruption::deadline)
                    pair.link.clock.advance(1h);
                if (by == interruption::frame)
                    first.destroy();
                rest(loop);
                CHECK(first.ended());
                CHECK(pair.decision.ended == 0);
                if (by == interruption::deadline)
                    CHECK(code == errc::timed_out);
                if (by == interruption::stop || by == interruption::stop_by_thread)
                    CHECK(code == errc::canceled);
                if (answered_first) {
                    answer.open();
                    rest(loop);
                    CHECK(pair.decision.ended == 1);
                }
                ending again;
                const auto third = shake(pair.asker(), again);
                rest(loop);
                if (!answered_first) {
                    CHECK(!again.over);
                    answer.open();
                    rest(loop);
                }
                CHECK(again.over);
                CHECK(!again.failed);
                CHECK(pair.decision.begun == 1);
                CHECK(pair.decision.ended == 1);
                check_echo(pair.asker(), pair.other(), loop);
            });
        }
    }
}

TEST_CASE("a destroyed stream destroys the decision that runs for it") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        pair.decision.before = [&loop]() -> task<> { co_await loop.sleep(1h); };
        ending asker;
        const auto first = shake(pair.asker(), asker);
        ending other;
        const auto second = shake_and_read(pair.other(), other);
        rest(loop);
        CHECK(pair.decision.begun == 1);
        CHECK(pair.decision.ended == 0);
        test::drop(pair.asker());
        CHECK(pair.decision.ended == 1);
        rest(loop);
        REQUIRE(asker.failed);
        CHECK(asker.failed->code() == errc::canceled);
        CHECK(other.failed);
    });
}

TEST_CASE("a stream may be destroyed in each turn before, while and after its decision runs") {
    for (int turns = 0; turns < 16; ++turns) {
        over_questions([turns](asking& pair, question) {
            auto& loop = pair.link.loop;
            pair.decision.before = [&loop] { return test::settle(loop, 3); };
            ending asker;
            ending other;
            const auto first = shake(pair.asker(), asker);
            const auto second = shake_and_read(pair.other(), other);
            for (int i = 0; i < turns; ++i)
                loop.run(test::settle(loop, 1));
            test::drop(pair.asker());
            CHECK(pair.decision.begun == pair.decision.ended);
            const int begun = pair.decision.begun;
            rest(loop);
            CHECK(pair.decision.begun == begun);
            CHECK(asker.over);
            CHECK(other.over);
        });
    }
}

TEST_CASE("a stream may be moved while its decision runs") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        test::gate answer;
        pair.decision.before = [&answer] { return pass(answer); };
        ending asker;
        ending other;
        const auto first = shake(pair.asker(), asker);
        const auto second = shake(pair.other(), other);
        rest(loop);
        CHECK(pair.decision.begun == 1);
        stream moved = std::move(pair.asker());
        answer.open();
        rest(loop);
        CHECK(asker.over);
        CHECK(!asker.failed);
        check_echo(moved, pair.other(), loop);
    });
}

TEST_CASE("a reader and a writer share a decision, and the loop rests meanwhile") {
    over_questions([](asking& pair, question) {
        auto& loop = pair.link.loop;
        test::gate answer;
        pair.decision.before = [&answer] { return pass(answer); };
        bool wrote = false;
        bool heard = false;
        loop.spawn([](stream& with, bool& over) -> task<> {
            co_await with.write("ping");
            over = true;
        }(pair.asker(), wrote));
        loop.spawn([](stream& with, bool& over) -> task<> {
            std::array<std::byte, 4> buffer;
            co_await with.read_exactly(buffer);
            over = true;
        }(pair.asker(), heard));
        loop.spawn([](stream& with) -> task<> {
            std::array<std::byte, 4> buffer;
            co_await with.read_exactly(buffer);
            co_await with.write("pong");
        }(pair.other()));
        rest(loop);
        CHECK(pair.decision.begun == 1);
        // A loop that nothing wakes waits for the clock's post alone.
        const auto before = loop.counters().turns;
        std::jthread later([&loop] {
            std::this_thread::yield();
            loop.post([&loop] { loop.stop(); });
        });
        loop.run();
        CHECK(loop.counters().turns - before < 8);
        CHECK(!wrote);
        answer.open();
        loop.run();
        CHECK(wrote);
        CHECK(heard);
        CHECK(pair.decision.begun == 1);
    });
}

TEST_CASE("many decisions run at once, and hold up nobody else") {
    for (const auto what : all_questions) {
        CAPTURE(question_names.at(static_cast<std::size_t>(what)));
        constexpr int many = 40;
        manual_clock clock;
        event_loop loop(event_loop_options().clock(clock));
        deliberation slow;
        slow.before = [&loop]() -> task<> { co_await loop.sleep(1h); };
        const client_context c(client_for(what, slow));
        const server_context s(server_for(what, slow));
        std::vector<std::unique_ptr<test::stream_pair>> pairs;
        int shaken = 0;
        for (int i = 0; i < many; ++i) {
            pairs.push_back(std::make_unique<test::stream_pair>(test::connected_pair(loop), c, s));
            for (auto* one : {&pairs.back()->client, &pairs.back()->server})
                loop.spawn([](stream& with, int& count) -> task<> {
                    co_await with.handshake();
                    ++count;
                }(*one, shaken));
        }
        loop.run(test::settle(loop, 200));
        CHECK(slow.begun == many);
        CHECK(slow.ended == 0);
        const client_context quick_client(test::trusting());
        const server_context quick_server(test::serving());
        test::stream_pair quick(test::connected_pair(loop), quick_client, quick_server);
        check_echo(quick.client, quick.server, loop);
        clock.advance(1h);
        loop.run();
        CHECK(shaken == 2 * many);
        CHECK(slow.ended == many);
    }
}

TEST_CASE("a resumed session asks for no certificate and verifies none") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        deliberation judged;
        deliberation presented;
        const client_context c(
            test::only(client_for(question::server_certificate, judged), version));
        const server_context s(
            test::only(server_for(question::server_identity, presented), version));
        event_loop loop;
        test::stream_pair first(test::connected_pair(loop), c, s);
        check_echo(first.client, first.server, loop);
        CHECK(judged.begun == 1);
        CHECK(presented.begun == 1);
        const std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> session(
            SSL_get1_session(first.client.native_handle()), SSL_SESSION_free);
        test::stream_pair second(test::connected_pair(loop), c, s);
        REQUIRE(SSL_set_session(second.client.native_handle(), session.get()) == 1);
        check_echo(second.client, second.server, loop);
        CHECK(second.client.info().resumed);
        CHECK(judged.begun == 1);
        CHECK(presented.begun == 1);
    }
}

TEST_CASE("a renegotiation asks for a new verdict, and for nothing else") {
    deliberation judged;
    deliberation presented;
    deliberation greeted;
    auto settings = server_for(question::server_identity, presented);
    settings.on_client_hello([&greeted](const client_hello&) { return about_hello(greeted); });
    test::loopback link(
        test::variants[1], 0,
        client_for(question::server_certificate, judged).danger_allow_renegotiation(),
        settings.danger_allow_renegotiation());
    CHECK(judged.begun == 1);
    const auto again = [&](bool refused) {
        judged.refuses = refused;
        judged.before = [&link]() -> task<> { co_await link.loop.sleep(1h); };
        REQUIRE(SSL_renegotiate(link.client.native_handle()) == 1);
        ending client;
        ending server;
        const auto listening = shake_and_read(link.server, server);
        const auto reading = shake_and_read(link.client, client);
        std::error_code code;
        const auto writing = [](stream& with, std::error_code& ended) -> started {
            const auto count = co_await as_result(with.write("8 bytes."));
            ended = count ? std::error_code() : count.error().code();
        }(link.client, code);
        rest(link.loop);
        CHECK(!reading.ended());
        CHECK(!writing.ended());
        CHECK(!listening.ended());
        link.clock.advance(1h);
        rest(link.loop);
        CHECK(writing.ended());
        CHECK(listening.ended());
        if (refused)
            CHECK(code == errc::verify_failed);
        else
            CHECK(!code);
        CHECK(static_cast<bool>(server.failed) == refused);
    };
    again(false);
    CHECK(judged.begun == 2);
    again(true);
    CHECK(judged.begun == 3);
    CHECK(presented.begun == 1);
    CHECK(greeted.begun == 1);
}

// ---- what each of them is told, and what its answers do ----

namespace {

/// What a client makes of a server, by this function.
ending client_end(const server_settings& server,
                  std::function<verdict(const server_certificate&)> by, long* verify_code = nullptr,
                  bool* has_chain = nullptr) {
    const auto ask = [](const std::function<verdict(const server_certificate&)>& judge,
                        server_certificate seen) -> task<verdict> { co_return judge(seen); };
    test::loopback link(
        0,
        test::trusting().on_server_certificate(
            [by = std::move(by), ask](const server_certificate& seen) { return ask(by, seen); }),
        server, true);
    ending client;
    ending other;
    const auto first = shake(link.client, client);
    const auto second = shake(link.server, other);
    rest(link.loop);
    if (verify_code)
        *verify_code = link.client.info().verify_code;
    if (has_chain)
        *has_chain = SSL_get0_verified_chain(link.client.native_handle()) != nullptr;
    return client;
}

server_settings serving_as(const char* name) {
    return server_settings(test::named_identity(name));
}

} // namespace

TEST_CASE("a verdict sees the chain and OpenSSL's own") {
    SUBCASE("a certificate that OpenSSL accepts") {
        bool has_chain = false;
        const auto client = client_end(
            server_settings(identity(pem::file(test::pki("server-chain.pem")),
                                     pem::file(test::pki("server.key")))),
            [](const server_certificate& seen) {
                CHECK(seen.server_name == "localhost");
                REQUIRE(seen.chain.size() == 2);
                CHECK(seen.chain[0].subject == "CN=localhost");
                CHECK(seen.chain[1].subject == "CN=ringtls test authority");
                REQUIRE(seen.chain.size() == 2);
                CHECK(seen.chain[0].der.front() == 0x30);
                CHECK(!seen.refused);
                return verdict::as_found();
            },
            nullptr, &has_chain);
        CHECK(!client.failed);
        CHECK(has_chain);
    }
    SUBCASE("one that it refuses") {
        const auto client = client_end(serving_as("expired"), [](const server_certificate& seen) {
            REQUIRE(seen.refused);
            CHECK(seen.refused->code == X509_V_ERR_CERT_HAS_EXPIRED);
            return verdict::as_found();
        });
        REQUIRE(client.failed);
        CHECK(client.failed->code() == errc::verify_failed);
        CHECK(client.failed->verification()->code == X509_V_ERR_CERT_HAS_EXPIRED);
        CHECK(client.failed->alert()->description == SSL_AD_CERTIFICATE_EXPIRED);
    }
    SUBCASE("one for another name") {
        const auto client = client_end(serving_as("elsewhere"), [](const server_certificate& seen) {
            REQUIRE(seen.refused);
            CHECK(seen.refused->code == X509_V_ERR_HOSTNAME_MISMATCH);
            return verdict::as_found();
        });
        REQUIRE(client.failed);
        CHECK(client.failed->code() == errc::verify_failed);
    }
}

TEST_CASE("a verdict overrules OpenSSL's in both directions, downwards only by a word of danger") {
    long code = 0;
    auto client = client_end(
        serving_as("expired"), [](const server_certificate&) { return verdict::danger_accept(); },
        &code);
    CHECK(!client.failed);
    CHECK(code == X509_V_ERR_CERT_HAS_EXPIRED);
    client = client_end(test::serving(), [](const server_certificate&) {
        return verdict::refuse("not the key that was pinned");
    });
    REQUIRE(client.failed);
    CHECK(client.failed->verification()->code == X509_V_ERR_CERT_REJECTED);
    CHECK(client.failed->verification()->subject == "CN=localhost");
    client = client_end(serving_as("expired"),
                        [](const server_certificate&) { return verdict::refuse("nor this"); });
    REQUIRE(client.failed);
    CHECK(client.failed->verification()->code == X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST_CASE("no verdict overrules a pin, and one is told of a pin that does not match") {
    const auto own = certificate::from_pem(pem::file(test::pki("server.pem"))).front();
    const auto other = certificate::from_pem(pem::file(test::pki("rsa.pem"))).front();
    for (const bool trusted : {true, false}) {
        for (const bool matches : {true, false}) {
            CAPTURE(trusted);
            CAPTURE(matches);
            auto settings =
                client_settings().trust(pem::file(test::pki(trusted ? "ca.pem" : "other-ca.pem")));
            settings.pin_public_key((matches ? own : other).key_fingerprint());
            bool refused = false;
            settings.on_server_certificate([&refused](const server_certificate& seen) {
                refused = seen.refused.has_value();
                return []() -> task<verdict> { co_return verdict::danger_accept(); }();
            });
            const auto ended = test::shake(settings, test::serving());
            CHECK(refused == !(trusted && matches));
            CHECK(ended.client.failure.has_value() == !matches);
            if (ended.client.failure)
                CHECK(ended.client.failure->code() == errc::pin_mismatch);
        }
    }
}

TEST_CASE("a client that accepts anything cannot judge, too") {
    const auto judge = [](const server_certificate&) -> task<verdict> {
        co_return verdict::as_found();
    };
    try {
        const client_context made(
            client_settings().on_server_certificate(judge).danger_accept_any_certificate());
        FAIL("made");
    } catch (const error& refused) {
        CHECK(refused.code() == errc::invalid_setting);
        CHECK(refused.subject().find("danger_accept_any_certificate") != std::string_view::npos);
    }
}

TEST_CASE("a decision about an identity is told for whom") {
    certificate_request by_server;
    certificate_request by_client;
    const auto note = [](certificate_request& into,
                         certificate_request from) -> task<std::optional<identity>> {
        into = std::move(from);
        co_return std::nullopt;
    };
    test::loopback link(0,
                        test::trusting()
                            .identify_as(test::named_identity("client"))
                            .on_certificate_needed([&](const certificate_request& one) {
                                return note(by_client, one);
                            }),
                        test::serving()
                            .require_client_certificate(pem::file(test::pki("ca.pem")))
                            .on_certificate_needed([&](const certificate_request& one) {
                                return note(by_server, one);
                            }));
    CHECK(by_server.server_name == "localhost");
    CHECK(by_server.authorities.empty());
    CHECK(by_client.server_name == "localhost");
    CHECK(by_client.authorities == std::vector<std::string>{"CN=ringtls test authority"});
    // Without an answer, the context's own.
    CHECK(link.client.info().peer->subject == "CN=localhost");
    CHECK(link.server.info().peer->subject == "CN=a client");
}

TEST_CASE("an identity that was chosen takes the place of all of the context's") {
    // The context's own key is of another kind, which OpenSSL would otherwise prefer.
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        deliberation chosen;
        test::loopback link(0, test::only(test::trusting(), version),
                            test::only(server_for(question::server_identity, chosen), version));
        EVP_PKEY* const key =
            X509_get0_pubkey(SSL_get0_peer_certificate(link.client.native_handle()));
        CHECK(EVP_PKEY_is_a(key, "RSA") == 1);
    }
}

} // namespace ringtls
