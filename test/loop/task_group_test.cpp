// SPDX-License-Identifier: MIT
#include <ringtls/loop/task_group.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_all.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::result;
using ringtls::task;
using ringtls::task_group;
using ringtls::test::gate;
using ringtls::test::started;

/// Counts the objects that live.
struct counted {
    int* alive;
    explicit counted(int& count) : alive(&count) { ++*alive; }
    counted(const counted& other) noexcept : alive(other.alive) { ++*alive; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive; }
};

/// A loop whose time stands still, a group on it, and what came of joining it.
struct bench {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    std::stop_source parent;
    std::optional<task_group> group{std::in_place, loop, parent.get_token()};
    int begun = 0;
    int canceled = 0;

    [[nodiscard]] started join() { co_await group->join(); }
    /// Lets the loop run through everything that is ready.
    void turn() {
        loop.run([](event_loop& on) -> task<> {
            for (int i = 0; i < 5; ++i)
                co_await on.yield();
        }(loop));
    }
    /// Sleeps, and notes it if it is told to stop.
    [[nodiscard]] auto sleeper(ringtls::loop_clock::duration time) {
        return [this, time](std::stop_token stop) -> task<> {
            ++begun;
            const auto slept = co_await as_result(loop.sleep(time).cancel_on(std::move(stop)));
            canceled += slept.has_value() ? 0 : 1;
            slept.value();
        };
    }
    [[nodiscard]] static auto thrower(std::string what) {
        return [what = std::move(what)](std::stop_token /*stop*/) -> task<> {
            throw std::runtime_error(what);
            co_return;
        };
    }
};

task<> pass(gate& entrance) {
    co_await entrance.passed();
}

std::error_code code_of(const started& ended) {
    REQUIRE(ended.ended());
    try {
        ended.check();
    } catch (const ringtls::error& failure) {
        return failure.code();
    }
    return {};
}

} // namespace

TEST_CASE("A group's task starts at the loop's next turn") {
    bench on;
    on.group->spawn(on.sleeper(1s));
    CHECK(on.begun == 0);
    CHECK(on.group->size() == 1);
    on.turn();
    CHECK(on.begun == 1);
}

TEST_CASE("join() completes when the last task has ended, in whatever order they end") {
    bench on;
    gate first;
    gate second;
    on.group->spawn(pass(first));
    on.group->spawn(pass(second));
    const auto joined = on.join();
    on.turn();
    CHECK(on.group->size() == 2);
    second.open();
    on.turn();
    CHECK(on.group->size() == 1);
    CHECK_FALSE(joined.ended());
    first.open();
    on.turn();
    CHECK(on.group->size() == 0);
    REQUIRE(joined.ended());
    joined.check();
}

TEST_CASE("join() of a group without tasks completes at once") {
    bench on;
    CHECK(on.join().ended());
}

TEST_CASE("join() waits for tasks that are spawned while it waits") {
    bench on;
    gate first;
    gate second;
    const auto spawner = [&](std::stop_token /*stop*/) -> task<> {
        co_await first.passed();
        on.group->spawn(pass(second));
    };
    on.group->spawn(spawner);
    const auto joined = on.join();
    on.turn();
    first.open();
    on.turn();
    CHECK_FALSE(joined.ended());
    second.open();
    on.turn();
    CHECK(joined.ended());
}

TEST_CASE("join() goes on waiting if a task is spawned before it has resumed") {
    bench on;
    gate first;
    gate second;
    on.group->spawn(pass(first));
    const auto joined = on.join();
    on.turn();
    first.open(); // the last ends: join() is to look, in the loop's next turn
    on.group->spawn(pass(second));
    on.turn();
    CHECK_FALSE(joined.ended());
    second.open();
    on.turn();
    CHECK(joined.ended());
}

TEST_CASE("The first error stops the other tasks, and join() throws it after the last has ended") {
    bench on;
    gate slow;
    gate fault;
    const auto failing = [&](std::stop_token /*stop*/) -> task<> {
        co_await fault.passed();
        throw std::runtime_error("the first");
    };
    const auto late = [&](std::stop_token /*stop*/) -> task<> {
        co_await slow.passed();
        throw std::runtime_error("a later one");
    };
    on.group->spawn(late);
    on.group->spawn(failing);
    on.group->spawn(on.sleeper(1h));
    const auto joined = on.join();
    on.turn();
    CHECK_FALSE(on.group->token().stop_requested());
    fault.open();
    CHECK(on.group->token().stop_requested());
    on.turn();
    CHECK(on.canceled == 1);
    CHECK(on.group->size() == 1);
    CHECK_FALSE(joined.ended());
    slow.open();
    on.turn();
    REQUIRE(joined.ended());
    CHECK_THROWS_WITH_AS(joined.check(), "the first", std::runtime_error);
    const auto again = on.join();
    REQUIRE(again.ended());
    CHECK_THROWS_WITH_AS(again.check(), "the first", std::runtime_error);
}

