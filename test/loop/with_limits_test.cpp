// SPDX-License-Identifier: MIT
#include <ringtls/loop/with_limits.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::limits;
using ringtls::task;
using ringtls::with_limits;
using ringtls::test::gate;
using ringtls::test::started;

/// A loop whose time stands still, and what came of some work on it.
struct bench {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    std::stop_source parent;
    bool told = false; ///< to stop, and the work heeded it
    std::optional<ringtls::result<int>> ended;

    [[nodiscard]] limits by(ringtls::loop_clock::duration time) const {
        limits made; // GCC 12 takes a temporary's deadline for uninitialized under a sanitizer
        made.until(clock.now() + time).cancel_on(parent.get_token());
        return made;
    }
    template<class Work>
    [[nodiscard]] started start(limits by, Work work) {
        ended.emplace(co_await as_result(with_limits(loop, std::move(by), std::move(work))));
    }
    /// Sleeps, heeds its token, and completes with 42.
    [[nodiscard]] auto sleeper(ringtls::loop_clock::duration time) {
        return [this, time](std::stop_token stop) -> task<int> {
            const auto slept = co_await as_result(loop.sleep(time).cancel_on(std::move(stop)));
            told = !slept.has_value();
            slept.value();
            co_return 42;
        };
    }
    void turn() {
        loop.run([](event_loop& on) -> task<> {
            for (int i = 0; i < 5; ++i)
                co_await on.yield();
        }(loop));
    }
    void pass(ringtls::loop_clock::duration time) {
        clock.advance(time);
        turn();
    }
    [[nodiscard]] std::error_code failure() const {
        return ended && !ended->has_value() ? ended->error().code() : std::error_code();
    }
};

auto value_after(gate& entrance, int value) {
    return [&entrance, value](std::stop_token /*stop*/) -> task<int> {
        co_await entrance.passed();
        co_return value;
    };
}

} // namespace

TEST_CASE("Work that ends in time completes with its value") {
    bench on;
    const auto whole = on.start(on.by(5s), on.sleeper(4s));
    on.pass(4s);
    REQUIRE(whole.ended());
    CHECK(on.ended->value() == 42);
    on.pass(1h);
    CHECK_FALSE(on.told);
}

TEST_CASE("Work without a value completes, too") {
    bench on;
    bool done = false;
    const auto run = [&]() -> started {
        co_await ringtls::within(on.loop, 5s, [&](std::stop_token) -> task<> {
            done = true;
            co_return;
        });
    };
    const auto whole = run();
    whole.check();
    CHECK(done);
}

TEST_CASE("Work that need not wait completes, whatever the time") {
    bench on;
    gate open;
    open.open();
    const auto whole = on.start(on.by(-1h), value_after(open, 1));
    REQUIRE(whole.ended());
    CHECK(on.ended->value() == 1);
}

TEST_CASE("Work that has to wait is stopped at its deadline, and fails with timed_out") {
    bench on;
    const auto whole = on.start(on.by(5s), on.sleeper(1h));
    on.pass(5s - 1ns);
    CHECK_FALSE(on.told);
    CHECK_FALSE(whole.ended());
    on.pass(1ns);
    CHECK(on.told);
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::timed_out);
    CHECK(on.ended->error().operation() == "sleep");
}

TEST_CASE("Work is awaited after its deadline") {
    bench on;
    gate closing;
    const auto careful = [&](std::stop_token stop) -> task<int> {
        const auto slept = co_await as_result(on.loop.sleep(1h).cancel_on(stop));
        co_await closing.passed(); // such as a transaction that is rolled back
        slept.value();
        co_return 1;
    };
    const auto whole = on.start(on.by(5s), careful);
    on.pass(5s);
    CHECK_FALSE(whole.ended());
    closing.open();
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("A value that comes in spite of the stop is not thrown away") {
    bench on;
    gate entrance;
    const auto whole = on.start(on.by(5s), value_after(entrance, 7));
    on.pass(5s);
    CHECK_FALSE(whole.ended());
    entrance.open();
    REQUIRE(whole.ended());
    CHECK(on.ended->value() == 7);
}

TEST_CASE("A cancel after the deadline is thrown as timed_out, with all that it tells") {
    bench on;
    gate entrance;
    const auto details = std::make_shared<const ringtls::error_details>();
    const auto canceled = [&](std::stop_token) -> task<int> {
        co_await entrance.passed();
        throw ringtls::error(errc::canceled, "write", details, 99);
    };
    const auto whole = on.start(on.by(5s), canceled);
    on.pass(5s);
    entrance.open();
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::timed_out);
    CHECK(on.ended->error().operation() == "write");
    CHECK(on.ended->error().details() == details);
    CHECK(on.ended->error().bytes() == 99);
}

