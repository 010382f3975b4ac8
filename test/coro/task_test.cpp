// SPDX-License-Identifier: MIT
#include <ringtls/coro/task.hpp>

#include "../skip.hpp"
#include "../started.hpp"

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/listener.hpp>
#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/connect.hpp>
#include <ringtls/tls/pem.hpp>
#include <ringtls/tls/server_context.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using ringtls::task;
using ringtls::test::gate;
using ringtls::test::started;

/// Runs a task that ends without suspending; returns and throws what it does.
template<class T>
T run_now(task<T> work) {
    if constexpr (std::is_void_v<T>) {
        const auto run = [](task<T> inner) -> started { co_await std::move(inner); };
        const auto whole = run(std::move(work));
        REQUIRE(whole.ended());
        whole.check();
    } else if constexpr (std::is_reference_v<T>) {
        std::remove_reference_t<T>* place = nullptr;
        const auto run = [&place](task<T> inner) -> started {
            auto& value = co_await std::move(inner);
            place = &value;
        };
        const auto whole = run(std::move(work));
        REQUIRE(whole.ended());
        whole.check();
        return *place;
    } else {
        std::optional<T> place;
        const auto run = [&place](task<T> inner) -> started {
            place.emplace(co_await std::move(inner));
        };
        const auto whole = run(std::move(work));
        REQUIRE(whole.ended());
        whole.check();
        return *std::move(place);
    }
}

/// Counts the objects that live.
struct counted {
    int* alive;
    explicit counted(int& count) : alive(&count) { ++*alive; }
    counted(counted&& other) noexcept : alive(other.alive) { ++*alive; }
    counted(const counted& other) noexcept : alive(other.alive) { ++*alive; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive; }
};

task<> set(bool& flag) {
    flag = true;
    co_return;
}

/// The stack that calls of mark() have used.
class stack_use {
  public:
    [[gnu::noinline]] void mark() noexcept {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        lowest_ = std::min(lowest_, here);
        highest_ = std::max(highest_, here);
    }
    [[nodiscard]] std::uintptr_t bytes() const noexcept { return highest_ - lowest_; }

  private:
    std::uintptr_t lowest_ = UINTPTR_MAX;
    std::uintptr_t highest_ = 0;
};

task<int> marking(stack_use& stack) {
    stack.mark();
    co_return 1;
}

task<int> in_a_row(int times, stack_use& stack) {
    int sum = 0;
    for (int i = 0; i < times; ++i)
        sum += co_await marking(stack);
    co_return sum;
}

task<int> nested(int depth, stack_use& stack) {
    stack.mark();
    if (depth == 0)
        co_return 0;
    const int below = co_await nested(depth - 1, stack);
    stack.mark();
    co_return below + 1;
}

/// GCC makes no tail calls from functions that a sanitizer has instrumented so.
#if !defined(__clang__) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
constexpr bool tail_calls = false;
#else
constexpr bool tail_calls = true;
#endif

constexpr auto no_tail_calls = "GCC makes no tail calls with this sanitizer";

} // namespace

TEST_CASE("A task starts when it is awaited, not before") {
    bool ran = false;
    auto work = set(ran);
    CHECK_FALSE(ran);
    run_now(std::move(work));
    CHECK(ran);
}