TEST_CASE("What is called to make a task may throw as the task may") {
    bench on;
    const auto refusing = [](std::stop_token /*stop*/) -> task<> {
        throw std::runtime_error("no task");
    };
    on.group->spawn(refusing);
    const auto joined = on.join();
    on.turn();
    REQUIRE(joined.ended());
    CHECK_THROWS_WITH_AS(joined.check(), "no task", std::runtime_error);
}

TEST_CASE("as_result() of join() gives the error that a task threw") {
    bench on;
    const auto failing = [](std::stop_token /*stop*/) -> task<> {
        throw ringtls::error(errc::truncated, "read");
        co_return;
    };
    on.group->spawn(failing);
    const auto joined = on.loop.run([](task_group& group) -> task<result<void>> {
        co_return co_await as_result(group.join());
    }(*on.group));
    REQUIRE_FALSE(joined.has_value());
    CHECK(joined.error().code() == errc::truncated);
    CHECK(joined.error().operation() == "read");
}

TEST_CASE("A stop of the group is passed to all tasks, and is no error") {
    bench on;
    on.group->spawn(on.sleeper(1h));
    on.group->spawn(on.sleeper(2h));
    const auto joined = on.join();
    on.turn();
    on.group->request_stop();
    CHECK(on.group->size() == 2);
    on.turn();
    CHECK(on.canceled == 2);
    REQUIRE(joined.ended());
    joined.check();
}

TEST_CASE("A stop of the parent's is passed to all tasks, and is no error") {
    bench on;
    on.group->spawn(on.sleeper(1h));
    const auto joined = on.join();
    on.turn();
    on.parent.request_stop();
    on.turn();
    CHECK(on.canceled == 1);
    REQUIRE(joined.ended());
    joined.check();
}

TEST_CASE("A cancel without a stop of the group is an error like any other") {
    bench on;
    const auto canceled = [](std::stop_token /*stop*/) -> task<> {
        throw ringtls::error(errc::canceled, "read");
        co_return;
    };
    on.group->spawn(canceled);
    const auto joined = on.join();
    on.turn();
    CHECK(code_of(joined) == errc::canceled);
    CHECK(on.group->token().stop_requested());
}

TEST_CASE("An error other than a cancel counts after a stop, too") {
    bench on;
    gate entrance;
    const auto failing = [&](std::stop_token /*stop*/) -> task<> {
        co_await entrance.passed();
        throw ringtls::error(errc::truncated, "read");
    };
    on.group->spawn(failing);
    const auto joined = on.join();
    on.turn();
    on.group->request_stop();
    entrance.open();
    on.turn();
    CHECK(code_of(joined) == errc::truncated);
}

TEST_CASE("A task that is spawned after a stop starts with a token that says so") {
    bench on;
    on.group->request_stop();
    on.group->spawn(on.sleeper(1h));
    const auto joined = on.join();
    on.turn();
    CHECK(on.begun == 1);
    CHECK(on.canceled == 1);
    REQUIRE(joined.ended());
    joined.check();
}

TEST_CASE("on_error() takes every error, and the other tasks go on") {
    bench on;
    std::vector<std::string> errors;
    on.group->on_error([&](const std::exception_ptr& thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& failure) {
            errors.emplace_back(failure.what());
        }
    });
    on.group->spawn(on.sleeper(1h));
    on.group->spawn(bench::thrower("one"));
    on.group->spawn(bench::thrower("two"));
    const auto joined = on.join();
    on.turn();
    CHECK(errors == std::vector<std::string>{"one", "two"});
    CHECK(on.group->size() == 1);
    CHECK_FALSE(on.group->token().stop_requested());
    on.group->request_stop();
    on.turn();
    CHECK(errors.size() == 2); // the cancel is none
    REQUIRE(joined.ended());
    joined.check();
}

TEST_CASE("What on_error()'s handler throws stops the group, and join() throws it") {
    bench on;
    on.group->on_error([](const std::exception_ptr&) { throw std::runtime_error("too much"); });
    on.group->spawn(on.sleeper(1h));
    on.group->spawn(bench::thrower("one"));
    const auto joined = on.join();
    on.turn();
    CHECK(on.canceled == 1);
    REQUIRE(joined.ended());
    CHECK_THROWS_WITH_AS(joined.check(), "too much", std::runtime_error);
}

