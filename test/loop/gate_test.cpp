// SPDX-License-Identifier: MIT
#include "loop/gate.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_all.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using detail::gate;

task<> pass(gate& through, event_loop& loop, std::vector<int>& order, int who, int turns) {
    const auto place = co_await through.enter(loop);
    order.push_back(who);
    for (int i = 0; i < turns; ++i)
        co_await loop.yield();
}

} // namespace

TEST_CASE("no more than so many are inside, and the others follow in order") {
    gate through(2);
    event_loop loop;
    std::vector<int> order;
    std::vector<task<>> all;
    for (int who = 0; who < 6; ++who)
        all.push_back(pass(through, loop, order, who, 3));
    loop.run([](event_loop& on, std::vector<int>& seen, std::vector<task<>> work) -> task<> {
        for (auto& each : work)
            on.spawn(std::move(each));
        co_await on.yield();
        CHECK(seen == std::vector{0, 1});
        while (seen.size() < 6)
            co_await on.yield();
        CHECK(seen == std::vector{0, 1, 2, 3, 4, 5});
    }(loop, order, std::move(all)));
    loop.run();
}

TEST_CASE("who gives up waiting, in whatever way, takes no place along") {
    gate through(1);
    event_loop loop;
    loop.run([](gate& by, event_loop& on) -> task<> {
        auto first = std::make_optional(co_await by.enter(on));
        const auto late = co_await as_result(by.enter(on).within(0s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);

        std::vector<int> order;
        { // destroyed while it waits, and with a place that it was given but has not heard of
            event_loop other;
            other.spawn(pass(by, other, order, 1, 0));
            other.spawn([](event_loop& its) -> task<> {
                co_await its.yield();
                its.stop();
            }(other));
            other.run();
            first.reset();
        }
        CHECK(order.empty());
        const auto again = co_await as_result(by.enter(on).within(0s));
        CHECK(again);
    }(through, loop));
}

TEST_CASE("a place is had at once, or not") {
    gate through(1);
    auto one = through.try_enter();
    CHECK(one);
    CHECK(!through.try_enter());
    one.reset();
    CHECK(through.try_enter());
}

TEST_CASE("threads share it") {
    constexpr int each = 2000;
    gate through(2);
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
    std::atomic<int> passed = 0;
    const auto work = [&] {
        event_loop loop;
        for (int i = 0; i < 4; ++i) {
            loop.spawn([](gate& by, event_loop& on, std::atomic<int>& in, std::atomic<int>& peak,
                          std::atomic<int>& done) -> task<> {
                for (int times = 0; times < each / 4; ++times) {
                    const auto place = co_await by.enter(on);
                    const int now = ++in;
                    int seen = peak.load();
                    while (seen < now && !peak.compare_exchange_weak(seen, now)) {
                    }
                    co_await on.yield();
                    --in;
                    ++done;
                }
            }(through, loop, inside, most, passed));
        }
        loop.run();
    };
    {
        const std::jthread one(work);
        const std::jthread two(work);
        const std::jthread three(work);
    }
    CHECK(passed == 3 * each);
    CHECK(most == 2);
}

} // namespace ringtls
