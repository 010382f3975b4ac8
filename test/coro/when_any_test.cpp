// SPDX-License-Identifier: MIT
#include <ringtls/coro/when_any.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::errc;
using ringtls::task;
using ringtls::when_any;
using ringtls::test::gate;
using ringtls::test::started;

template<class T>
using work_of = std::function<task<T>(std::stop_token)>;

/// Ends when its gate is opened, whether it was told to stop or not.
template<class T>
auto after(gate& entrance, T value) {
    return [&entrance, held = std::move(value)](std::stop_token /*stop*/) mutable -> task<T> {
        co_await entrance.passed();
        co_return std::move(held);
    };
}

auto pass(gate& entrance) {
    return [&entrance](std::stop_token /*stop*/) -> task<> { co_await entrance.passed(); };
}

auto fail_after(gate& entrance, std::string why) {
    return [&entrance, why = std::move(why)](std::stop_token /*stop*/) -> task<> {
        co_await entrance.passed();
        throw std::runtime_error(why);
    };
}

/// Notes how often its kind was destroyed.
struct leaver {
    int* left;
    explicit leaver(int& count) : left(&count) {}
    leaver(leaver&& other) noexcept : left(std::exchange(other.left, nullptr)) {}
    leaver& operator=(leaver&&) = delete;
    ~leaver() {
        if (left)
            ++*left;
    }
};

/// A loop whose time stands still, and sleeps that heed their token.
struct sleepers {
    ringtls::manual_clock clock;
    ringtls::event_loop loop{ringtls::event_loop_options().clock(clock)};
    int canceled = 0;

    template<class T>
    auto sleeper(std::chrono::seconds time, T value) {
        return [this, time, value](std::stop_token stop) -> task<T> {
            const auto slept =
                co_await ringtls::as_result(loop.sleep(time).cancel_on(std::move(stop)));
            canceled += slept.has_value() ? 0 : 1;
            slept.value();
            co_return value;
        };
    }
    void pass(std::chrono::seconds time) {
        loop.run([](sleepers& self, std::chrono::seconds by) -> task<> {
            self.clock.advance(by);
            for (int i = 0; i < 5; ++i)
                co_await self.loop.yield();
        }(*this, time));
    }
};

} // namespace

TEST_CASE("when_any completes with the value of the first to end, and says which that was") {
    for (const int first : {0, 1}) {
        CAPTURE(first);
        sleepers on;
        std::optional<std::variant<int, std::string>> ended;
        const auto run = [&]() -> started {
            ended.emplace(co_await when_any(on.sleeper(first == 0 ? 1s : 2s, 7),
                                            on.sleeper<std::string>(first == 0 ? 2s : 1s, "b")));
        };
        const auto whole = run();
        on.pass(0s);
        CHECK_FALSE(whole.ended());
        on.pass(1s);
        REQUIRE(whole.ended());
        whole.check();
        CHECK(ended == (first == 0 ? std::variant<int, std::string>(7) : "b"));
        CHECK(on.canceled == 1);
    }
}

TEST_CASE("when_any tells two of one type apart, and gives a monostate where there is no value") {
    gate first;
    gate second;
    gate third;
    second.open();
    first.open();
    third.open();
    std::size_t index = 9;
    const auto run = [&]() -> started {
        const std::variant<std::monostate, std::monostate, int> ended =
            co_await when_any(pass(first), pass(second), after(third, 1));
        index = ended.index();
    };
    const auto whole = run();
    CHECK(index == 0);
}

TEST_CASE("when_any waits for the others when one has ended") {
    gate first;
    gate second;
    gate third;
    std::variant<int, int, int> ended;
    const auto run = [&]() -> started {
        ended = co_await when_any(after(first, 1), after(second, 2), after(third, 3));
    };
    const auto whole = run();
    second.open();
    CHECK_FALSE(whole.ended());
    third.open();
    CHECK_FALSE(whole.ended());
    first.open();
    REQUIRE(whole.ended());
    CHECK(ended.index() == 1);
    CHECK(std::get<1>(ended) == 2);
}

TEST_CASE("when_any tells the others to stop as soon as one has ended") {
    gate first;
    gate second;
    std::stop_token told;
    const auto listener = [&](std::stop_token stop) -> task<> {
        told = stop;
        co_await second.passed();
    };
    const auto run = [&]() -> started { co_await when_any(pass(first), listener); };
    const auto whole = run();
    CHECK_FALSE(told.stop_requested());
    first.open();
    CHECK(told.stop_requested());
    CHECK_FALSE(whole.ended());
    second.open();
    CHECK(whole.ended());
}