TEST_CASE("A handler may spawn, and replace itself") {
    bench on;
    int called = 0;
    const auto heap = std::make_shared<int>(0); // which the sanitizer sees if the handler is gone
    on.group->on_error([&, heap](const std::exception_ptr&) {
        on.group->on_error([&](const std::exception_ptr&) { called += 10; });
        on.group->spawn(bench::thrower("two"));
        called += ++*heap;
    });
    on.group->spawn(bench::thrower("one"));
    on.turn();
    CHECK(called == 11);
}

TEST_CASE("join() gives up at its own deadline or stop, and the tasks go on") {
    bench on;
    on.group->spawn(on.sleeper(1h));
    const auto join_within = [&]() -> started { co_await on.group->join().within(5s); };
    const auto timed = join_within();
    on.turn();
    on.clock.advance(5s);
    on.turn();
    CHECK(code_of(timed) == errc::timed_out);
    std::stop_source source;
    const auto join_with = [&]() -> started {
        co_await on.group->join().cancel_on(source.get_token());
    };
    const auto stopped = join_with();
    source.request_stop();
    on.turn();
    CHECK(code_of(stopped) == errc::canceled);
    CHECK(on.group->size() == 1);
    CHECK_FALSE(on.group->token().stop_requested());
    const auto joined = on.join();
    on.group->request_stop();
    on.turn();
    CHECK(code_of(joined) == std::error_code());
}

TEST_CASE("A second join() at the same time is refused, and disturbs nothing") {
    bench on;
    on.group->spawn(on.sleeper(1s));
    const auto first = on.join();
    CHECK(code_of(on.join()) == errc::busy);
    on.turn();
    on.clock.advance(1s);
    on.turn();
    CHECK(code_of(first) == std::error_code());
}

TEST_CASE("Destroying a frame that waits in join() leaves the tasks as they are") {
    bench on;
    on.group->spawn(on.sleeper(1s));
    auto joined = on.join();
    on.turn();
    joined.destroy();
    on.clock.advance(1s);
    on.turn();
    CHECK(on.group->size() == 0);
    CHECK(on.join().ended());
}

TEST_CASE("Destroying a frame whose join() is about to resume is safe") {
    bench on;
    gate entrance;
    on.group->spawn(pass(entrance));
    auto joined = on.join();
    on.turn();
    entrance.open();
    joined.destroy();
    on.turn();
    CHECK(on.group->size() == 0);
}

TEST_CASE("Destroying a group destroys its tasks, whether they have started or not") {
    bench on;
    gate never;
    int alive = 0;
    const auto stayer = [&, held = counted(alive)](std::stop_token /*stop*/) -> task<> {
        const counted here(alive);
        co_await never.passed();
    };
    const int outside = alive;
    on.group->spawn(stayer);
    on.group->spawn(stayer);
    on.turn();
    on.group->spawn(stayer);
    CHECK(alive == outside + 3 + 2);
    on.group.reset();
    CHECK(alive == outside);
    on.turn();
}

TEST_CASE(
    "Destroying a group whose tasks wait for the kernel, for time and to be resumed is safe") {
    bench on;
    const ringtls::test::pipe_ends pipe;
    on.group->spawn([&](std::stop_token stop) -> task<> {
        co_await on.loop.poll(pipe.reader.fd(), ringtls::poll_events::readable).cancel_on(stop);
    });
    on.group->spawn(on.sleeper(1s));
    on.turn();
    on.group->request_stop(); // now all of them are to be resumed
    on.group->spawn(on.sleeper(1s));
    on.group.reset();
    pipe.writer.put("x");
    on.clock.advance(1s);
    on.turn();
    CHECK(on.canceled == 0);
}

TEST_CASE("Destroying a group ends join() in another coroutine with a cancel") {
    bench on;
    on.group->spawn(on.sleeper(1s));
    const auto joined = on.join();
    on.turn();
    on.group.reset();
    on.turn();
    CHECK(code_of(joined) == errc::canceled);
}

TEST_CASE("Who has joined a group may destroy it there and then") {
    bench on;
    on.group->spawn(on.sleeper(1s));
    const auto run = [&]() -> started {
        co_await on.group->join();
        on.group.reset();
    };
    const auto whole = run();
    on.turn();
    on.clock.advance(1s);
    on.turn();
    CHECK(code_of(whole) == std::error_code());
    CHECK_FALSE(on.group.has_value());
}

TEST_CASE("A group in a task's frame goes with it, and its tasks with the group") {
    gate never;
    int alive = 0;
    {
        event_loop loop;
        const auto stayer = [&](std::stop_token /*stop*/) -> task<> {
            const counted here(alive);
            co_await never.passed();
        };
        const auto owner = [&]() -> task<> {
            task_group group(loop);
            group.spawn(stayer);
            group.spawn(stayer);
            co_await group.join();
        };
        loop.spawn(owner());
        loop.run([](event_loop& on) -> task<> { co_await on.yield(); }(loop));
        CHECK(alive == 2);
    }
    CHECK(alive == 0);
}

