// SPDX-License-Identifier: MIT
#include <ringtls/coro/when_all.hpp>

#include "../started.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace {

using ringtls::task;
using ringtls::when_all;
using ringtls::test::gate;
using ringtls::test::started;

template<class T>
task<T> ready(T value) {
    co_return std::move(value);
}

template<class T>
task<T> after(gate& entrance, T value) {
    co_await entrance.passed();
    co_return std::move(value);
}

task<> pass(gate& entrance) {
    co_await entrance.passed();
}

task<> fail_after(gate& entrance, std::string why) {
    co_await entrance.passed();
    throw std::runtime_error(why);
}

struct leaver {
    int* left;
    ~leaver() { ++*left; }
};

} // namespace

TEST_CASE("when_all completes with a tuple of the values, in the order of the tasks") {
    std::tuple<int, std::string> values;
    const auto run = [&]() -> started {
        values = co_await when_all(ready(1), ready<std::string>("b"));
    };
    const auto whole = run();
    REQUIRE(whole.ended());
    whole.check();
    CHECK(values == std::tuple(1, std::string("b")));
}

TEST_CASE("when_all gives a monostate for a task without a value") {
    gate entrance;
    bool done = false;
    const auto run = [&]() -> started {
        const std::tuple<std::monostate, int> values = co_await when_all(pass(entrance), ready(2));
        done = std::get<1>(values) == 2;
    };
    const auto whole = run();
    CHECK_FALSE(whole.ended());
    entrance.open();
    CHECK(done);
}

TEST_CASE("when_all starts every task before it waits for one") {
    gate first;
    gate second;
    const auto run = [&]() -> started { co_await when_all(pass(first), pass(second)); };
    const auto whole = run();
    CHECK(first.has_waiter());
    CHECK(second.has_waiter());
}

TEST_CASE("when_all completes when the last task ends, in whatever order they end") {
    gate first;
    gate second;
    std::tuple<int, int> values;
    const auto run = [&]() -> started {
        values = co_await when_all(after(first, 1), after(second, 2));
    };
    const auto whole = run();
    second.open();
    CHECK_FALSE(whole.ended());
    first.open();
    CHECK(whole.ended());
    CHECK(values == std::tuple(1, 2));
}

TEST_CASE("when_all takes values that can only be moved") {
    int sum = 0;
    const auto run = [&]() -> started {
        auto [a, b] =
            co_await when_all(ready(std::make_unique<int>(1)), ready(std::make_unique<int>(2)));
        sum = *a + *b;
    };
    const auto whole = run();
    whole.check();
    CHECK(sum == 3);
}

TEST_CASE("when_all of a vector completes with a vector in the same order") {
    gate entrance;
    std::vector<int> values;
    const auto run = [&]() -> started {
        std::vector<task<int>> work;
        work.push_back(after(entrance, 1));
        work.push_back(ready(2));
        work.push_back(ready(3));
        values = co_await when_all(std::move(work));
    };
    const auto whole = run();
    CHECK_FALSE(whole.ended());
    entrance.open();
    CHECK(values == std::vector{1, 2, 3});
}

TEST_CASE("when_all of a vector of tasks without values completes with nothing") {
    gate entrance;
    const auto run = [&]() -> started {
        std::vector<task<>> work;
        work.push_back(pass(entrance));
        work.push_back(pass(entrance));
        co_await when_all(std::move(work));
    };
    const auto whole = run();
    CHECK_FALSE(whole.ended());
}

TEST_CASE("when_all of no tasks completes at once") {
    bool of_vector = false;
    bool of_nothing = false;
    const auto run = [&]() -> started {
        const auto values = co_await when_all(std::vector<task<int>>());
        of_vector = values.empty();
        co_await when_all(std::vector<task<>>());
        of_nothing = true;
    };
    const auto whole = run();
    whole.check();
    CHECK(of_vector);
    CHECK(of_nothing);
}

TEST_CASE("when_all waits for the other tasks when one has thrown") {
    gate first;
    gate second;
    const auto run = [&]() -> started {
        co_await when_all(fail_after(first, "first"), pass(second));
    };
    const auto whole = run();
    first.open();
    CHECK_FALSE(whole.ended());
    second.open();
    REQUIRE(whole.ended());
    CHECK_THROWS_WITH_AS(whole.check(), "first", std::runtime_error);
}

TEST_CASE("when_all throws what was thrown first in time, not in order") {
    gate first;
    gate second;
    const auto run = [&]() -> started {
        co_await when_all(fail_after(first, "later"), fail_after(second, "earlier"));
    };
    const auto whole = run();
    second.open();
    first.open();
    REQUIRE(whole.ended());
    CHECK_THROWS_WITH_AS(whole.check(), "earlier", std::runtime_error);
}

TEST_CASE("when_all of a vector throws after the last has ended") {
    gate first;
    gate second;
    const auto run = [&]() -> started {
        std::vector<task<>> work;
        work.push_back(fail_after(first, "one"));
        work.push_back(fail_after(second, "two"));
        co_await when_all(std::move(work));
    };
    const auto whole = run();
    first.open();
    CHECK_FALSE(whole.ended());
    second.open();
    CHECK_THROWS_WITH_AS(whole.check(), "one", std::runtime_error);
}

TEST_CASE("Destroying a frame that waits in when_all destroys all of its tasks") {
    gate first;
    gate second;
    int left = 0;
    const auto part = [&left](gate& entrance) -> task<> {
        const leaver here{&left};
        co_await entrance.passed();
    };
    const auto run = [&]() -> started { co_await when_all(part(first), part(second)); };
    auto whole = run();
    CHECK(left == 0);
    whole.destroy();
    CHECK(left == 2);
}

TEST_CASE("Destroying a frame that waits in when_all of a vector destroys all of its tasks") {
    gate first;
    gate second;
    int left = 0;
    const auto part = [&left](gate& entrance) -> task<> {
        const leaver here{&left};
        co_await entrance.passed();
    };
    const auto run = [&]() -> started {
        std::vector<task<>> work;
        work.push_back(part(first));
        work.push_back(part(second));
        co_await when_all(std::move(work));
    };
    auto whole = run();
    second.open();
    CHECK(left == 1);
    whole.destroy();
    CHECK(left == 2);
}

TEST_CASE("when_all inside when_all completes as a whole") {
    gate entrance;
    int sum = 0;
    const auto run = [&]() -> started {
        const auto values = co_await when_all(when_all(ready(1), after(entrance, 2)), ready(3));
        const auto& [inner, last] = values;
        sum = std::get<0>(inner) + std::get<1>(inner) + last;
    };
    const auto whole = run();
    CHECK(sum == 0);
    entrance.open();
    CHECK(sum == 6);
}
