// SPDX-License-Identifier: MIT
// event_loop::descriptor() and run_ready(): a loop that another one drives.
#include "../descriptors.hpp"
#include "../started.hpp"
#include "../support/foreign_loop.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::event_loop_options;
using ringtls::loop_clock;
using ringtls::manual_clock;
using ringtls::poll_events;
using ringtls::task;
using ringtls::test::foreign_loop;
using ringtls::test::make_eventfd;
using ringtls::test::pipe_ends;
using ringtls::test::socket_ends;
using ringtls::test::started;

task<> wait_for_data(event_loop& loop, int fd, int& ended) {
    co_await loop.poll(fd, poll_events::readable);
    ++ended;
}
started watch(event_loop& loop, int fd, int& ended) {
    co_await loop.poll(fd, poll_events::readable);
    ++ended;
}
started sleep(event_loop& loop, loop_clock::time_point until, int& ended) {
    co_await loop.sleep_until(until);
    ++ended;
}

template<class Call>
std::error_code code_of(Call call) {
    try {
        call();
    } catch (const ringtls::error& thrown) {
        return thrown.code();
    }
    return {};
}

} // namespace

TEST_CASE("A loop without anything to do is silent, and has nothing left") {
    event_loop loop;
    foreign_loop foreign(loop);
    CHECK_FALSE(foreign.hears());
    CHECK_FALSE(loop.run_ready());
    foreign.rest();
    CHECK_FALSE(foreign.hears());
}

TEST_CASE("The descriptor is the same each time, and works without being asked for") {
    event_loop loop;
    int count = 0;
    loop.post([&] { ++count; });
    CHECK_FALSE(loop.run_ready());
    CHECK(count == 1);
    CHECK(loop.descriptor() == loop.descriptor());
}

TEST_CASE("What is spawned or posted before, and after, the descriptor is watched is heard of") {
    event_loop loop;
    int count = 0;
    const auto one = [](int& counted) -> task<> {
        ++counted;
        co_return;
    };
    loop.spawn(one(count));
    loop.post([&] { ++count; });
    foreign_loop foreign(loop);
    foreign.run();
    CHECK(count == 2);
    foreign.rest();

    loop.spawn(one(count));
    foreign.run();
    CHECK(count == 3);
    foreign.rest();

    loop.post([&] { ++count; });
    foreign.run();
    CHECK(count == 4);
    foreign.rest();
}

TEST_CASE("What another thread posts is heard of, each time") {
    event_loop loop;
    foreign_loop foreign(loop);
    int count = 0;
    for (int i = 0; i < 100; ++i) {
        const std::jthread other([&] { loop.post([&] { ++count; }); });
        foreign.run();
        CHECK(count == i + 1);
    }
    foreign.rest();
}

TEST_CASE("A loop goes on epoll once it is to be watched, with all that waits") {
    event_loop loop;
    const pipe_ends pipe;
    const auto event = make_eventfd(0);
    int ended = 0;
    int cancelled = 0;
    const auto first = watch(loop, pipe.reader.fd(), ended);
    auto gone = watch(loop, pipe.reader.fd(), cancelled);
    auto gone_later = watch(loop, pipe.reader.fd(), cancelled);
    loop.run([](event_loop& on) -> task<> { co_await on.yield(); }(loop));
    gone.destroy();
    const auto second = watch(loop, event.fd(), ended); // not submitted yet
    const auto before = loop.counters();
    foreign_loop foreign(loop);
    CHECK(loop.driver() == "epoll");
    CHECK(loop.driver_reason().empty());
    CHECK(loop.counters().enters >= before.enters);
    CHECK(loop.counters().polls >= before.polls);
    foreign.rest();
    gone_later.destroy();
    CHECK(ended == 0);
    event.put(std::string("\1\0\0\0\0\0\0\0", 8));
    foreign.step();
    CHECK(ended == 1);
    pipe.writer.put("x");
    foreign.run();
    CHECK(ended == 2);
    CHECK(cancelled == 0);
    foreign.rest();
}