TEST_CASE("when_any does not start what is behind one that ended at once") {
    gate open;
    open.open();
    int begun = 0;
    const auto beginner = [&](std::stop_token /*stop*/) -> task<> {
        ++begun;
        co_return;
    };
    std::size_t index = 9;
    const auto run = [&]() -> started {
        const auto ended = co_await when_any(beginner, beginner, pass(open));
        index = ended.index();
    };
    const auto whole = run();
    REQUIRE(whole.ended());
    CHECK(begun == 1);
    CHECK(index == 0);
}

TEST_CASE("when_any throws what the first to end threw, after the last has ended") {
    gate first;
    gate second;
    const auto run = [&]() -> started {
        co_await when_any(fail_after(first, "first"), after(second, 2));
    };
    const auto whole = run();
    first.open();
    CHECK_FALSE(whole.ended());
    second.open();
    REQUIRE(whole.ended());
    CHECK_THROWS_WITH_AS(whole.check(), "first", std::runtime_error);
}

TEST_CASE("when_any throws what the making of a task threw") {
    const auto refusing = [](std::stop_token /*stop*/) -> task<int> {
        throw std::runtime_error("no task");
    };
    gate never;
    const auto run = [&]() -> started { co_await when_any(refusing, pass(never)); };
    const auto whole = run();
    REQUIRE(whole.ended());
    CHECK_THROWS_WITH_AS(whole.check(), "no task", std::runtime_error);
    CHECK_FALSE(never.has_waiter());
}

TEST_CASE("when_any drops what the others throw") {
    gate first;
    gate second;
    std::size_t index = 9;
    const auto run = [&]() -> started {
        const auto ended = co_await when_any(fail_after(second, "late"), pass(first));
        index = ended.index();
    };
    const auto whole = run();
    first.open();
    second.open();
    REQUIRE(whole.ended());
    whole.check();
    CHECK(index == 1);
}

TEST_CASE("when_any destroys the value of another at once") {
    gate first;
    gate second;
    gate third;
    int left = 0;
    const auto run = [&]() -> started {
        co_await when_any(pass(first), after(second, leaver(left)), pass(third));
    };
    const auto whole = run();
    first.open();
    second.open();
    CHECK_FALSE(whole.ended());
    CHECK(left == 1);
    third.open();
    CHECK(whole.ended());
    CHECK(left == 1);
}

TEST_CASE("when_any takes values that can only be moved") {
    gate open;
    open.open();
    int value = 0;
    const auto run = [&]() -> started {
        auto ended = co_await when_any(after(open, std::make_unique<int>(3)), pass(open));
        value = *std::get<0>(ended);
    };
    const auto whole = run();
    whole.check();
    CHECK(value == 3);
}

TEST_CASE("when_any of a vector completes with an index and a value") {
    sleepers on;
    std::optional<ringtls::first_ended<int>> ended;
    const auto run = [&]() -> started {
        std::vector<work_of<int>> work;
        for (int i = 0; i < 5; ++i)
            work.emplace_back(on.sleeper(i == 3 ? 1s : 10s, 100 + i));
        ended.emplace(co_await when_any(std::move(work)));
    };
    const auto whole = run();
    on.pass(1s);
    REQUIRE(whole.ended());
    whole.check();
    CHECK(ended->index == 3);
    CHECK(ended->value == 103);
    CHECK(on.canceled == 4);
}

TEST_CASE("when_any of a vector without values completes with an index") {
    gate first;
    gate second;
    std::size_t index = 9;
    const auto run = [&]() -> started {
        std::vector<work_of<void>> work;
        work.emplace_back(pass(first));
        work.emplace_back(pass(second));
        const auto ended = co_await when_any(std::move(work));
        index = ended.index;
    };
    const auto whole = run();
    second.open();
    CHECK_FALSE(whole.ended());
    first.open();
    REQUIRE(whole.ended());
    CHECK(index == 1);
}

TEST_CASE("when_any of an empty vector is refused") {
    const auto run = []() -> started { co_await when_any(std::vector<work_of<int>>()); };
    const auto whole = run();
    REQUIRE(whole.ended());
    try {
        whole.check();
        FAIL("nothing was thrown");
    } catch (const ringtls::error& refused) {
        CHECK(refused.code() == std::errc::invalid_argument);
        CHECK(refused.operation() == "when_any");
    }
}

