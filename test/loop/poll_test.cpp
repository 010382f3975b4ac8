// SPDX-License-Identifier: MIT
// poll_operation of event_loop.hpp: what it answers, and what takes it away while it waits.
#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::manual_clock;
using ringtls::poll_events;
using ringtls::task;
using ringtls::test::descriptor;
using ringtls::test::make_eventfd;
using ringtls::test::pipe_ends;
using ringtls::test::socket_ends;
using ringtls::test::started;

constexpr auto both = poll_events::readable | poll_events::writable;

task<poll_events> poll(event_loop& loop, int fd, poll_events events) {
    co_return co_await loop.poll(fd, events);
}

task<> turns(event_loop& loop, int count) {
    for (int i = 0; i < count; ++i)
        co_await loop.yield();
}

/// Waits on its own, and says how it ended.
started watch(event_loop& loop, int fd, poll_events events, std::optional<poll_events>& answer) {
    answer = co_await loop.poll(fd, events);
}

} // namespace

TEST_CASE("A set of poll events is combined and tested with | and &") {
    CHECK((both & poll_events::readable) == poll_events::readable);
    CHECK((poll_events::readable & poll_events::writable) == poll_events::none);
}

TEST_CASE("A pipe is readable when something was written, not before") {
    event_loop loop;
    pipe_ends pipe;
    std::optional<poll_events> answer;
    const auto waiting = watch(loop, pipe.reader.fd(), poll_events::readable, answer);
    loop.run(turns(loop, 3));
    CHECK_FALSE(waiting.ended());
    pipe.writer.put("x");
    loop.run();
    CHECK(answer == poll_events::readable);
}

TEST_CASE("A pipe with room is writable") {
    event_loop loop;
    pipe_ends pipe;
    CHECK(loop.run(poll(loop, pipe.writer.fd(), poll_events::writable)) == poll_events::writable);
}

TEST_CASE("A wait for both answers what there is, of what was asked for") {
    event_loop loop;
    const auto ends = socket_ends::unix_pair();
    CHECK(loop.run(poll(loop, ends.a.fd(), both)) == poll_events::writable);
    ends.b.put("x");
    CHECK(loop.run(poll(loop, ends.a.fd(), both)) == both);
    CHECK(loop.run(poll(loop, ends.a.fd(), poll_events::readable)) == poll_events::readable);
}

TEST_CASE("A pipe whose writer is gone answers hangup to a wait for data") {
    event_loop loop;
    pipe_ends pipe;
    pipe.writer.close();
    const auto answer = loop.run(poll(loop, pipe.reader.fd(), poll_events::readable));
    CHECK((answer & poll_events::hangup) == poll_events::hangup);
}

TEST_CASE("A pipe whose reader is gone answers error to a wait for room") {
    event_loop loop;
    pipe_ends pipe;
    pipe.reader.close();
    const auto answer = loop.run(poll(loop, pipe.writer.fd(), poll_events::writable));
    CHECK((answer & poll_events::error) == poll_events::error);
}

TEST_CASE("A descriptor that is not open answers error") {
    event_loop loop;
    CHECK(loop.run(poll(loop, -1, poll_events::readable)) == poll_events::error);
}

TEST_CASE("A regular file is always ready, to read and to write, at its end too") {
    event_loop loop;
    char name[] = "/tmp/ringtls-poll-XXXXXX";
    const descriptor file(::mkstemp(name));
    REQUIRE(file.fd() >= 0);
    ::unlink(name);
    CHECK(loop.run(poll(loop, file.fd(), poll_events::readable)) == poll_events::readable);
    CHECK(loop.run(poll(loop, file.fd(), poll_events::writable)) == poll_events::writable);
    CHECK(loop.run(poll(loop, file.fd(), both)) == both);
    file.put("text");
    CHECK(loop.run(poll(loop, file.fd(), poll_events::readable)) == poll_events::readable);
}

