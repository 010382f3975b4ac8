// SPDX-License-Identifier: MIT
#include <ringtls/loop/clock.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"
#include "../support/interposed_epoll.hpp"
#include "../support/interposed_io_uring.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_all.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::event_loop_options;
using ringtls::loop_clock;
using ringtls::manual_clock;
using ringtls::task;
using ringtls::test::started;

/// Between a loop and its driver's kernel, whichever that is: what a wait does.
class interposed_waits : public ringtls::test::interposed_io_uring,
                         public ringtls::test::interposed_epoll {
  public:
    int enter(const ringtls::test::enter_call& call) override {
        using kind = ringtls::test::enter_call::kind;
        const bool waits = call.what == kind::submit_and_wait || call.timeout > 0ns;
        return on_call(waits, call.timeout, call.really, -ETIME);
    }
    int wait(int epoll, epoll_event* events, int most, int milliseconds) override {
        return on_call(
            milliseconds != 0, std::nullopt,
            [&] { return epoll_calls::wait(epoll, events, most, milliseconds); }, 0);
    }
    int wait(int epoll, epoll_event* events, int most, const timespec& time) override {
        return on_call(
            true, std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec),
            [&] { return epoll_calls::wait(epoll, events, most, time); }, 0);
    }

  protected:
    /// really: the call itself. over: what it answers if the time is over.
    virtual int on_call(bool waits, std::optional<std::chrono::nanoseconds> time,
                        const std::function<int()>& really, int over) = 0;
};

/// A kernel that says at once that the time asked for is over.
class hurried_kernel final : public interposed_waits {
  public:
    std::function<void(std::optional<std::chrono::nanoseconds>)> on_wait = [](auto) {};

  private:
    int on_call(bool waits, std::optional<std::chrono::nanoseconds> time,
                const std::function<int()>& really, int over) override {
        if (!waits)
            return really();
        on_wait(time);
        return over;
    }
};

/// The real one, which tells whether it is asked to wait or only to look.
class watched_kernel final : public interposed_waits {
  public:
    std::function<void(bool)> on_enter = [](bool) {};

  private:
    int on_call(bool waits, std::optional<std::chrono::nanoseconds> /*time*/,
                const std::function<int()>& really, int /*over*/) override {
        on_enter(waits);
        return really();
    }
};

} // namespace

TEST_CASE("A manual clock stands still until it is moved") {
    manual_clock clock;
    const auto before = clock.now();
    CHECK(clock.now() == before);
    clock.advance(90s);
    CHECK(clock.now() == before + 90s);
}

TEST_CASE("A loop tells the time of its manual clock") {
    manual_clock clock;
    const event_loop loop(event_loop_options().clock(clock));
    clock.advance(24h);
    CHECK(loop.now() == clock.now());
}

TEST_CASE("A loop without a clock of its own tells the system's time") {
    const event_loop loop;
    const auto before = loop_clock::now();
    const auto told = loop.now();
    CHECK(told >= before);
    CHECK(told <= loop_clock::now());
}

TEST_CASE("A sleep ends when the manual clock has been moved that far, not before") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    bool woke = false;
    const auto sleeper = [&]() -> task<> {
        co_await loop.sleep(10s);
        woke = true;
    };
    loop.spawn(sleeper());
    loop.run([&]() -> task<> {
        co_await loop.yield();
        clock.advance(10s - 1ns);
        for (int i = 0; i < 3; ++i)
            co_await loop.yield();
        CHECK_FALSE(woke);
        clock.advance(1ns);
        for (int i = 0; i < 3; ++i)
            co_await loop.yield();
        CHECK(woke);
    }());
}

TEST_CASE("Sleeps end in the order of their deadlines") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    std::vector<int> order;
    const auto sleeper = [&](int number, loop_clock::duration time) -> task<> {
        co_await loop.sleep(time);
        order.push_back(number);
    };
    loop.spawn(sleeper(3, 30s));
    loop.spawn(sleeper(1, 10s));
    loop.spawn(sleeper(2, 20s));
    loop.run([&]() -> task<> {
        co_await loop.yield();
        clock.advance(1min);
        co_await loop.yield();
        co_await loop.yield();
    }());
    CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("A sleep of no time, or until a time that has passed, does not suspend") {
    event_loop loop;
    const auto run = [&]() -> started {
        co_await loop.sleep(0s);
        co_await loop.sleep(-1h);
        co_await loop.sleep_until(loop.now() - 1h);
        co_await loop.sleep_until(loop_clock::time_point::min());
    };
    CHECK(run().ended());
}

TEST_CASE("A sleep longer than the clock can tell does not end") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    const auto run = [&]() -> started { co_await loop.sleep(loop_clock::duration::max()); };
    const auto whole = run();
    clock.advance(24h);
    loop.run([&]() -> task<> {
        co_await loop.yield();
        co_await loop.yield();
    }());
    CHECK_FALSE(whole.ended());
}

