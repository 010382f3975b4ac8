// SPDX-License-Identifier: MIT
// What every driver promises, on the real kernel: of the one that RINGTLS_DRIVER names, or the
// best.
#include "loop/driver.hpp"

#include "../descriptors.hpp"
#include "../support/driver_bench.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::detail::driver;
using ringtls::detail::make_driver;
using ringtls::test::descriptor;
using ringtls::test::entry;
using ringtls::test::make_eventfd;
using ringtls::test::pipe_ends;
using ringtls::test::slot_of;
using ringtls::test::socket_ends;

std::unique_ptr<driver> make(std::string_view name = "") {
    std::string reason;
    return make_driver(name, reason);
}

struct bench : ringtls::test::bench {
    bench() : ringtls::test::bench(make()) {}
    [[nodiscard]] bool is_io_uring() const { return on->name() == "io_uring"; }
};

/// Sets RINGTLS_DRIVER, and puts it back.
class environment {
  public:
    explicit environment(const char* name) { set(name); }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    ~environment() { set(before_ ? before_->c_str() : nullptr); }

  private:
    static void set(const char* name) {
        REQUIRE((name ? ::setenv("RINGTLS_DRIVER", name, 1) : ::unsetenv("RINGTLS_DRIVER")) == 0);
    }
    static std::optional<std::string> value() {
        const char* const value = std::getenv("RINGTLS_DRIVER");
        return value ? std::optional<std::string>(value) : std::nullopt;
    }

    const std::optional<std::string> before_ = value();
};

} // namespace

TEST_CASE("A poll completes when its descriptor is ready, with what is ready") {
    bench test;
    pipe_ends pipe;
    entry waiting;
    test.on->arm(pipe.reader.fd(), POLLIN, waiting);
    test.look();
    CHECK(waiting.completions == 0);
    pipe.writer.put("x");
    test.look_for(1);
    CHECK(waiting.completions == 1);
    CHECK(waiting.last == POLLIN);
}

TEST_CASE("A poll completes once, however long its descriptor stays ready") {
    bench test;
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->arm(ready.fd(), POLLIN, waiting);
    test.look_for(1);
    test.look();
    test.look();
    CHECK(waiting.completions == 1);
}

TEST_CASE("Arming and cancelling make no system call before the wait") {
    bench test;
    test.look();
    const auto before = test.counters();
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->cancel(test.on->arm(ready.fd(), POLLIN, waiting));
    test.on->arm(ready.fd(), POLLIN, waiting);
    CHECK(test.counters().enters == before.enters);
    test.look();
    // io_uring submits and looks in one; epoll registers the one descriptor, and looks.
    CHECK(test.counters().enters == before.enters + (test.is_io_uring() ? 1 : 2));
    CHECK(test.counters().polls == before.polls + 2);
}

TEST_CASE("A poll that is cancelled before its submission never completes") {
    bench test;
    const auto ready = make_eventfd(1);
    entry cancelled;
    entry kept;
    test.on->cancel(test.on->arm(ready.fd(), POLLIN, cancelled));
    test.on->arm(ready.fd(), POLLIN, kept);
    test.look_for(1);
    test.look();
    CHECK(cancelled.completions == 0);
    CHECK(kept.completions == 1);
}

TEST_CASE(
    "A poll that is cancelled before its submission does not bind its descriptor's next file") {
    bench test;
    pipe_ends first;
    const auto ready = make_eventfd(1);
    const int number = first.reader.fd();
    entry cancelled;
    entry second;
    test.on->cancel(test.on->arm(number, POLLIN, cancelled));
    REQUIRE(::dup2(ready.fd(), number) == number);
    test.on->arm(number, POLLIN, second);
    test.look_for(1);
    CHECK(cancelled.completions == 0);
    CHECK(second.completions == 1);
}

