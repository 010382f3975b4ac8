// SPDX-License-Identifier: MIT
// What operations promise of the heap: nothing is allocated to wait, to be limited, or to end; and
// what those do that run several tasks: a frame each.
#include "../descriptors.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_any.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/task_group.hpp>
#include <ringtls/loop/with_limits.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <new>
#include <stop_token>

using namespace std::chrono_literals;

namespace {

std::size_t allocations = 0;
std::size_t freed = 0;

} // namespace

// Not inlined, so that GCC does not see malloc() paired with delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* const place = std::malloc(size == 0 ? 1 : size))
        return place;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* place) noexcept {
    freed += place ? 1 : 0;
    std::free(place);
}
[[gnu::noinline]] void operator delete(void* place, std::size_t /*size*/) noexcept {
    operator delete(place);
}

namespace {

using ringtls::as_result;
using ringtls::event_loop;
using ringtls::poll_events;
using ringtls::task;

constexpr int warm_up = 100;
constexpr int rounds = 1100;

} // namespace

TEST_CASE("The tests' operator new counts") {
    const auto before = allocations;
    delete new int(1);
    CHECK(allocations >= before); // a compiler may leave the pair out
    ::operator delete(::operator new(1));
    CHECK(allocations > before);
}

TEST_CASE("A wait for readiness with a deadline and a stop token allocates nothing") {
    event_loop loop;
    const auto ready = ringtls::test::make_eventfd(1);
    std::stop_source source;
    std::size_t before = 0;
    loop.run([&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            if (i == warm_up)
                before = allocations;
            co_await loop.poll(ready.fd(), poll_events::readable)
                .within(1h)
                .until(loop.now() + 1h)
                .cancel_on(source.get_token());
            const auto answer =
                co_await as_result(loop.poll(ready.fd(), poll_events::readable).within(1h));
            static_cast<void>(answer);
        }
        CHECK(allocations == before);
    }());
}

TEST_CASE("A sleep that ends, and a yield, allocate nothing") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    std::size_t before = 0;
    bool done = false;
    const auto mover = [&]() -> task<> {
        while (!done) {
            clock.advance(1s);
            co_await loop.yield();
        }
    };
    loop.spawn(mover());
    loop.run([&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            if (i == warm_up)
                before = allocations;
            co_await loop.sleep(2s);
        }
        CHECK(allocations == before);
        done = true;
    }());
}

TEST_CASE("An operation whose deadline is disarmed by its own end allocates nothing") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    const auto ready = ringtls::test::make_eventfd(1);
    const auto silent = ringtls::test::make_eventfd(0);
    std::size_t before = 0;
    std::stop_source source;
    const auto sleeper = [&]() -> task<> { // a heap with more than one entry
        const auto answer = co_await as_result(
            loop.poll(silent.fd(), poll_events::readable).within(1h).cancel_on(source.get_token()));
        CHECK_FALSE(answer.has_value());
    };
    for (int i = 0; i < 10; ++i)
        loop.spawn(sleeper());
    loop.run([&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            if (i == warm_up)
                before = allocations;
            co_await loop.poll(ready.fd(), poll_events::readable).within(i % 2 ? 2h : 1min);
        }
        CHECK(allocations == before);
    }());
    source.request_stop();
    loop.run();
}

TEST_CASE("A group's task costs a frame besides its own, and leaves nothing when it has ended") {
    event_loop loop;
    loop.run([&]() -> task<> {
        ringtls::task_group group(loop);
        for (int i = 0; i < rounds; ++i) {
            const auto before = allocations;
            const auto live_before = allocations - freed;
            group.spawn([&loop](std::stop_token) -> task<> { co_await loop.yield(); });
            co_await loop.yield(); // it begins
            CHECK(group.size() == 1);
            co_await loop.yield(); // it ends
            co_await loop.yield();
            CHECK(group.size() == 0);
            CHECK(allocations - before <= 2);
            CHECK(allocations - freed == live_before);
        }
    }());
}

TEST_CASE("when_any costs a frame each besides its own, one for all, and a stop state") {
    event_loop loop;
    loop.run([&]() -> task<> {
        const auto first = [&loop](std::stop_token) -> task<> { co_await loop.yield(); };
        const auto second = [&loop](std::stop_token) -> task<> {
            co_await loop.yield();
            co_await loop.yield();
        };
        for (int i = 0; i < warm_up; ++i) {
            const auto before = allocations;
            const auto live_before = allocations - freed;
            co_await ringtls::when_any(first, second);
            CHECK(allocations - before <= 1 + 2 + 2 + 1);
            CHECK(allocations - freed == live_before);
        }
    }());
}

TEST_CASE("with_limits costs a frame besides the work's own, and a stop state") {
    event_loop loop;
    loop.run([&]() -> task<> {
        const auto work = [&loop](std::stop_token stop) -> task<> {
            co_await loop.yield().cancel_on(stop);
        };
        for (int i = 0; i < warm_up; ++i) {
            const auto before = allocations;
            const auto live_before = allocations - freed;
            co_await ringtls::within(loop, 1h, work);
            CHECK(allocations - before <= 3);
            CHECK(allocations - freed == live_before);
        }
    }());
}