TEST_CASE("A sleep that is stopped fails with canceled") {
    const manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    std::stop_source source;
    const auto stopper = [&]() -> task<> {
        co_await loop.yield();
        source.request_stop();
    };
    loop.spawn(stopper());
    loop.run([&]() -> task<> {
        const auto slept = co_await as_result(loop.sleep(1h).cancel_on(source.get_token()));
        REQUIRE_FALSE(slept.has_value());
        CHECK(slept.error().code() == errc::canceled);
    }());
}

TEST_CASE("A sleep with an earlier deadline of its own fails with timed_out") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    const auto mover = [&]() -> task<> {
        co_await loop.yield();
        clock.advance(1s);
    };
    loop.spawn(mover());
    loop.run([&]() -> task<> {
        const auto slept = co_await as_result(loop.sleep(1h).within(1s));
        REQUIRE_FALSE(slept.has_value());
        CHECK(slept.error().code() == errc::timed_out);
    }());
}

TEST_CASE("A loop with a manual clock waits for another thread while a deadline is pending") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    std::jthread other;
    loop.run([&]() -> task<> {
        other = std::jthread([&] { loop.post([&] { clock.advance(1h); }); });
        co_await loop.sleep(1h);
    }());
    CHECK(loop.counters().turns < 100);
}

TEST_CASE("On the system's clock the kernel waits for the earliest deadline, and no longer") {
    hurried_kernel kernel;
    event_loop loop;
    std::stop_source source;
    const auto sleeper = [&](loop_clock::time_point until) -> task<> {
        const auto slept =
            co_await as_result(loop.sleep_until(until).cancel_on(source.get_token()));
        CHECK(slept.error().code() == errc::canceled);
    };
    const auto start = loop_clock::now();
    const auto deadline = start + 1h;
    loop.spawn(sleeper(start + 3h));
    loop.spawn(sleeper(deadline));
    loop.spawn(sleeper(start + 2h));
    int waits = 0;
    kernel.on_wait = [&](std::optional<std::chrono::nanoseconds> time) {
        REQUIRE(time.has_value());
        CHECK(*time <= deadline - start);
        CHECK(*time >= deadline - loop_clock::now());
        if (++waits == 3)
            source.request_stop();
    };
    loop.run();
    CHECK(waits >= 3);
}

TEST_CASE("A kernel that ends a wait too early ends no sleep on the system's clock") {
    hurried_kernel kernel;
    event_loop loop;
    const auto start = loop_clock::now();
    loop.run([&]() -> task<> { co_await loop.sleep(1us); }());
    CHECK(loop_clock::now() - start >= 1us);
}

TEST_CASE("A coroutine whose deadlines have all passed does not keep others from running") {
    const manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    const auto silent = ringtls::test::make_eventfd();
    bool done = false;
    const auto late = [&]() -> task<> {
        for (int i = 0; i < 1'000'000 && !done; ++i) {
            const auto answer = co_await as_result(
                loop.poll(silent.fd(), ringtls::poll_events::readable).within(0s));
            CHECK_FALSE(answer.has_value());
        }
        CHECK(done);
    };
    const auto other = [&]() -> task<> {
        for (int i = 0; i < 10; ++i)
            co_await loop.yield();
        done = true;
    };
    loop.spawn(late());
    loop.spawn(other());
    loop.run();
}

TEST_CASE("A loop that busy-polls sleeps only when nothing has happened for that long") {
    watched_kernel kernel;
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock).busy_poll(1ms));
    const ringtls::test::pipe_ends pipe;
    int looks = 0;
    int sleeps = 0;
    kernel.on_enter = [&](bool waits) {
        sleeps += waits ? 1 : 0;
        if (++looks == 1000)
            clock.advance(1ms - 1ns);
        if (looks == 2000)
            clock.advance(1ns);
        if (waits)
            pipe.writer.put("x");
    };
    loop.run([&]() -> task<> {
        co_await loop.poll(pipe.reader.fd(), ringtls::poll_events::readable);
        CHECK(looks == 2001);
        CHECK(sleeps == 1);
        // What happened keeps it awake once more.
        kernel.on_enter = [&](bool waits) {
            CHECK_FALSE(waits);
            if (++looks == 3000)
                loop.post([&] { clock.advance(1h); });
        };
        co_await loop.sleep(1h);
    }());
    CHECK(looks >= 3000);
}

TEST_CASE("A loop that does not busy-poll sleeps at once") {
    watched_kernel kernel;
    event_loop loop;
    const ringtls::test::pipe_ends pipe;
    int looks = 0;
    kernel.on_enter = [&](bool waits) {
        ++looks;
        if (waits)
            pipe.writer.put("x");
    };
    loop.run([&]() -> task<> {
        co_await loop.poll(pipe.reader.fd(), ringtls::poll_events::readable);
    }());
    CHECK(looks <= 3);
}
