// SPDX-License-Identifier: MIT
#include <ringtls/tls/server.hpp>

#include "../descriptors.hpp"
#include "../support/loopback.hpp"
#include "../support/scratch.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::settle;

const address anywhere("127.0.0.1", 0);

/// Sends back what comes until the peer closes, or a stop is requested.
task<> echo(stream peer, std::stop_token stop) {
    std::array<std::byte, 1024> buffer;
    for (;;) {
        const auto got = co_await as_result(peer.read(buffer).cancel_on(stop));
        if (!got && got.error().code() == errc::canceled)
            break;
        const auto count = got.value();
        if (count == 0)
            break;
        co_await peer.write(std::span(buffer).first(count));
    }
    co_await peer.shutdown();
}

/// What the server's callback was told, and what the handlers see.
struct record {
    struct entry {
        server_stage stage;
        std::optional<address> peer;
        std::error_code code;
        std::string text;
    };
    std::mutex mutex;
    std::vector<entry> entries;

    void operator()(const connection_failure& of) {
        entry made{of.stage, of.peer, {}, {}};
        try {
            std::rethrow_exception(of.cause);
        } catch (const error& failure) {
            made.code = failure.code();
        } catch (const std::exception& other) {
            made.text = other.what();
        }
        const std::scoped_lock lock(mutex);
        entries.push_back(std::move(made));
    }
};

/// A server on one thread whose loop the test's clients share, timed by hand.
struct served {
    manual_clock clock;
    record failures;
    server_context context{test::serving()};
    client_context trust{test::trusting()};
    server under_test;
    event_loop& loop = under_test.loop();

    explicit served(server::handler handle, server_options how = server_options().listen(anywhere))
        : under_test(
              context, std::move(handle),
              how.loops(event_loop_options().clock(clock)).on_failure([this](const auto& of) {
                  failures(of);
              })) {}

    [[nodiscard]] address at() const { return under_test.local_address(); }
    [[nodiscard]] server_counters counters() const { return under_test.counters(); }

    /// Runs the server until this has ended, and the server with it.
    void run(task<> test) {
        loop.spawn([](served& on, task<> work) -> task<> {
            const auto ended = co_await as_result(std::move(work));
            on.under_test.stop();
            ended.value();
        }(*this, std::move(test)));
        under_test.run();
    }
};

task<stream> call(event_loop& loop, address at, const client_context& trust) {
    auto made = co_await connect(loop, at);
    co_return stream(std::move(made), trust, "localhost");
}

task<> exchange(stream& with, std::string text) {
    co_await with.write(text);
    std::string back(text.size(), ' ');
    co_await with.read_exactly(std::as_writable_bytes(std::span(back)));
    CHECK(back == text);
}

/// One whole visit. True once the answer was there.
task<> visit(event_loop& loop, address at, const client_context& trust, std::string text,
             std::shared_ptr<int> answered) {
    auto calling = call(loop, at, trust);
    auto with = co_await std::move(calling);
    auto talk = exchange(with, text);
    co_await std::move(talk);
    ++*answered;
    co_await with.shutdown();
}

std::error_code code_of_run(server& one) {
    try {
        one.run();
    } catch (const error& failure) {
        return failure.code();
    }
    return {};
}

/// The subject of what refuses these options.
std::string refused(const server_options& how, server::handler handle = echo) {
    try {
        const server none(server_context(test::serving()), std::move(handle), how);
    } catch (const error& failure) {
        CHECK(failure.code() == std::errc::invalid_argument);
        return failure.details()->subject;
    }
    return {};
}

} // namespace

TEST_CASE("each connection is served by a handler of its own, and all at once") {
    served on(echo);
    const auto answered = std::make_shared<int>(0);
    on.run([](served& in, std::shared_ptr<int> count) -> task<> {
        std::vector<task<>> visits;
        for (int i = 0; i < 20; ++i)
            visits.push_back(
                visit(in.loop, in.at(), in.trust, "hello " + std::to_string(i), count));
        auto all = when_all(std::move(visits));
        co_await std::move(all);
        co_await settle(in.loop);
    }(on, answered));
    CHECK(*answered == 20);
    const auto seen = on.counters();
    CHECK(seen.accepted == 20);
    CHECK(seen.served == 20);
    CHECK(seen.open == 0);
    CHECK(on.failures.entries.empty());
}