TEST_CASE("An eventfd is readable when it was signalled, not before") {
    event_loop loop;
    const auto event = make_eventfd();
    std::optional<poll_events> answer;
    const auto waiting = watch(loop, event.fd(), poll_events::readable, answer);
    loop.run(turns(loop, 3));
    CHECK_FALSE(answer.has_value());
    event.put(std::string("\1\0\0\0\0\0\0\0", 8));
    loop.run();
    CHECK(answer == poll_events::readable);
}

TEST_CASE("Two waits on one descriptor both end") {
    event_loop loop;
    const auto ends = socket_ends::unix_pair();
    ringtls::test::fill(ends.a);
    std::optional<poll_events> readable;
    std::optional<poll_events> writable;
    const auto reading = watch(loop, ends.a.fd(), poll_events::readable, readable);
    const auto writing = watch(loop, ends.a.fd(), poll_events::writable, writable);
    loop.run(turns(loop, 3));
    CHECK_FALSE(readable.has_value());
    CHECK_FALSE(writable.has_value());
    ends.b.put("x");
    loop.run(turns(loop, 3));
    CHECK(readable == poll_events::readable);
    CHECK_FALSE(writable.has_value());
    ringtls::test::drain(ends.b);
    loop.run();
    CHECK(writable == poll_events::writable);
}

TEST_CASE("A wait that timed out is over: what comes later ends the next wait") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    pipe_ends pipe;
    loop.run([&]() -> task<> {
        const auto late =
            co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable).within(0s));
        REQUIRE_FALSE(late.has_value());
        CHECK(late.error().code() == errc::timed_out);
        pipe.writer.put("x");
        const auto next = co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable));
        CHECK(next.has_value());
    }());
}

TEST_CASE("A wait without time answers what there is, whenever in a turn it begins") {
    const manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    pipe_ends pipe;
    pipe.writer.put("x");
    loop.run([](event_loop& on, int fd) -> task<> {
        const auto silent = ringtls::test::make_eventfd(0);
        for (int busy = 0; busy < 70; ++busy) {
            CAPTURE(busy);
            co_await on.yield();
            for (int i = 0; i < busy; ++i)
                co_await on.sleep(0s);
            const auto there = co_await as_result(on.poll(fd, poll_events::readable).within(0s));
            CHECK(there);
            // Begun while the kernel's news are handed out, as the next.
            const auto still = co_await as_result(on.poll(fd, poll_events::readable).within(0s));
            CHECK(still);
            const auto not_there =
                co_await as_result(on.poll(silent.fd(), poll_events::readable).within(0s));
            REQUIRE(!not_there);
            CHECK(not_there.error().code() == errc::timed_out);
        }
    }(loop, pipe.reader.fd()));
}

TEST_CASE("A frame that is destroyed while it waits is not resumed by what comes later") {
    event_loop loop;
    pipe_ends pipe;
    std::optional<poll_events> answer;
    for (const int turns_between : {0, 3}) {
        auto waiting = watch(loop, pipe.reader.fd(), poll_events::readable, answer);
        loop.run(turns(loop, turns_between));
        waiting.destroy();
        pipe.writer.put("x");
        loop.run(turns(loop, 3));
        CHECK_FALSE(answer.has_value());
        CHECK(pipe.reader.take() == "x");
    }
}

TEST_CASE("A frame that is destroyed in the turn in which its wait completes is not resumed") {
    event_loop loop;
    pipe_ends pipe;
    std::optional<poll_events> answer;
    auto waiting = watch(loop, pipe.reader.fd(), poll_events::readable, answer);
    loop.run(turns(loop, 3));
    pipe.writer.put("x"); // the kernel completes it; the loop has not looked yet
    waiting.destroy();
    loop.run(turns(loop, 3));
    CHECK_FALSE(answer.has_value());
}