TEST_CASE("Readiness is heard of, once for each time") {
    event_loop loop;
    foreign_loop foreign(loop);
    const pipe_ends pipe;
    int ended = 0;
    for (int round = 1; round <= 100; ++round) {
        loop.spawn(wait_for_data(loop, pipe.reader.fd(), ended));
        CHECK(foreign.step());
        foreign.rest();
        CHECK(ended == round - 1);
        pipe.writer.put("x");
        foreign.run();
        CHECK(ended == round);
        CHECK(pipe.reader.take() == "x");
        foreign.rest();
    }
    CHECK(foreign.calls <= 600);
}

TEST_CASE("An operation that is begun outside of the loop is submitted, one that is gone let go") {
    event_loop loop;
    foreign_loop foreign(loop);
    auto ends = socket_ends::tcp_pair();
    int ended = 0;
    auto waiting = watch(loop, ends.a.fd(), ended);
    CHECK(foreign.hears());
    CHECK(foreign.step());
    foreign.rest();
    ends.b.put("x");
    foreign.run();
    CHECK(ended == 1);
    CHECK(ends.a.take() == "x");
    foreign.rest();

    waiting = watch(loop, ends.a.fd(), ended);
    foreign.rest();
    waiting.destroy();
    ends.a.close();
    CHECK(foreign.hears());
    foreign.run();
    foreign.rest();
    pollfd peer = {ends.b.fd(), POLLIN, 0};
    CHECK(::poll(&peer, 1, 0) == 1);
    CHECK(ended == 1);
}

TEST_CASE("What is left of a turn is heard of at once") {
    event_loop loop;
    foreign_loop foreign(loop);
    int turns = 0;
    const auto yielder = [](event_loop& on, int& counted) -> task<> {
        for (; counted < 50; ++counted)
            co_await on.yield();
    };
    loop.spawn(yielder(loop, turns));
    while (turns < 50) {
        REQUIRE(foreign.hears());
        foreign.step();
    }
    foreign.rest();
}

TEST_CASE("A deadline of the system's clock is heard of when it passes, an earlier one earlier") {
    event_loop loop;
    foreign_loop foreign(loop);
    int late = 0;
    int early = 0;
    int never = 0;
    const auto begun = loop.now();
    const auto sleeper = sleep(loop, begun + 1h, late);
    foreign.rest();
    const auto earlier = sleep(loop, begun + 3ms, early);
    auto gone = sleep(loop, begun + 1ms, never); // passes, or not, before it is destroyed
    foreign.step();
    const bool passed = never != 0;
    gone.destroy();
    while (early == 0)
        foreign.step();
    CHECK(loop.now() >= begun + 3ms);
    foreign.rest();
    const auto next = loop.now() + 2ms;
    const auto again = sleep(loop, next, early);
    while (early == 1)
        foreign.step();
    CHECK(loop.now() >= next);
    CHECK(late == 0);
    CHECK((never != 0) == passed);
    foreign.rest();
    // It does not wake for each of them again and again.
    CHECK(foreign.calls <= 30);
}

TEST_CASE("A wait whose deadline is always put off ends, and costs nothing meanwhile") {
    event_loop loop;
    foreign_loop foreign(loop);
    const auto silent = make_eventfd(0);
    loop.spawn([](event_loop& on, int fd) -> task<> {
        for (int i = 0; i < 20; ++i) {
            const auto ended = co_await as_result(on.poll(fd, poll_events::readable).within(100us));
            CHECK(ended.error().code() == errc::timed_out);
        }
    }(loop, silent.fd()));
    foreign.run();
    foreign.rest();
    CHECK(foreign.calls <= 200);
}

TEST_CASE("On a manual clock, who moves it calls run_ready()") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    foreign_loop foreign(loop);
    int ended = 0;
    const auto sleeper = sleep(loop, clock.now() + 1h, ended);
    foreign.rest();
    CHECK(ended == 0);
    clock.advance(2h);
    loop.run_ready();
    foreign.rest();
    CHECK(ended == 1);
    CHECK_FALSE(loop.run_ready());
}