TEST_CASE("A task that is never awaited never runs, and destroys its arguments") {
    int alive = 0;
    bool ran = false;
    const auto hold = [](counted, bool& flag) -> task<> {
        flag = true;
        co_return;
    };
    {
        const auto work = hold(counted(alive), ran);
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
    CHECK_FALSE(ran);
}

TEST_CASE("A task completes with the value that it returns") {
    const auto seven = []() -> task<int> { co_return 7; };
    CHECK(run_now(seven()) == 7);
}

TEST_CASE("A returned value is converted to the task's type") {
    const auto text = []() -> task<std::string> { co_return "text"; };
    CHECK(run_now(text()) == "text");
}

TEST_CASE("A value that can only be moved comes out of a task") {
    const auto made = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    CHECK(*run_now(made()) == 3);
}

TEST_CASE("A value without a default constructor comes out of a task") {
    int alive = 0;
    const auto made = [&alive]() -> task<counted> { co_return counted(alive); };
    {
        const auto value = run_now(made());
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
}

TEST_CASE("A task of a reference completes with that very object") {
    int place = 1;
    const auto refer = [&place]() -> task<int&> { co_return place; };
    CHECK(&run_now(refer()) == &place);
}

TEST_CASE("A task throws what its coroutine threw") {
    const auto throwing = []() -> task<int> {
        throw std::out_of_range("thrown");
        co_return 0;
    };
    CHECK_THROWS_WITH_AS(static_cast<void>(run_now(throwing())), "thrown", std::out_of_range);
    const auto of_nothing = []() -> task<> {
        throw std::out_of_range("of nothing");
        co_return;
    };
    CHECK_THROWS_WITH_AS(run_now(of_nothing()), "of nothing", std::out_of_range);
    const auto of_reference = []() -> task<int&> {
        throw std::out_of_range("of a reference");
        static int never = 0;
        co_return never;
    };
    CHECK_THROWS_WITH_AS(static_cast<void>(run_now(of_reference())), "of a reference",
                         std::out_of_range);
}

TEST_CASE("An exception passes through the tasks that await its task") {
    const auto inner = []() -> task<int> {
        throw 5;
        co_return 0;
    };
    const auto outer = [&inner]() -> task<int> {
        const int value = co_await inner();
        co_return value + 1;
    };
    CHECK_THROWS_AS(static_cast<void>(run_now(outer())), int);
}

TEST_CASE("A task that suspends resumes its awaiter when it ends") {
    gate entrance;
    int result = 0;
    const auto inner = [&entrance]() -> task<int> {
        co_await entrance.passed();
        co_return 4;
    };
    const auto outer = [&]() -> started { result = co_await inner(); };
    const auto whole = outer();
    CHECK(entrance.has_waiter());
    CHECK(result == 0);
    entrance.open();
    CHECK(whole.ended());
    CHECK(result == 4);
}

TEST_CASE("An exception after a suspension reaches the awaiter") {
    gate entrance;
    const auto inner = [&entrance]() -> task<> {
        co_await entrance.passed();
        throw std::runtime_error("late");
    };
    const auto outer = [&inner]() -> started { co_await inner(); };
    const auto whole = outer();
    entrance.open();
    CHECK_THROWS_WITH_AS(whole.check(), "late", std::runtime_error);
}

TEST_CASE("Destroying a suspended task destroys the frames of all that it awaits") {
    gate entrance;
    int alive = 0;
    const auto inner = [&]() -> task<> {
        const counted here(alive);
        co_await entrance.passed();
    };
    const auto middle = [&]() -> task<> {
        const counted here(alive);
        co_await inner();
    };
    const auto outer = [&]() -> started {
        const counted here(alive);
        co_await middle();
    };
    auto whole = outer();
    CHECK(alive == 3);
    whole.destroy();
    CHECK(alive == 0);
}

TEST_CASE("A moved task runs once, by its new owner") {
    bool ran = false;
    auto first = set(ran);
    auto second = std::move(first);
    run_now(std::move(second));
    CHECK(ran);
}

TEST_CASE("Assigning to a task destroys what it held") {
    int alive = 0;
    const auto hold = [](counted) -> task<> { co_return; };
    auto work = hold(counted(alive));
    bool ran = false;
    work = set(ran);
    CHECK(alive == 0);
    run_now(std::move(work));
    CHECK(ran);
}

TEST_CASE("A task is neither copied nor awaited as an lvalue") {
    static_assert(!std::is_copy_constructible_v<task<int>>);
    static_assert(std::is_nothrow_move_constructible_v<task<int>>);
    static_assert(std::is_nothrow_move_assignable_v<task<int>>);
    constexpr auto awaitable = []<class T>(T&&) {
        return requires(T&& work) { std::forward<T>(work).operator co_await(); };
    };
    static_assert(std::is_invocable_v<decltype(awaitable), task<int>&>);
    task<int> work = []() -> task<int> { co_return 1; }();
    CHECK_FALSE(awaitable(work));
    CHECK(awaitable(std::move(work)));
}

TEST_CASE("A million awaits in a row use no more stack than one") {
    if (!tail_calls)
        return ringtls::test::skip(no_tail_calls);
    stack_use stack;
    CHECK(run_now(in_a_row(1'000, stack)) == 1'000);
    REQUIRE(stack.bytes() < 4096); // before a growing stack ends the program
    CHECK(run_now(in_a_row(1'000'000, stack)) == 1'000'000);
    CHECK(stack.bytes() < 4096);
}

TEST_CASE("Tasks nested a million deep use no more stack than one") {
    if (!tail_calls)
        return ringtls::test::skip(no_tail_calls);
    stack_use stack;
    CHECK(run_now(nested(1'000, stack)) == 1'000);
    REQUIRE(stack.bytes() < 4096);
    CHECK(run_now(nested(1'000'000, stack)) == 1'000'000);
    CHECK(stack.bytes() < 4096);
}

TEST_CASE("A suspension frees the stack that awaits in a row may have used") {
    stack_use stack;
    gate entrance;
    std::uintptr_t before = 0;
    const auto outer = [&]() -> started {
        for (int i = 0; i < 100; ++i)
            co_await marking(stack);
        before = stack.bytes();
        co_await entrance.passed();
        for (int i = 0; i < 100; ++i)
            co_await marking(stack);
    };
    const auto whole = outer();
    entrance.open();
    CHECK(whole.ended());
    CHECK(stack.bytes() < before + 4096);
}

// GCC 12 destroys aggregate temporaries among the arguments of an awaited call twice. The library's
// option types have constructors, which makes braces safe; the address sanitizer sees if not.

TEST_CASE("limits written in the arguments of an awaited call are destroyed once") {
    std::stop_source source;
    const auto take = [](ringtls::limits by) -> task<bool> {
        co_return by.token().stop_possible();
    };
    const auto outer = [&]() -> task<int> {
        int taken = 0;
        for (int i = 0; i < 100; ++i) {
            const bool first = co_await take(ringtls::limits().cancel_on(source.get_token()));
            const bool second = co_await take({});
            taken += (first ? 1 : 0) + (second ? 1 : 0);
        }
        co_return taken;
    };
    CHECK(run_now(outer()) == 100);
    CHECK(source.request_stop());
}

TEST_CASE("Options of a loop and a listener are safe in the arguments of an awaited call") {
    const ringtls::manual_clock clock;
    const auto take = [](ringtls::event_loop_options loop,
                         const ringtls::listen_options& listen) -> task<int> {
        co_return (loop.clock() ? 1 : 0) + (listen.shares_port() ? 2 : 0) + listen.backlog();
    };
    const auto outer = [&]() -> task<int> {
        const int plain = co_await take({}, {});
        const int set = co_await take(ringtls::event_loop_options().clock(clock),
                                      ringtls::listen_options().share_port().backlog(8));
        co_return plain + set;
    };
    CHECK(run_now(outer()) == 4096 + 11);
}

TEST_CASE("Settings, identities and endpoints are safe in the arguments of an awaited call") {
    using namespace ringtls;
    const std::string name(100, 'n'); // on the heap, where the sanitizer looks
    const std::vector<std::string> names(2, name);
    const auto take_client = [](client_settings by, endpoint to) -> task<std::size_t> {
        co_return by.trusted().size() + by.alpn().size() + to.host().size();
    };
    const auto take_server = [](const server_settings& by) -> task<std::size_t> {
        co_return by.own_identity().key.content().size() + by.alpn().size();
    };
    const auto outer = [&]() -> task<std::size_t> {
        const auto plain = co_await take_client({}, {name, 443});
        const auto set = co_await take_client(client_settings().trust(pem::text(name)).alpn(names),
                                              endpoint(name, 443));
        const auto server =
            co_await take_server(server_settings({pem::text(name), pem::text(name)}).alpn(names));
        co_return plain + set + server;
    };
    CHECK(run_now(outer()) == 100 + 103 + 102);
}