TEST_CASE("An error of another kind after the deadline is thrown as it is") {
    bench on;
    gate entrance;
    const auto failing = [&](std::stop_token) -> task<int> {
        co_await entrance.passed();
        throw ringtls::error(errc::truncated, "read");
    };
    const auto whole = on.start(on.by(5s), failing);
    on.pass(5s);
    entrance.open();
    CHECK(on.failure() == errc::truncated);
    gate other;
    const auto throwing = [&](std::stop_token) -> task<int> {
        co_await other.passed();
        throw std::runtime_error("not the library's");
    };
    const auto second = on.start(on.by(5s), throwing);
    on.pass(5s);
    other.open();
    REQUIRE(second.ended());
    CHECK_THROWS_WITH_AS(second.check(), "not the library's", std::runtime_error);
}

TEST_CASE("What the work throws in time is thrown as it is, a cancel of its own too") {
    bench on;
    const auto canceled = [&](std::stop_token) -> task<int> {
        throw ringtls::error(errc::canceled, "read");
        co_return 1;
    };
    const auto whole = on.start(on.by(5s), canceled);
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::canceled);
}

TEST_CASE("A stop of the caller's is passed on, and stays a cancel") {
    for (const bool before : {true, false}) {
        CAPTURE(before);
        bench on;
        if (before)
            on.parent.request_stop();
        const auto whole = on.start(on.by(5s), on.sleeper(1h));
        on.turn();
        CHECK(whole.ended() == before);
        on.parent.request_stop();
        on.turn();
        REQUIRE(whole.ended());
        CHECK(on.told);
        CHECK(on.failure() == errc::canceled);
    }
}

TEST_CASE("Of the caller's stop and the deadline, the first counts") {
    for (const bool stop_first : {true, false}) {
        CAPTURE(stop_first);
        bench on;
        gate entrance;
        const auto canceled = [&](std::stop_token) -> task<int> {
            co_await entrance.passed();
            throw ringtls::error(errc::canceled, "read");
        };
        const auto whole = on.start(on.by(5s), canceled);
        if (stop_first)
            on.parent.request_stop();
        on.pass(5s);
        on.parent.request_stop();
        entrance.open();
        REQUIRE(whole.ended());
        CHECK(on.failure() == (stop_first ? errc::canceled : errc::timed_out));
    }
}

TEST_CASE("Limits without a deadline pass the caller's stop on, and no limits limit nothing") {
    bench on;
    const auto whole = on.start(limits().cancel_on(on.parent.get_token()),
                                on.sleeper(ringtls::loop_clock::duration(1h)));
    on.pass(59min);
    on.parent.request_stop();
    on.turn();
    CHECK(on.failure() == errc::canceled);
    const auto unlimited = on.start({}, on.sleeper(1h));
    on.pass(1h);
    CHECK(on.ended->value() == 42);
}