TEST_CASE("A poll that is cancelled after its submission never completes") {
    bench test;
    pipe_ends pipe;
    entry cancelled;
    const auto poll = test.on->arm(pipe.reader.fd(), POLLIN, cancelled);
    test.look();
    test.on->cancel(poll);
    test.look();
    pipe.writer.put("x");
    test.look();
    test.look();
    CHECK(cancelled.completions == 0);
}

TEST_CASE("A completion that comes after its cancel is dropped") {
    bench test;
    pipe_ends pipe;
    entry cancelled;
    const auto poll = test.on->arm(pipe.reader.fd(), POLLIN, cancelled);
    test.look();
    pipe.writer.put("x"); // completes in the kernel, unseen
    test.on->cancel(poll);
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(cancelled.completions == 0);
}

TEST_CASE("A poll that is cancelled while its readiness passes lets go of its socket") {
    bench driver;
    auto ends = socket_ends::tcp_pair();
    entry waiter;
    const auto token = driver.on->arm(ends.a.fd(), POLLIN, waiter);
    driver.look();
    // Ready, and no longer, before the kernel has looked at it again.
    ends.b.put("x");
    REQUIRE(ends.a.take() == "x");
    driver.on->cancel(token);
    driver.look();
    driver.look();
    CHECK(waiter.completions == 0);
    ends.a.close();
    std::array<char, 1> buffer;
    CHECK(::recv(ends.b.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT) == 0);
}

TEST_CASE("A wait without a sink lets go of the sockets of all cancelled polls, however many") {
    bool after_a_wait = false;
    SUBCASE("that were cancelled just now") {}
    SUBCASE("that the last wait submitted") {
        after_a_wait = true;
    }
    constexpr std::size_t many = 200;
    bench driver;
    std::vector<socket_ends> pairs;
    std::vector<entry> waiters(many);
    std::vector<ringtls::detail::driver::token> tokens;
    for (auto& each : waiters) {
        pairs.push_back(socket_ends::tcp_pair());
        tokens.push_back(driver.on->arm(pairs.back().a.fd(), POLLIN, each));
    }
    driver.look();
    for (const auto token : tokens)
        driver.on->cancel(token);
    std::size_t ended = 0;
    for (auto& each : pairs)
        each.a.close();
    if (after_a_wait)
        driver.look();
    driver.submit();
    for (auto& each : pairs) {
        std::array<char, 1> buffer;
        ended += ::recv(each.b.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT) == 0 ? 1 : 0;
    }
    CHECK(ended == many);
}

TEST_CASE("A completion may cancel another of the same batch") {
    bench test;
    const auto ready = make_eventfd(1);
    entry first;
    entry second;
    test.on->arm(ready.fd(), POLLIN, first);
    const auto poll = test.on->arm(ready.fd(), POLLIN, second);
    test.sink.then = [&](entry&) { test.on->cancel(poll); };
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(first.completions == 1);
    CHECK(second.completions == 0);
}

TEST_CASE("A completion may arm so many polls that the slots move") {
    bench test;
    const auto ready = make_eventfd(1);
    entry first;
    std::deque<entry> more(500);
    test.on->arm(ready.fd(), POLLIN, first);
    test.sink.then = [&](entry& which) {
        if (&which == &first)
            for (auto& each : more)
                test.on->arm(ready.fd(), POLLIN, each);
    };
    test.look_for(1 + more.size());
    for (const auto& each : more)
        REQUIRE(each.completions == 1);
}

TEST_CASE("A slot is used again, with another generation, and an old token cancels nothing") {
    bench test;
    const auto ready = make_eventfd(1);
    entry first;
    entry second;
    const auto old = test.on->arm(ready.fd(), POLLIN, first);
    test.look_for(1);
    const auto young = test.on->arm(ready.fd(), POLLIN, second);
    CHECK(slot_of(young) == slot_of(old));
    CHECK(young != old);
    test.on->cancel(old);
    test.look_for(2);
    CHECK(second.completions == 1);
}