TEST_CASE("a handler need not take a stop_token") {
    const server_context context(test::serving());
    int called = 0;
    server one(
        context,
        [&called](stream peer) -> task<> {
            ++called;
            co_await peer.shutdown();
        },
        server_options().listen(anywhere));
    const client_context trust(test::trusting());
    one.loop().spawn([](server& of, const client_context& by) -> task<> {
        auto calling = call(of.loop(), of.local_address(), by);
        auto with = co_await std::move(calling);
        co_await with.shutdown();
        of.stop();
    }(one, trust));
    one.run();
    CHECK(called == 1);
    CHECK(code_of_run(one) == errc::busy);
}

TEST_CASE("what a handler takes by reference is there until it has ended") {
    served on([](stream&& peer, const std::stop_token& stop) -> task<> {
        co_await peer.loop().yield();
        auto echoing = echo(std::move(peer), stop);
        co_await std::move(echoing);
    });
    const auto answered = std::make_shared<int>(0);
    on.run(visit(on.loop, on.at(), on.trust, "by reference", answered));
    CHECK(*answered == 1);
    CHECK(on.failures.entries.empty());
}

TEST_CASE("a handler that throws ends its own connection, and is reported") {
    served on([](stream peer, std::stop_token /*stop*/) -> task<> {
        std::array<std::byte, 1> first;
        co_await peer.read_exactly(first);
        if (first[0] == std::byte('!'))
            throw std::runtime_error("no such thing");
        co_await peer.write(first);
        co_await peer.shutdown();
    });
    on.run([](served& in) -> task<> {
        auto calling = call(in.loop, in.at(), in.trust);
        auto bad = co_await std::move(calling);
        auto calling_too = call(in.loop, in.at(), in.trust);
        auto good = co_await std::move(calling_too);
        co_await good.handshake();
        co_await bad.write("!");
        std::array<std::byte, 1> buffer;
        const auto ended = co_await as_result(bad.read(buffer));
        REQUIRE(!ended);
        CHECK(ended.error().code() == errc::truncated);
        auto talk = exchange(good, "?");
        co_await std::move(talk);
        co_await good.shutdown();
        co_await settle(in.loop);
    }(on));
    REQUIRE(on.failures.entries.size() == 1);
    const auto& told = on.failures.entries.front();
    CHECK(told.stage == server_stage::handler);
    CHECK(told.text == "no such thing");
    CHECK(told.peer->host() == "127.0.0.1");
    CHECK(on.counters().failed_handlers == 1);
    CHECK(on.counters().served == 1);
}

TEST_CASE("no more connections than max_connections, and the next as soon as one has ended") {
    served on(echo, server_options().listen(anywhere).max_connections(2));
    on.run([](served& in) -> task<> {
        std::vector<stream> ends;
        for (int i = 0; i < 2; ++i) {
            auto calling = call(in.loop, in.at(), in.trust);
            ends.push_back(co_await std::move(calling));
            auto talk = exchange(ends.back(), "in");
            co_await std::move(talk);
        }
        const auto answered = std::make_shared<int>(0);
        for (int i = 0; i < 3; ++i)
            in.loop.spawn(visit(in.loop, in.at(), in.trust, "later", answered));
        co_await settle(in.loop, 100);
        CHECK(*answered == 0);
        CHECK(in.counters().open == 2);
        CHECK(in.counters().accepted == 3); // the next is in the server's hand
        co_await ends.front().shutdown();
        while (*answered < 3)
            co_await in.loop.yield();
        CHECK(in.counters().open <= 2);
        co_await ends.back().shutdown();
    }(on));
}