TEST_CASE("A stop, from another thread too, has run_ready() return false once, and loses nothing") {
    event_loop loop;
    foreign_loop foreign(loop);
    const pipe_ends pipe;
    int ended = 0;
    loop.spawn(wait_for_data(loop, pipe.reader.fd(), ended));
    CHECK(foreign.step());
    foreign.rest();
    {
        const std::jthread other([&] { loop.stop(); });
        CHECK_FALSE(foreign.step());
    }
    CHECK(loop.run_ready());
    foreign.rest();
    loop.post([&] { loop.stop(); });
    CHECK_FALSE(foreign.step());
    foreign.rest();
    pipe.writer.put("x");
    foreign.run();
    CHECK(ended == 1);
}

TEST_CASE("What a call or a handler throws leaves run_ready(), and the rest is heard of") {
    event_loop loop;
    foreign_loop foreign(loop);
    int count = 0;
    loop.on_unhandled([](const std::exception_ptr& failure) { std::rethrow_exception(failure); });
    const auto failing = [](event_loop& on, int fd) -> task<> {
        co_await on.poll(fd, poll_events::readable);
        throw std::runtime_error("on purpose");
    };
    const auto ready = make_eventfd(1);
    int ended = 0;
    loop.spawn(failing(loop, ready.fd()));
    loop.spawn(wait_for_data(loop, ready.fd(), ended));
    loop.post([&] { ++count; });
    CHECK_THROWS_AS(foreign.run(), std::runtime_error);
    CHECK(foreign.hears());
    foreign.run();
    CHECK(ended == 1);
    CHECK(count == 1);
    foreign.rest();

    loop.post([] { throw std::runtime_error("on purpose"); });
    loop.post([&] { ++count; });
    CHECK_THROWS_AS(foreign.run(), std::runtime_error);
    CHECK(foreign.hears());
    foreign.run();
    CHECK(count == 2);
    foreign.rest();
}

TEST_CASE("run_ready() belongs to the loop's thread, and is not for its coroutines") {
    event_loop loop;
    loop.run([](event_loop& on) -> task<> {
        CHECK(code_of([&] { on.run_ready(); }) == errc::busy);
        CHECK(code_of([&] { static_cast<void>(on.descriptor()); }) == errc::busy);
        co_return;
    }(loop));
    std::thread([&] {
        CHECK(code_of([&] { loop.run_ready(); }) == errc::wrong_thread);
        CHECK(code_of([&] { static_cast<void>(loop.descriptor()); }) == errc::wrong_thread);
    }).join();
}

TEST_CASE("A loop that was made on another thread is driven where its descriptor is asked for") {
    event_loop loop;
    std::thread([&] {
        foreign_loop foreign(loop);
        const auto ready = make_eventfd(1);
        int ended = 0;
        loop.spawn(wait_for_data(loop, ready.fd(), ended));
        foreign.run();
        CHECK(ended == 1);
    }).join();
}

TEST_CASE("A loop may be run by itself in between") {
    event_loop loop;
    foreign_loop foreign(loop);
    const pipe_ends pipe;
    int ended = 0;
    const auto waiting = watch(loop, pipe.reader.fd(), ended);
    loop.run([](event_loop& on) -> task<> {
        for (int i = 0; i < 3; ++i)
            co_await on.yield();
    }(loop));
    foreign.rest();
    pipe.writer.put("x");
    foreign.run();
    CHECK(ended == 1);
    foreign.rest();
}

TEST_CASE("More news than one turn takes are all heard of") {
    event_loop loop;
    foreign_loop foreign(loop);
    const pipe_ends pipe;
    int ended = 0;
    for (int i = 0; i < 20'000; ++i)
        loop.spawn(wait_for_data(loop, pipe.reader.fd(), ended));
    CHECK(foreign.step());
    for (int i = 0; i < 100 && foreign.hears(); ++i)
        foreign.step();
    CHECK(ended == 0);
    pipe.writer.put("x");
    foreign.run();
    CHECK(ended == 20'000);
}