TEST_CASE("A cancelled poll's slot is not used again before its last completion has come") {
    bench test;
    pipe_ends pipe;
    const auto ready = make_eventfd(1);
    entry cancelled;
    entry second;
    const auto old = test.on->arm(pipe.reader.fd(), POLLIN, cancelled);
    test.look();
    test.on->cancel(old);
    const auto young = test.on->arm(ready.fd(), POLLIN, second);
    CHECK((slot_of(young) != slot_of(old)) == test.is_io_uring()); // epoll's has none to come
    test.look_for(1);
    CHECK(second.completions == 1);
    CHECK(cancelled.completions == 0);
}

TEST_CASE("Cancelled polls give their slots back") {
    bench test;
    pipe_ends pipe;
    entry waiting;
    std::uint32_t highest = 0;
    for (int i = 0; i < 10'000; ++i) {
        const auto poll = test.on->arm(pipe.reader.fd(), POLLIN, waiting);
        highest = std::max(highest, slot_of(poll));
        if (i % 2 == 0)
            test.look();
        test.on->cancel(poll);
        test.look();
    }
    CHECK(highest < 16);
    CHECK(waiting.completions == 0);
}

TEST_CASE("A token that was never given cancels nothing") {
    bench test;
    test.on->cancel(0);
    test.on->cancel(0x12345678'00000009);
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->arm(ready.fd(), POLLIN, waiting);
    test.look_for(1);
    CHECK(waiting.completions == 1);
}

TEST_CASE("Five thousand polls armed at once all complete, each once") {
    bench test;
    pipe_ends pipe;
    std::deque<entry> entries(5000);
    for (auto& each : entries)
        test.on->arm(pipe.reader.fd(), POLLIN, each);
    test.look();
    CHECK(test.sink.order.empty());
    pipe.writer.put("x");
    test.look_for(entries.size());
    test.look();
    CHECK(test.sink.order.size() == entries.size());
    for (const auto& each : entries)
        REQUIRE(each.completions == 1);
}

TEST_CASE("More completions than the completion queue holds are all handed out") {
    bench test;
    pipe_ends pipe;
    std::deque<entry> entries(20'000);
    for (auto& each : entries)
        test.on->arm(pipe.reader.fd(), POLLIN, each);
    test.look();
    pipe.writer.put("x");
    test.look_for(entries.size());
    CHECK(test.sink.order.size() == entries.size());
}

TEST_CASE("Five thousand polls cancelled at once never complete, and five thousand more do") {
    bench test;
    pipe_ends pipe;
    std::deque<entry> first(5000);
    std::vector<ringtls::detail::driver::token> polls;
    for (auto& each : first)
        polls.push_back(test.on->arm(pipe.reader.fd(), POLLIN, each));
    test.look();
    for (const auto poll : polls)
        test.on->cancel(poll);
    std::deque<entry> second(5000);
    for (auto& each : second)
        test.on->arm(pipe.reader.fd(), POLLIN, each);
    pipe.writer.put("x");
    test.look_for(second.size());
    test.look();
    CHECK(test.sink.order.size() == second.size());
    for (const auto& each : first)
        REQUIRE(each.completions == 0);
}

TEST_CASE("A poll of a descriptor that is not open completes with an error") {
    bench test;
    entry waiting;
    test.on->arm(-1, POLLIN, waiting);
    test.look_for(1);
    CHECK(waiting.completions == 1);
    CHECK((waiting.last & POLLERR) != 0);
}

TEST_CASE("A half-closed peer does not end a wait for room, and does not end it again and again") {
    for (const bool tcp : {true, false}) {
        CAPTURE(tcp);
        bench test;
        const auto ends = tcp ? socket_ends::tcp_pair() : socket_ends::unix_pair();
        ringtls::test::fill(ends.a);
        REQUIRE(::shutdown(ends.b.fd(), SHUT_WR) == 0);
        entry waiting;
        test.on->arm(ends.a.fd(), POLLOUT, waiting);
        for (int i = 0; i < 1000; ++i)
            test.look();
        CHECK(waiting.completions == 0);
        CHECK(test.counters().completions <= 3);
        // The peer makes room, in as many portions as TCP takes to say so.
        for (int i = 0; i < 10'000 && waiting.completions == 0; ++i) {
            ringtls::test::drain(ends.b);
            test.look();
        }
        CHECK(waiting.completions == 1);
        CHECK((waiting.last & POLLOUT) != 0);
    }
}

TEST_CASE("A wait for room that went on past a half-close can be cancelled") {
    bench test;
    const auto ends = socket_ends::unix_pair();
    ringtls::test::fill(ends.a);
    REQUIRE(::shutdown(ends.b.fd(), SHUT_WR) == 0);
    entry waiting;
    const auto poll = test.on->arm(ends.a.fd(), POLLOUT, waiting);
    for (int i = 0; i < 5; ++i)
        test.look();
    test.on->cancel(poll);
    ringtls::test::drain(ends.b);
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(waiting.completions == 0);
    const auto ready = make_eventfd(1);
    entry next;
    const auto reused = test.on->arm(ready.fd(), POLLIN, next);
    CHECK(slot_of(reused) == slot_of(poll));
    test.look_for(1);
    CHECK(next.completions == 1);
}

TEST_CASE("A wait for room that is cancelled in the turn of the half-close's completion ends") {
    bench test;
    const auto ends = socket_ends::unix_pair();
    ringtls::test::fill(ends.a);
    REQUIRE(::shutdown(ends.b.fd(), SHUT_WR) == 0);
    entry waiting;
    const auto poll = test.on->arm(ends.a.fd(), POLLOUT, waiting);
    test.look(); // it is queued again, as multishot
    test.on->cancel(poll);
    ringtls::test::drain(ends.b);
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(waiting.completions == 0);
}

TEST_CASE("wake() ends a wait without a time-out, and completes nothing") {
    bench test;
    const std::jthread other([&] { test.on->wake(); });
    test.wait();
    CHECK(test.sink.order.empty());
}

TEST_CASE("wake() before a wait ends that wait, and only that one") {
    bench test;
    test.on->wake();
    test.on->wake();
    test.wait();
    const auto before = test.counters();
    test.look();
    test.look();
    CHECK(test.counters().completions == before.completions);
}

TEST_CASE("wake() works any number of times") {
    bench test;
    for (int i = 0; i < 100; ++i) {
        test.on->wake();
        test.wait();
    }
    CHECK(test.sink.order.empty());
}

TEST_CASE("A driver made on one thread waits on another") {
    bench test;
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->arm(ready.fd(), POLLIN, waiting);
    std::thread([&] { test.look_for(1); }).join();
    CHECK(waiting.completions == 1);
}

TEST_CASE("A driver is destroyed with polls queued, armed and cancelled") {
    bench test;
    pipe_ends pipe;
    entry waiting;
    const auto poll = test.on->arm(pipe.reader.fd(), POLLIN, waiting);
    test.on->arm(pipe.reader.fd(), POLLIN, waiting);
    test.look();
    test.on->cancel(poll);
    test.on->arm(pipe.reader.fd(), POLLIN, waiting);
    test.on.reset();
    CHECK(waiting.completions == 0);
}

TEST_CASE("Polls of one descriptor end each with what it asked for, in the order of arming") {
    bench test;
    const auto ends = socket_ends::unix_pair();
    ends.b.put("x");
    std::array<entry, 4> waiting;
    test.on->arm(ends.a.fd(), POLLIN, waiting[0]);
    test.on->arm(ends.a.fd(), POLLOUT, waiting[1]);
    test.on->arm(ends.a.fd(), 0, waiting[2]);
    test.on->arm(ends.a.fd(), POLLIN | POLLOUT, waiting[3]);
    test.look_for(3);
    test.look();
    REQUIRE(test.sink.order ==
            std::vector<ringtls::detail::loop_entry*>{&waiting[0], &waiting[1], &waiting[3]});
    CHECK((waiting[0].last & POLLIN) != 0);
    CHECK((waiting[1].last & POLLOUT) != 0);
    CHECK(waiting[3].last == (POLLIN | POLLOUT));
}

TEST_CASE("A poll goes on waiting when another of its descriptor ends or is cancelled") {
    bench test;
    const auto ends = socket_ends::unix_pair();
    ringtls::test::fill(ends.a);
    entry reading;
    entry writing;
    entry again;
    test.on->arm(ends.a.fd(), POLLIN, reading);
    const auto write = test.on->arm(ends.a.fd(), POLLOUT, writing);
    test.look();
    SUBCASE("by its readiness") {
        ringtls::test::drain(ends.b);
        test.look_for(1);
        CHECK(writing.completions == 1);
    }
    SUBCASE("before its readiness") {
        test.on->cancel(write);
        ringtls::test::drain(ends.b);
    }
    SUBCASE("and armed again") {
        test.on->cancel(write);
        test.on->arm(ends.a.fd(), POLLOUT, again);
        ringtls::test::drain(ends.b);
        test.look_for(1);
        CHECK(again.completions == 1);
    }
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(reading.completions == 0);
    ends.b.put("x");
    test.look_for(test.sink.order.size() + 1);
    CHECK(reading.completions == 1);
    CHECK(reading.last == POLLIN);
}

TEST_CASE("A completion may cancel another of its descriptor, and arm a poll of it for later") {
    bench test;
    const auto ready = make_eventfd(1);
    entry first;
    entry second;
    entry later;
    test.on->arm(ready.fd(), POLLIN, first);
    const auto poll = test.on->arm(ready.fd(), POLLIN, second);
    test.sink.then = [&](entry& which) {
        if (&which != &first)
            return;
        test.on->cancel(poll);
        test.on->arm(ready.fd(), POLLIN, later);
    };
    test.look();
    const int completed_before = later.completions;
    test.look_for(2);
    CHECK(completed_before == 0);
    CHECK(first.completions == 1);
    CHECK(second.completions == 0);
    CHECK(later.completions == 1);
}

TEST_CASE("A number that is closed and used again is polled anew, however it was polled before") {
    bench test;
    pipe_ends old;
    const descriptor elsewhere(::dup(old.reader.fd())); // the old file stays open
    const int number = old.reader.fd();
    entry before;
    SUBCASE("and its poll had ended") {
        test.on->arm(number, POLLIN, before);
        old.writer.put("x");
        test.look_for(1);
        REQUIRE(old.reader.take() == "x");
    }
    SUBCASE("and its poll was cancelled") {
        const auto poll = test.on->arm(number, POLLIN, before);
        test.look();
        test.on->cancel(poll);
    }
    SUBCASE("and its poll was cancelled a while ago") {
        const auto poll = test.on->arm(number, POLLIN, before);
        test.look();
        test.on->cancel(poll);
        test.look();
    }
    const int ended = before.completions;
    const pipe_ends young;
    REQUIRE(::dup2(young.reader.fd(), number) == number);
    entry waiting;
    test.on->arm(number, POLLIN, waiting);
    test.look();
    old.writer.put("y"); // is not for the number's new file
    for (int i = 0; i < 5; ++i)
        test.look();
    CHECK(waiting.completions == 0);
    young.writer.put("z");
    test.look_for(static_cast<std::size_t>(ended) + 1);
    CHECK(waiting.completions == 1);
    CHECK(before.completions == ended);
}

TEST_CASE("What is left over of a closed number does not keep the driver awake") {
    bench test;
    pipe_ends old;
    const descriptor elsewhere(::dup(old.reader.fd()));
    entry cancelled;
    const auto poll = test.on->arm(old.reader.fd(), POLLIN, cancelled);
    test.look();
    test.on->cancel(poll);
    old.reader.close();
    old.writer.put("x"); // and stays there
    test.look();
    test.look();
    const auto begun = ringtls::loop_clock::now();
    test.on->wait(5ms, &test.sink);
    CHECK(ringtls::loop_clock::now() - begun >= 5ms);
    CHECK(cancelled.completions == 0);
}

TEST_CASE("A wait for a hang-up alone hears of nothing else") {
    for (const bool tcp : {true, false}) {
        CAPTURE(tcp);
        bench test;
        auto ends = tcp ? socket_ends::tcp_pair() : socket_ends::unix_pair();
        entry waiting;
        test.on->arm(ends.a.fd(), 0, waiting);
        ends.b.put("x");
        REQUIRE(::shutdown(ends.b.fd(), SHUT_WR) == 0);
        for (int i = 0; i < 100; ++i)
            test.look();
        CHECK(waiting.completions == 0);
        CHECK(test.counters().completions <= 3);
        REQUIRE(::shutdown(ends.a.fd(), SHUT_WR) == 0);
        test.look_for(1);
        CHECK(waiting.completions == 1);
        CHECK((waiting.last & POLLHUP) != 0);
    }
}

TEST_CASE(
    "A file that is always ready ends each poll at once, a wait for its hang-up with an error") {
    bench test;
    const descriptor file(::memfd_create("ready", MFD_CLOEXEC));
    REQUIRE(file.fd() >= 0);
    std::array<entry, 4> waiting;
    test.on->arm(file.fd(), POLLIN, waiting[0]);
    test.on->arm(file.fd(), POLLOUT, waiting[1]);
    test.on->arm(file.fd(), POLLIN | POLLOUT, waiting[2]);
    test.on->arm(file.fd(), 0, waiting[3]);
    test.look_for(waiting.size());
    CHECK(waiting[0].last == POLLIN);
    CHECK(waiting[1].last == POLLOUT);
    CHECK(waiting[2].last == (POLLIN | POLLOUT));
    CHECK(waiting[3].last == POLLERR);
    for (const auto& each : waiting)
        CHECK(each.completions == 1);
}

TEST_CASE("What has completed when the sink throws is handed out by the next wait") {
    bench test;
    const auto ready = make_eventfd(1);
    std::array<entry, 3> waiting;
    for (auto& each : waiting)
        test.on->arm(ready.fd(), POLLIN, each);
    test.sink.then = [&](entry& which) {
        if (&which == &waiting[0])
            throw 1;
    };
    CHECK_THROWS_AS(test.wait(), int);
    CHECK(test.sink.order.size() == 1);
    test.wait();
    test.look_for(3);
    for (const auto& each : waiting)
        CHECK(each.completions == 1);
}

TEST_CASE("A wait lasts as long as it is told to, if nothing happens") {
    bench test;
    for (const std::chrono::nanoseconds time :
         {std::chrono::nanoseconds(1), 300us + 0ns, 2ms + 0ns}) {
        const auto begun = ringtls::loop_clock::now();
        test.on->wait(time, &test.sink);
        CHECK(ringtls::loop_clock::now() - begun >= time);
    }
}

TEST_CASE("make_driver refuses a name that it does not know, and names those that it does") {
    try {
        make("kqueue");
        FAIL("did not throw");
    } catch (const ringtls::error& refused) {
        CHECK(refused.code() == ringtls::errc::no_driver);
        for (const std::string_view name : {"kqueue", "io_uring", "epoll"})
            CHECK(std::string_view(refused.what()).find(name) != std::string_view::npos);
    }
}

TEST_CASE("make_driver takes the name from the environment if it is given none") {
    for (const std::string_view name : {"io_uring", "epoll"}) {
        const environment naming(std::string(name).c_str());
        CHECK(make()->name() == name);
        CHECK(make("io_uring")->name() == "io_uring");
        CHECK(make("epoll")->name() == "epoll");
    }
    const environment wrong("kqueue");
    CHECK_THROWS_AS(make(), ringtls::error);
    CHECK(make("io_uring")->name() == "io_uring");
    const environment empty("");
    CHECK(make()->name() == "io_uring");
    const environment none(nullptr);
    CHECK(make()->name() == "io_uring");
}