TEST_CASE("within() counts from the call") {
    bench on;
    auto work = ringtls::within(on.loop, 5s, on.sleeper(1h));
    on.clock.advance(4s);
    const auto run = [&]() -> started { on.ended.emplace(co_await as_result(std::move(work))); };
    const auto whole = run();
    on.pass(1s);
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("A time beyond what the clock can tell limits nothing") {
    bench on;
    const auto run = [&]() -> started {
        on.ended.emplace(co_await as_result(
            ringtls::within(on.loop, std::chrono::hours::max(), on.sleeper(1h))));
    };
    const auto whole = run();
    on.pass(1h);
    CHECK(on.ended->value() == 42);
}

TEST_CASE("Deadlines within deadlines: the earlier counts") {
    for (const bool inner_first : {true, false}) {
        CAPTURE(inner_first);
        bench on;
        std::string which;
        const auto inner = [&](std::stop_token stop) -> task<int> {
            const auto slept = co_await as_result(with_limits(
                on.loop, limits(on.by(inner_first ? 5s : 9s)).cancel_on(stop), on.sleeper(1h)));
            which = slept.has_value() ? "none" : slept.error().code().message();
            co_return 1;
        };
        const auto whole = on.start(on.by(inner_first ? 9s : 5s), inner);
        on.pass(5s);
        REQUIRE(whole.ended());
        CHECK(which == make_error_code(inner_first ? errc::timed_out : errc::canceled).message());
    }
}

TEST_CASE("What is called is kept until the work has ended") {
    bench on;
    gate entrance;
    const auto value = std::make_shared<int>(5);
    const std::weak_ptr<int> seen = value;
    const auto run = [&](std::shared_ptr<int> held) -> started {
        auto work = [&entrance, held = std::move(held)](std::stop_token) -> task<int> {
            co_await entrance.passed();
            co_return *held;
        };
        auto limited = ringtls::within(on.loop, 5s, std::move(work));
        on.ended.emplace(co_await as_result(std::move(limited)));
    };
    const auto whole = run(std::make_shared<int>(6));
    entrance.open();
    CHECK(on.ended->value() == 6);
}

TEST_CASE("Destroying the frame destroys the work, wherever it stands") {
    for (int struck = 0; struck < 4; ++struck) {
        CAPTURE(struck);
        bench on;
        auto whole = on.start(on.by(5s), on.sleeper(1h));
        if (struck >= 1)
            on.turn();
        if (struck == 2)
            on.parent.request_stop(); // the sleep is about to resume
        if (struck == 3)
            on.clock.advance(5s);
        whole.destroy();
        on.pass(1h);
        CHECK_FALSE(on.told);
        CHECK_FALSE(on.ended.has_value());
    }
}

TEST_CASE("A stop at the deadline may destroy the frame there and then") {
    bench on;
    gate never;
    started whole;
    const auto work = [&](std::stop_token stop) -> task<int> {
        const std::stop_callback strike(stop, [&] { whole.destroy(); });
        co_await never.passed();
        co_return 1;
    };
    whole = on.start(on.by(5s), work);
    on.pass(5s);
    CHECK(whole.ended());
    CHECK_FALSE(on.ended.has_value());
}

TEST_CASE("A stop of the caller's may destroy the frame there and then, before others hear of it") {
    bench on;
    gate never;
    started whole;
    bool heard = false;
    const auto work = [&](std::stop_token stop) -> task<int> {
        const std::stop_callback later(stop, [&] { heard = true; });
        // Made last, called first.
        const std::stop_callback strike(stop, [&] { whole.destroy(); });
        co_await never.passed();
        co_return 1;
    };
    whole = on.start(on.by(5s), work);
    on.parent.request_stop();
    CHECK(whole.ended());
    CHECK_FALSE(heard);
    CHECK_FALSE(on.ended.has_value());
}

TEST_CASE("run() goes on for the deadline of work that waits for something else") {
    event_loop loop;
    gate never;
    bool told = false;
    const auto work = [&](std::stop_token stop) -> task<> {
        const std::stop_callback opens(stop, [&] {
            told = true;
            never.open();
        });
        co_await never.passed();
    };
    const auto run = [&]() -> started { co_await ringtls::within(loop, 1ms, work); };
    const auto whole = run();
    loop.run();
    CHECK(told);
    CHECK(whole.ended());
    loop.run(); // nothing is left
}

TEST_CASE("A stop requested by another thread ends the work") {
    event_loop loop;
    const ringtls::test::pipe_ends pipe;
    for (int round = 0; round < 100; ++round) {
        std::stop_source parent;
        std::optional<ringtls::result<void>> ended;
        loop.run([&]() -> task<> {
            const std::jthread other([&] { parent.request_stop(); });
            limits by;
            by.until(loop.now() + 1h).cancel_on(parent.get_token());
            auto work = with_limits(loop, by, [&](std::stop_token stop) -> task<> {
                co_await loop.poll(pipe.reader.fd(), ringtls::poll_events::readable)
                    .cancel_on(stop);
            });
            ended.emplace(co_await as_result(std::move(work)));
        }());
        REQUIRE_FALSE(ended->has_value());
        CHECK(ended->error().code() == errc::canceled);
    }
}
