// SPDX-License-Identifier: MIT
#include <ringtls/coro/as_result.hpp>

#include "../descriptors.hpp"
#include "../skip.hpp"

#include <ringtls/loop/event_loop.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::error;
using ringtls::poll_events;
using ringtls::result;
using ringtls::task;
using ringtls::test::pipe_ends;

/// The sanitizers' own __cxa_throw would be hidden by the one below.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RINGTLS_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGTLS_TEST_SANITIZED
#endif
#endif

template<class T>
concept takes = requires(T&& operation) { as_result(std::forward<T>(operation)); };

} // namespace

#ifndef RINGTLS_TEST_SANITIZED
static int exceptions_thrown = 0;

/// Counts what is thrown, then throws it (Itanium C++ ABI, exception handling, 2.4.3).
extern "C" [[noreturn]] void __cxa_throw(void* thrown, void* type, void (*destroy)(void*)) {
    using function = void (*)(void*, void*, void (*)(void*));
    ++exceptions_thrown;
    const auto next = reinterpret_cast<function>(dlsym(RTLD_NEXT, "__cxa_throw"));
    next(thrown, type, destroy);
    __builtin_unreachable();
}
#endif

TEST_CASE("as_result of an operation that succeeds holds its value") {
    ringtls::event_loop loop;
    pipe_ends pipe;
    pipe.writer.put("x");
    const auto answer = loop.run([&]() -> task<result<poll_events>> {
        co_return co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable));
    }());
    REQUIRE(answer.has_value());
    CHECK(*answer == poll_events::readable);
}

TEST_CASE("as_result of an operation with modifiers holds the error that co_await would throw") {
    const ringtls::manual_clock clock;
    ringtls::event_loop loop(ringtls::event_loop_options().clock(clock));
    pipe_ends pipe;
    const auto answer = loop.run([&]() -> task<result<poll_events>> {
        co_return co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable).within(0s));
    }());
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code() == errc::timed_out);
    CHECK(answer.error().operation() == "poll");
}

TEST_CASE("as_result of an operation without a value is a result<void>") {
    ringtls::event_loop loop;
    std::stop_source source;
    source.request_stop();
    const auto answers = loop.run([&]() -> task<std::pair<bool, bool>> {
        const result<void> good = co_await as_result(loop.yield());
        const result<void> bad = co_await as_result(loop.yield().cancel_on(source.get_token()));
        co_return {good.has_value(), bad.has_value()};
    }());
    CHECK(answers.first);
    CHECK_FALSE(answers.second);
}

TEST_CASE("as_result of a task holds its value") {
    ringtls::event_loop loop;
    const auto made = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(9); };
    const auto answer = loop.run(as_result(made()));
    REQUIRE(answer.has_value());
    CHECK(**answer == 9);
}

TEST_CASE("as_result of a task without a value is a result<void>") {
    ringtls::event_loop loop;
    const auto nothing = []() -> task<> { co_return; };
    const auto failing = []() -> task<> {
        throw error(errc::truncated, "read");
        co_return;
    };
    CHECK(loop.run(as_result(nothing())).has_value());
    const auto bad = loop.run(as_result(failing()));
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().code() == errc::truncated);
}

TEST_CASE("as_result of a task holds the ringtls::error that it threw") {
    ringtls::event_loop loop;
    const auto failing = []() -> task<int> {
        throw error(errc::busy, "write", nullptr, 12);
        co_return 0;
    };
    const auto answer = loop.run(as_result(failing()));
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code() == errc::busy);
    CHECK(answer.error().bytes() == 12);
}

TEST_CASE("as_result lets the exceptions of others pass") {
    ringtls::event_loop loop;
    const auto failing = []() -> task<int> {
        throw std::logic_error("not ours");
        co_return 0;
    };
    CHECK_THROWS_WITH_AS(static_cast<void>(loop.run(as_result(failing()))), "not ours",
                         std::logic_error);
}

TEST_CASE("as_result does not take an operation that has a name") {
    static_assert(takes<ringtls::yield_operation>);
    static_assert(!takes<ringtls::yield_operation&>);
    static_assert(takes<ringtls::limited<ringtls::yield_operation>>);
    static_assert(!takes<ringtls::limited<ringtls::yield_operation>&>);
}

TEST_CASE("as_result of an operation that fails throws nothing on the way") {
#ifdef RINGTLS_TEST_SANITIZED
    return ringtls::test::skip("the sanitizer needs __cxa_throw for itself");
#else
    const ringtls::manual_clock clock;
    ringtls::event_loop loop(ringtls::event_loop_options().clock(clock));
    pipe_ends pipe;
    loop.run([&]() -> task<> {
        const int before = exceptions_thrown;
        const auto quiet =
            co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable).within(0s));
        CHECK_FALSE(quiet.has_value());
        CHECK(exceptions_thrown == before);
        try {
            co_await loop.poll(pipe.reader.fd(), poll_events::readable).within(0s);
        } catch (const error&) {
            CHECK(exceptions_thrown == before + 1);
        }
    }());
#endif
}