TEST_CASE("no more handshakes than max_handshakes, and waiting counts") {
    served on(echo, server_options().listen(anywhere).max_handshakes(1));
    on.run([](served& in) -> task<> {
        auto silent = co_await connect(in.loop, in.at());
        co_await settle(in.loop);
        const auto answered = std::make_shared<int>(0);
        in.loop.spawn(visit(in.loop, in.at(), in.trust, "behind", answered));
        co_await settle(in.loop, 100);
        CHECK(*answered == 0);
        test::drop(silent);
        while (*answered == 0)
            co_await in.loop.yield();

        auto first = co_await connect(in.loop, in.at());
        co_await settle(in.loop);
        in.clock.advance(9s);
        auto second = co_await connect(in.loop, in.at());
        co_await settle(in.loop);
        in.clock.advance(1s); // the first's time
        co_await settle(in.loop);
        CHECK(in.counters().failed_handshakes == 2); // and the one that closed
        in.clock.advance(8s);
        co_await settle(in.loop);
        CHECK(in.counters().failed_handshakes == 2);
        in.clock.advance(1s); // the second's, its wait included
        co_await settle(in.loop);
        CHECK(in.counters().failed_handshakes == 3);
    }(on));
    REQUIRE(!on.failures.entries.empty());
    for (const auto& told : on.failures.entries)
        CHECK(told.stage == server_stage::handshake);
    CHECK(on.failures.entries.back().code == errc::timed_out);
}

TEST_CASE("one peer has no more connections than max_per_address, another has its own") {
    served on(echo, server_options().listen(anywhere).max_per_address(1));
    on.run([](served& in) -> task<> {
        auto calling = call(in.loop, in.at(), in.trust);
        auto first = co_await std::move(calling);
        auto talk = exchange(first, "one");
        co_await std::move(talk);
        auto calling_too = call(in.loop, in.at(), in.trust);
        auto second = co_await std::move(calling_too);
        const auto refused = co_await as_result(second.handshake());
        CHECK(!refused);
        const auto options = connect_options().source(address("127.0.0.2", 0));
        auto elsewhere = co_await connect(in.loop, in.at(), options);
        stream third(std::move(elsewhere), in.trust, "localhost");
        auto talk_too = exchange(third, "three");
        co_await std::move(talk_too);
        co_await first.shutdown();
        co_await settle(in.loop);
        const auto answered = std::make_shared<int>(0);
        auto again = visit(in.loop, in.at(), in.trust, "again", answered);
        co_await std::move(again);
        co_await third.shutdown();
    }(on));
    REQUIRE(on.failures.entries.size() == 1);
    CHECK(on.failures.entries.front().stage == server_stage::admission);
    CHECK(on.failures.entries.front().code == errc::over_limit);
    CHECK(on.counters().refused == 1);
}

TEST_CASE("a connection may be idle, or not take what is written, for no longer than it may") {
    served on([](stream peer, std::stop_token /*stop*/) -> task<> {
        std::array<std::byte, 1> first;
        co_await peer.read_exactly(first);
        const auto much = test::random_bytes(50'000'000);
        co_await peer.write(much);
    });
    on.run([](served& in) -> task<> {
        auto calling = call(in.loop, in.at(), in.trust);
        auto idle = co_await std::move(calling);
        co_await idle.handshake();
        co_await settle(in.loop);
        in.clock.advance(5min - 1s);
        co_await settle(in.loop);
        CHECK(in.failures.entries.empty());
        in.clock.advance(1s);
        co_await settle(in.loop);
        CHECK(in.failures.entries.size() == 1);

        auto calling_too = call(in.loop, in.at(), in.trust);
        auto deaf = co_await std::move(calling_too);
        co_await deaf.write("x");
        co_await settle(in.loop, 1000);
        in.clock.advance(1min - 1s);
        co_await settle(in.loop);
        CHECK(in.failures.entries.size() == 1);
        in.clock.advance(1s);
        co_await settle(in.loop);
    }(on));
    REQUIRE(on.failures.entries.size() == 2);
    for (const auto& told : on.failures.entries) {
        CHECK(told.stage == server_stage::handler);
        CHECK(told.code == errc::timed_out);
    }
}