TEST_CASE("A stop of the caller's reaches everything in when_any") {
    for (const bool before : {true, false}) {
        CAPTURE(before);
        sleepers on;
        std::stop_source source;
        const auto run = [&]() -> started {
            co_await when_any(source.get_token(), on.sleeper(1s, 1), on.sleeper(2s, 2));
        };
        if (before)
            source.request_stop();
        const auto whole = run();
        source.request_stop();
        on.pass(0s);
        REQUIRE(whole.ended());
        CHECK(on.canceled == (before ? 1 : 2)); // the first ends at once, the second never starts
        try {
            whole.check();
            FAIL("nothing was thrown");
        } catch (const ringtls::error& failure) {
            CHECK(failure.code() == errc::canceled);
        }
    }
}

TEST_CASE("A stop of the caller's reaches everything in when_any of a vector") {
    sleepers on;
    std::stop_source source;
    const auto run = [&]() -> started {
        std::vector<work_of<int>> work(3, on.sleeper(1s, 1));
        co_await when_any(source.get_token(), std::move(work));
    };
    const auto whole = run();
    source.request_stop();
    on.pass(0s);
    CHECK(whole.ended());
    CHECK(on.canceled == 3);
}

TEST_CASE("A stop requested by another thread ends everything in when_any") {
    ringtls::event_loop loop;
    const ringtls::test::pipe_ends pipe;
    for (int round = 0; round < 100; ++round) {
        std::stop_source source;
        std::jthread other;
        const auto reader = [&](std::stop_token stop) -> task<> {
            co_await loop.poll(pipe.reader.fd(), ringtls::poll_events::readable).cancel_on(stop);
        };
        const auto run =
            [&]() -> task<ringtls::result<std::variant<std::monostate, std::monostate>>> {
            other = std::jthread([&] { source.request_stop(); });
            co_return co_await ringtls::as_result(when_any(source.get_token(), reader, reader));
        };
        const auto ended = loop.run(run());
        REQUIRE_FALSE(ended.has_value());
        CHECK(ended.error().code() == errc::canceled);
    }
}

TEST_CASE("Destroying a frame that waits in when_any destroys everything in it") {
    for (const int ended_before : {0, 1, 2}) {
        CAPTURE(ended_before);
        std::vector<gate> gates(3);
        int left = 0;
        const auto stayer = [&left](gate& entrance) {
            return [&left, &entrance](std::stop_token /*stop*/) -> task<int> {
                const leaver here(left);
                co_await entrance.passed();
                co_return 1;
            };
        };
        const auto run = [&](bool of_vector) -> started {
            if (of_vector) {
                std::vector<work_of<int>> work;
                for (auto& each : gates)
                    work.emplace_back(stayer(each));
                co_await when_any(std::move(work));
            } else {
                co_await when_any(stayer(gates[0]), stayer(gates[1]), stayer(gates[2]));
            }
        };
        for (const bool of_vector : {true, false}) {
            gates = std::vector<gate>(3);
            left = 0;
            auto whole = run(of_vector);
            for (int i = 0; i < ended_before; ++i)
                gates[static_cast<std::size_t>(i)].open();
            CHECK(left == ended_before);
            whole.destroy();
            CHECK(left == 3);
        }
    }
}

TEST_CASE("when_any inside when_any is stopped as a whole") {
    sleepers on;
    gate first;
    const auto inner = [&](std::stop_token stop) -> task<> {
        co_await when_any(stop, on.sleeper(1s, 1), on.sleeper(1s, 2));
    };
    const auto run = [&]() -> started { co_await when_any(pass(first), inner); };
    const auto whole = run();
    first.open();
    on.pass(0s);
    CHECK(whole.ended());
    CHECK(on.canceled == 2);
}

TEST_CASE("What when_any runs is told by what it is called with, and what that makes") {
    static_assert(ringtls::stoppable_work<work_of<int>>);
    static_assert(std::is_same_v<ringtls::work_value<work_of<int>>, int>);
    static_assert(!ringtls::stoppable_work<std::function<task<int>()>>);
    static_assert(!ringtls::stoppable_work<std::function<int(std::stop_token)>>);
    static_assert(!ringtls::stoppable_work<std::stop_token>);
}