TEST_CASE("Of two waits that complete in one turn, the first may destroy the second") {
    event_loop loop;
    pipe_ends pipe;
    int resumed = 0;
    started first;
    started second;
    const auto rival = [&](started& other) -> started {
        co_await loop.poll(pipe.reader.fd(), poll_events::readable);
        ++resumed;
        other.destroy();
    };
    first = rival(second);
    second = rival(first);
    loop.run(turns(loop, 3));
    pipe.writer.put("x");
    loop.run();
    CHECK(resumed == 1);
}

TEST_CASE("Of two deadlines that pass in one turn, the first may destroy the second's frame") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    int resumed = 0;
    started first;
    started second;
    const auto rival = [&](started& other) -> started {
        co_await loop.sleep(1h);
        ++resumed;
        other.destroy();
    };
    first = rival(second);
    second = rival(first);
    clock.advance(2h);
    loop.run();
    CHECK(resumed == 1);
}

TEST_CASE("A completion, a deadline and a stop in one turn end a wait once") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    pipe_ends pipe;
    std::stop_source source;
    int ended = 0;
    const auto run = [&]() -> started {
        const auto answer = co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable)
                                                   .within(1s)
                                                   .cancel_on(source.get_token()));
        ++ended;
        CHECK(answer.has_value());
    };
    const auto whole = run();
    loop.run(turns(loop, 3));
    pipe.writer.put("x");
    clock.advance(1s);
    source.request_stop();
    loop.run();
    CHECK(ended == 1);
}

TEST_CASE("A number that is closed and used again within a turn waits for its new file only") {
    event_loop loop;
    pipe_ends old;
    pipe_ends young;
    const int number = old.reader.fd();
    std::optional<poll_events> answer;
    for (const int turns_between : {0, 3}) {
        auto cancelled = watch(loop, number, poll_events::readable, answer);
        loop.run(turns(loop, turns_between));
        cancelled.destroy();
        // Closes the old file under this number, and gives the number to the new one.
        REQUIRE(::dup2(young.reader.fd(), number) == number);
        const auto waiting = watch(loop, number, poll_events::readable, answer);
        if (old.writer.fd() >= 0)
            old.writer.close(); // a hang-up for whoever still polls the old file
        loop.run(turns(loop, 5));
        CHECK_FALSE(answer.has_value());
        young.writer.put("x");
        loop.run();
        CHECK(answer == poll_events::readable);
        CHECK(young.reader.take() == "x");
        answer.reset();
    }
}

TEST_CASE("A socket that is closed right after its wait was cancelled is closed for its peer") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    std::optional<poll_events> answer;
    auto waiting = watch(loop, ends.a.fd(), poll_events::readable, answer);
    loop.run(turns(loop, 3));
    waiting.destroy();
    ends.a.close();
    const auto peer = loop.run(poll(loop, ends.b.fd(), poll_events::readable));
    CHECK((peer & poll_events::readable) == poll_events::readable);
    CHECK(ends.b.take().empty());
}

TEST_CASE("A wait for room on a half-closed connection with a full buffer does not spin") {
    for (const bool tcp : {true, false}) {
        CAPTURE(tcp);
        event_loop loop;
        const auto ends = tcp ? socket_ends::tcp_pair() : socket_ends::unix_pair();
        ringtls::test::fill(ends.a);
        REQUIRE(::shutdown(ends.b.fd(), SHUT_WR) == 0);
        std::optional<poll_events> answer;
        const auto waiting = watch(loop, ends.a.fd(), poll_events::writable, answer);
        const auto before = loop.counters();
        loop.run(turns(loop, 1000));
        CHECK_FALSE(answer.has_value());
        CHECK(loop.counters().turns >= before.turns + 1000);
        CHECK(loop.counters().completions <= before.completions + 3);
        CHECK(loop.counters().polls == before.polls);
        while (!answer) {
            ringtls::test::drain(ends.b);
            loop.run(turns(loop, 1));
        }
        CHECK(answer == poll_events::writable);
    }
}
