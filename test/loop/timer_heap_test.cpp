// SPDX-License-Identifier: MIT
#include "loop/timer_heap.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::loop_clock;
using ringtls::detail::loop_entry;
using ringtls::detail::timer_heap;

struct entry final : loop_entry {
    void on(cause /*why*/, short /*events*/) override {}
};

constexpr loop_clock::time_point at(long nanoseconds) {
    return loop_clock::time_point(std::chrono::nanoseconds(nanoseconds));
}

} // namespace

TEST_CASE("An empty timer heap has no earliest entry") {
    const timer_heap heap;
    CHECK(heap.empty());
    CHECK(heap.earliest() == nullptr);
}

TEST_CASE("The entry with the earliest deadline is on top, however they were armed") {
    timer_heap heap;
    entry a;
    entry b;
    entry c;
    heap.arm(a, at(2));
    heap.arm(b, at(1));
    heap.arm(c, at(3));
    CHECK(heap.earliest() == &b);
    heap.disarm(b);
    CHECK(heap.earliest() == &a);
    heap.disarm(a);
    CHECK(heap.earliest() == &c);
    heap.disarm(c);
    CHECK(heap.empty());
}

TEST_CASE("Arming an entry again moves it, earlier or later") {
    timer_heap heap;
    entry a;
    entry b;
    heap.arm(a, at(10));
    heap.arm(b, at(20));
    heap.arm(b, at(5));
    CHECK(heap.earliest() == &b);
    heap.arm(b, at(30));
    CHECK(heap.earliest() == &a);
    heap.disarm(a);
    CHECK(heap.earliest() == &b);
    heap.disarm(b);
    CHECK(heap.empty());
}

TEST_CASE("Disarming an entry that is not armed changes nothing") {
    timer_heap heap;
    entry a;
    entry never;
    heap.arm(a, at(1));
    heap.disarm(never);
    CHECK(heap.earliest() == &a);
    heap.disarm(a);
    heap.disarm(a);
    CHECK(heap.empty());
}

TEST_CASE("A disarmed entry has left no trace in its hook") {
    timer_heap heap;
    entry a;
    entry b;
    heap.arm(a, at(1));
    heap.arm(b, at(2));
    heap.disarm(a);
    CHECK_FALSE(a.timer.armed);
    CHECK(a.timer.child == nullptr);
    CHECK(a.timer.sibling == nullptr);
    CHECK(a.timer.previous == nullptr);
}

TEST_CASE("A hundred thousand siblings are merged without recursion") {
    timer_heap heap;
    std::deque<entry> entries(100'000);
    long deadline = 0;
    for (auto& each : entries)
        heap.arm(each, at(++deadline));
    for (auto& each : entries) {
        REQUIRE(heap.earliest() == &each);
        heap.disarm(each);
    }
    CHECK(heap.empty());
}

TEST_CASE("The timer heap agrees with an ordered map over random operations") {
    constexpr std::size_t count = 300;
    constexpr long latest = 100; // few enough for many equal deadlines
    std::mt19937 random(20250101);
    std::deque<entry> entries(count);
    timer_heap heap;
    std::multimap<loop_clock::time_point, entry*> model;
    std::vector<std::multimap<loop_clock::time_point, entry*>::iterator> places(count, model.end());

    for (int step = 0; step < 200'000; ++step) {
        const std::size_t i = random() % count;
        const auto drop = [&](std::size_t index) {
            if (places[index] != model.end())
                model.erase(places[index]);
            places[index] = model.end();
        };
        switch (random() % 4) {
        case 0:
            heap.disarm(entries[i]);
            drop(i);
            break;
        case 1:
            if (auto* const top = static_cast<entry*>(heap.earliest())) {
                heap.disarm(*top);
                std::size_t index = 0;
                while (&entries[index] != top)
                    ++index;
                drop(index);
            }
            break;
        default: {
            const auto deadline = at(static_cast<long>(random() % latest));
            heap.arm(entries[i], deadline);
            drop(i);
            places[i] = model.emplace(deadline, &entries[i]);
        }
        }
        REQUIRE(heap.empty() == model.empty());
        if (!model.empty())
            REQUIRE(heap.earliest()->timer.deadline == model.begin()->first);
        REQUIRE(entries[i].timer.armed == (places[i] != model.end()));
    }
}