TEST_CASE("run() goes on while a group has tasks") {
    bench on;
    int ended = 0;
    const auto work = [&](std::stop_token /*stop*/) -> task<> {
        for (int i = 0; i < 3; ++i)
            co_await on.loop.yield();
        ++ended;
    };
    on.group->spawn(work);
    on.group->spawn(work);
    on.loop.run();
    CHECK(ended == 2);
    on.loop.run(); // nothing is left
}

TEST_CASE("What a task is called with is kept until it has ended, and not for longer") {
    bench on;
    gate entrance;
    int alive = 0;
    int seen = 0;
    on.group->spawn([&, held = counted(alive)](std::stop_token /*stop*/) -> task<> {
        co_await entrance.passed();
        seen = *held.alive;
    });
    on.turn();
    CHECK(alive == 1);
    entrance.open();
    CHECK(seen == 1);
    CHECK(alive == 0);
}

TEST_CASE("A hundred thousand tasks that end at once, or spawn each other, need no stack") {
    bench on;
    constexpr int many = 100'000;
    int ended = 0;
    for (int i = 0; i < many; ++i) {
        on.group->spawn([&](std::stop_token /*stop*/) -> task<> {
            ++ended;
            co_return;
        });
    }
    const auto chain = [&](const auto& self, int left) -> task<> {
        ++ended;
        if (left > 1)
            on.group->spawn(self(self, left - 1));
        co_return;
    };
    on.group->spawn(chain(chain, many));
    on.loop.run([](task_group& group) -> task<> { co_await group.join(); }(*on.group));
    CHECK(ended == 2 * many);
}

TEST_CASE("Wherever a group's tasks stand when it is destroyed, nothing is left") {
    int alive = 0;
    int reached_end = 0;
    for (int turns = 0; turns < 20; ++turns) {
        CAPTURE(turns);
        bench on;
        const auto nested = [&](const auto& self, int depth, std::stop_token stop) -> task<> {
            const counted here(alive);
            task_group below(on.loop, stop);
            for (int i = 0; i < 2 && depth > 0; ++i)
                below.spawn(self(self, depth - 1, below.token()));
            co_await on.loop.yield();
            const auto slept = co_await as_result(on.loop.sleep(0s).cancel_on(stop));
            static_cast<void>(slept);
            co_await below.join();
        };
        on.group->spawn(nested(nested, 3, on.group->token()));
        on.loop.run([](event_loop& loop, int count) -> task<> {
            for (int i = 0; i < count; ++i)
                co_await loop.yield();
        }(on.loop, turns));
        reached_end += on.group->size() == 0 ? 1 : 0;
        if (turns % 2 == 1)
            on.group->request_stop();
        on.group.reset();
        CHECK(alive == 0);
        on.turn();
    }
    CHECK(reached_end > 0);
    CHECK(reached_end < 20);
}

TEST_CASE("A stop requested by another thread ends a group's tasks") {
    event_loop loop;
    const ringtls::test::pipe_ends pipe;
    for (int round = 0; round < 100; ++round) {
        const bool by_parent = round % 2 == 0;
        std::stop_source parent;
        int canceled = 0;
        const auto reader = [&](std::stop_token stop) -> task<> {
            const auto answer = co_await as_result(
                loop.poll(pipe.reader.fd(), ringtls::poll_events::readable).cancel_on(stop));
            canceled += !answer && answer.error().code() == errc::canceled ? 1 : 0;
        };
        loop.run([&]() -> task<> {
            task_group group(loop, parent.get_token());
            for (int i = 0; i < 4; ++i)
                group.spawn(reader);
            const std::jthread other(
                [&] { by_parent ? parent.request_stop() : (group.request_stop(), true); });
            co_await group.join();
        }());
        CHECK(canceled == 4);
    }
}

TEST_CASE("A group is neither copied nor moved, and takes only tasks without a value") {
    static_assert(!std::is_copy_constructible_v<task_group>);
    static_assert(!std::is_move_constructible_v<task_group>);
    constexpr auto spawns = []<class Work>(Work) {
        return requires(task_group& group, Work work) { group.spawn(std::move(work)); };
    };
    CHECK(spawns([](std::stop_token) -> task<> { co_return; }));
    CHECK_FALSE(spawns([](std::stop_token) -> task<int> { co_return 1; }));
    CHECK_FALSE(spawns([]() -> task<> { co_return; }));
}