TEST_CASE("a stop lets handlers finish what they are at, and tells those that ask") {
    served on([](stream peer, std::stop_token stop) -> task<> {
        std::array<std::byte, 4> request;
        do {
            co_await peer.read_exactly(request);
            co_await peer.write(request);
        } while (!stop.stop_requested());
        co_await peer.shutdown();
    });
    on.loop.spawn([](served& in) -> task<> {
        auto calling = call(in.loop, in.at(), in.trust);
        auto with = co_await std::move(calling);
        auto talk = exchange(with, "one.");
        co_await std::move(talk);
        in.under_test.stop();
        co_await settle(in.loop);
        const auto late = co_await as_result(connect(in.loop, in.at()));
        CHECK(late.error().code() == std::errc::connection_refused);
        auto talk_more = exchange(with, "two.");
        co_await std::move(talk_more);
        std::array<std::byte, 1> none;
        const auto end = co_await with.read(none);
        CHECK(end == 0);
        co_await with.shutdown();
    }(on));
    on.under_test.run();
    CHECK(on.counters().served == 1);
    CHECK(on.counters().abandoned == 0);
    CHECK(on.failures.entries.empty());
}

TEST_CASE("what has not ended within the grace time is destroyed") {
    for (const bool at_once : {false, true}) {
        CAPTURE(at_once);
        bool destroyed = false;
        const auto stuck = [&destroyed](stream peer, std::stop_token /*stop*/) -> task<> {
            const std::unique_ptr<bool, void (*)(bool*)> mark(&destroyed,
                                                              [](bool* at) { *at = true; });
            std::array<std::byte, 1> buffer;
            co_await peer.read_exactly(buffer);
            co_await peer.read_exactly(buffer);
        };
        served on(stuck);
        on.loop.spawn([](served& in, bool now, bool& over) -> task<> {
            auto calling = call(in.loop, in.at(), in.trust);
            auto with = co_await std::move(calling);
            co_await with.write("x");
            co_await settle(in.loop);
            in.under_test.stop();
            co_await settle(in.loop);
            in.clock.advance(10s - 1ms);
            co_await settle(in.loop);
            CHECK(!over);
            if (now)
                in.under_test.stop_now();
            else
                in.clock.advance(1ms);
            co_await in.loop.sleep(1h);
        }(on, at_once, destroyed));
        on.under_test.run();
        CHECK(destroyed);
        CHECK(on.counters().abandoned == 1);
        CHECK(on.counters().open == 0);
    }
}

TEST_CASE("a stop still takes the connections that wait in the kernel's queue") {
    served on([](stream peer, std::stop_token /*stop*/) -> task<> {
        std::array<std::byte, 5> request;
        co_await peer.read_exactly(request);
        co_await peer.write(request);
        co_await peer.shutdown();
    });
    const auto answered = std::make_shared<int>(0);
    event_loop elsewhere;
    std::vector<socket> waiting;
    for (int i = 0; i < 30; ++i) {
        waiting.push_back(elsewhere.run([](event_loop& loop, address at) -> task<socket> {
            co_return co_await connect(loop, at);
        }(elsewhere, on.at())));
    }
    for (auto& each : waiting) {
        on.loop.spawn([](served& in, int fd, std::shared_ptr<int> count) -> task<> {
            stream with(socket(in.loop, fd), in.trust, "localhost");
            auto talk = exchange(with, "queue");
            co_await std::move(talk);
            co_await with.shutdown();
            ++*count;
        }(on, each.release(), answered));
    }
    on.under_test.stop();
    on.under_test.run();
    CHECK(on.counters().accepted == 30);
    CHECK(on.counters().served == 30);
    CHECK(on.failures.entries.empty());
}

TEST_CASE("it listens on several addresses, unix sockets and descriptors, with several threads") {
    for (const std::size_t threads : {1, 3}) {
        CAPTURE(threads);
        const test::scratch in;
        event_loop loop;
        auto handed_over = listener::bind(loop, anywhere);
        const server_context context(test::serving());
        server one(context, echo,
                   server_options()
                       .listen(anywhere)
                       .listen(address::unix_path(in.path("socket")))
                       .listen(handed_over.fd())
                       .threads(threads));
        std::jthread running([&one] { one.run(); });
        const client_context trust(test::trusting());
        const auto answered = std::make_shared<int>(0);
        for (std::size_t i = 0; i < 3; ++i) {
            for (int times = 0; times < 5; ++times)
                loop.run(visit(loop, one.local_address(i), trust, "here", answered));
        }
        CHECK(*answered == 15);
        CHECK_THROWS_AS((void)one.local_address(3), std::out_of_range);
        one.stop();
    }
}

TEST_CASE("a listener that fails ends the server, the others too") {
    for (const std::size_t threads : {1, 2}) {
        event_loop maker;
        auto ends = listener::bind(maker, anywhere);
        server one(server_context(test::serving()), echo,
                   server_options().listen(anywhere).listen(ends.fd()).threads(threads));
        REQUIRE(::shutdown(ends.fd(), SHUT_RDWR) == 0);
        CHECK(code_of_run(one) == std::errc::invalid_argument);
    }
}

TEST_CASE("connections are dealt out to the threads, and stay where they are") {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    const server_context context(test::serving());
    server one(
        context,
        [&](stream peer) -> task<> {
            const auto began = std::this_thread::get_id();
            std::array<std::byte, 4> buffer;
            for (int i = 0; i < 3; ++i) {
                co_await peer.read_exactly(buffer);
                co_await peer.write(buffer);
            }
            co_await peer.shutdown();
            CHECK(began == std::this_thread::get_id());
            const std::scoped_lock lock(mutex);
            threads.insert(began);
        },
        server_options().listen(anywhere).threads(2));
    std::jthread running([&one] { one.run(); });
    event_loop loop;
    const client_context trust(test::trusting());
    std::vector<task<>> visits;
    for (int i = 0; i < 64; ++i) {
        visits.push_back([](event_loop& on, address at, const client_context& by) -> task<> {
            auto calling = call(on, at, by);
            auto with = co_await std::move(calling);
            for (int times = 0; times < 3; ++times) {
                auto talk = exchange(with, "four");
                co_await std::move(talk);
            }
            co_await with.shutdown();
        }(loop, one.local_address(), trust));
    }
    loop.run(when_all(std::move(visits)));
    one.stop();
    running.join();
    CHECK(threads.size() == 2);
    CHECK(one.counters().served == 64);
    CHECK(one.counters().open == 0);
}

TEST_CASE("a stop under load loses no request of a connection that was accepted") {
    record failures;
    const server_context context(test::serving());
    server one(
        context,
        [](stream peer) -> task<> {
            std::array<std::byte, 7> request;
            co_await peer.read_exactly(request);
            co_await peer.write(request);
            co_await peer.shutdown();
        },
        server_options().listen(anywhere).threads(2).on_failure(
            [&failures](const auto& of) { failures(of); }));
    std::jthread running([&one] { one.run(); });
    event_loop loop;
    const client_context trust(test::trusting());
    const auto answered = std::make_shared<int>(0);
    for (int i = 0; i < 32; ++i) {
        loop.spawn([](event_loop& on, server& of, const client_context& by,
                      std::shared_ptr<int> count) -> task<> {
            for (;;) {
                auto visiting = visit(on, of.local_address(), by, "request", count);
                const auto ended = co_await as_result(std::move(visiting));
                if (!ended)
                    co_return;
                if (*count >= 300)
                    of.stop();
            }
        }(loop, one, trust, answered));
    }
    loop.run();
    running.join();
    const auto seen = one.counters();
    CHECK(seen.served >= 300);
    CHECK(seen.accepted == seen.served);
    CHECK(static_cast<std::uint64_t>(*answered) == seen.served);
    CHECK(seen.abandoned == 0);
    CHECK(failures.entries.empty());
}

TEST_CASE("signals stop it, the second at once") {
    signal_set signals{SIGUSR1};
    served on([](stream peer, std::stop_token stop) -> task<> {
        CHECK(!stop.stop_requested());
        co_await peer.shutdown();
        std::array<std::byte, 1> none;
        co_await peer.loop().sleep(24h); // deaf to the stop
        co_await peer.read(none);
    });
    on.under_test.stop_on(signals);
    on.loop.spawn([](served& in) -> task<> {
        auto calling = call(in.loop, in.at(), in.trust);
        auto with = co_await std::move(calling);
        co_await with.shutdown();
        std::raise(SIGUSR1);
        co_await settle(in.loop);
        const auto late = co_await as_result(connect(in.loop, in.at()));
        CHECK(!late);
        std::raise(SIGUSR1);
        co_await in.loop.sleep(24h);
    }(on));
    on.under_test.run();
    CHECK(on.counters().abandoned == 1);
}

TEST_CASE("the first thread hears of signals for as long as another one serves") {
    signal_set signals{SIGUSR1};
    const server_context context(test::serving());
    const auto first = std::this_thread::get_id();
    server one(
        context,
        [first](stream peer) -> task<> {
            co_await peer.shutdown();
            if (std::this_thread::get_id() != first)
                co_await peer.loop().sleep(24h); // deaf to the stop
        },
        server_options().listen(anywhere).threads(2).grace(24h));
    one.stop_on(signals);
    std::jthread client([&] {
        const client_context trust(test::trusting());
        event_loop loop;
        const auto visit_once = [&] {
            loop.run([](event_loop& on, address at, const client_context& by) -> task<> {
                auto calling = call(on, at, by);
                auto with = co_await std::move(calling);
                co_await with.shutdown();
            }(loop, one.local_address(), trust));
        };
        for (int times = 0; times < 64; ++times) // the kernel deals them out to both
            visit_once();
        ::kill(::getpid(), SIGUSR1);
        while (one.counters().open > 0) { // the first signal does not end them
            loop.run([](event_loop& on, address at) -> task<> {
                const auto refused = co_await as_result(connect(on, at));
                if (!refused)
                    ::kill(::getpid(), SIGUSR1);
            }(loop, one.local_address()));
        }
    });
    one.run();
    CHECK(one.counters().abandoned >= 1);
    CHECK(one.counters().served >= 1);
}

TEST_CASE("a new connection has the reloader's newest context") {
    context_reloader contexts([] { return server_context(test::serving()); });
    server one(contexts, echo, server_options().listen(anywhere));
    const client_context trust(test::trusting());
    one.loop().spawn([](server& of, context_reloader& from, const client_context& by) -> task<> {
        const auto answered = std::make_shared<int>(0);
        auto before = visit(of.loop(), of.local_address(), by, "before", answered);
        co_await std::move(before);
        from.replace(server_context(server_settings(test::named_identity("elsewhere"))));
        auto after = visit(of.loop(), of.local_address(), by, "after", answered);
        const auto refused = co_await as_result(std::move(after));
        CHECK(!refused);
        CHECK(*answered == 1);
        of.stop();
    }(one, contexts, trust));
    one.run();
}

TEST_CASE("options that make no sense are refused by name") {
    const auto some = server_options().listen(anywhere);
    CHECK(refused(server_options()) == "nothing to listen on");
    CHECK(refused(server_options(some).threads(0)) == "threads");
    CHECK(refused(server_options(some).max_connections(0)) == "max_connections");
    CHECK(refused(server_options(some).max_handshakes(0)) == "max_handshakes");
    CHECK(refused(server_options(some).max_per_address(0)) == "max_per_address");
    CHECK(server_options(some).grace(std::chrono::hours::max()).grace() ==
          loop_clock::duration::max());
    CHECK(refused(server_options(some).handshake_within(0s)) == "handshake_within");
    CHECK(refused(server_options(some).idle_within(0s)) == "idle_within");
    CHECK(refused(server_options(some).write_within(0s)) == "write_within");
    CHECK(refused(server_options(some).grace(-1s)) == "grace");
    CHECK(refused(some, nullptr) == "handler");
    CHECK(refused(some).empty());
}

TEST_CASE("an address in use is refused, also for several threads") {
    event_loop loop;
    const auto taken = listener::bind(loop, anywhere, listen_options().share_port());
    const server_context context(test::serving());
    for (const std::size_t threads : {1, 2}) {
        const auto how = server_options().listen(taken.local_address()).threads(threads);
        CHECK_THROWS_AS(server(context, echo, how), error);
    }
}

} // namespace ringtls
