// SPDX-License-Identifier: MIT
// One conversation of a loop with the real kernel, repeated with failures at each of its calls in
// turn: the same must come of it every time.
#include "../descriptors.hpp"
#include "../started.hpp"
#include "../support/interposed_io_uring.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::event_loop;
using ringtls::manual_clock;
using ringtls::poll_events;
using ringtls::result;
using ringtls::task;
using ringtls::test::gate;
using ringtls::test::pipe_ends;
using ringtls::test::socket_ends;
using ringtls::test::started;

/// The real kernel, but for a row of its calls.
class failing_calls final : public ringtls::test::interposed_io_uring {
  public:
    /// before: the call does nothing. after: it does all, and says that it failed.
    enum class when { before, after };

    when fails = when::before;
    int failure = 0;
    int first = 0;
    int count = 0;
    int calls = 0;

    int enter(const ringtls::test::enter_call& call) override {
        const int number = calls++;
        const bool failing = number >= first && number < first + count;
        if (!failing)
            return call.really();
        if (fails == when::after)
            static_cast<void>(call.really());
        return failure;
    }
};

/// Polls that end, that are stopped, that are late, and one whose frame goes; more polls than the
/// submission queue holds; calls from another thread.
class conversation {
  public:
    /// What came of it, in an order that does not depend on the turns it took.
    std::vector<std::string> hold() {
        ringtls::test::fill(full_.a);
        loop_.spawn(expect_data());
        loop_.spawn(expect_hangup());
        loop_.spawn(expect_room());
        loop_.spawn(expect_stop());
        loop_.spawn(expect_deadline());
        for (int i = 0; i < crowd; ++i)
            loop_.spawn(follow());
        destroyed_ = watch();
        loop_.run(direct());
        loop_.run();
        loop_.run(turns(5)); // what was not submitted at the end is by now
        say("followers", followers_);
        silent_.reader.close();
        pollfd end = {silent_.writer.fd(), 0, 0};
        REQUIRE(::poll(&end, 1, 0) >= 0);
        say("the silent pipe's file is let go", end.revents);
        std::sort(said_.begin(), said_.end());
        return said_;
    }
    [[nodiscard]] std::uint64_t turns() const { return loop_.counters().turns; }

    static constexpr int crowd = 1100;

  private:
    void say(const std::string& what, int how) {
        said_.push_back(what + ' ' + std::to_string(how));
    }
    void say(const std::string& what, const result<poll_events>& how) {
        if (how)
            say(what, static_cast<int>(*how));
        else
            said_.push_back(what + ' ' + how.error().what());
    }

    task<> turns(int count) {
        for (int i = 0; i < count; ++i)
            co_await loop_.yield();
    }
    task<> expect_data() {
        const auto ended =
            co_await as_result(loop_.poll(ready_.reader.fd(), poll_events::readable));
        say("data", ended);
    }
    task<> expect_hangup() {
        const auto ended = co_await as_result(loop_.poll(ending_.reader.fd(), poll_events::none));
        say("hang-up", ended);
    }
    task<> expect_room() {
        const auto ended = co_await as_result(loop_.poll(full_.a.fd(), poll_events::writable));
        say("room", ended);
    }
    task<> expect_stop() {
        const auto ended = co_await as_result(
            loop_.poll(silent_.reader.fd(), poll_events::readable).cancel_on(stop_.get_token()));
        say("stopped", ended);
    }
    task<> expect_deadline() {
        const auto ended =
            co_await as_result(loop_.poll(silent_.reader.fd(), poll_events::readable).within(1s));
        say("late", ended);
    }
    task<> follow() {
        co_await loop_.poll(followed_.reader.fd(), poll_events::readable);
        ++followers_;
    }
    started watch() {
        co_await loop_.poll(silent_.reader.fd(), poll_events::readable);
        say("a frame that is no more", 0);
    }
    task<> direct() {
        co_await turns(3);
        ready_.writer.put("x");
        ending_.writer.close();
        co_await turns(2);
        destroyed_.destroy();
        stop_.request_stop();
        clock_.advance(2s);
        co_await turns(2);
        ringtls::test::drain(full_.b);
        followed_.writer.put("x");
        co_await called_from_elsewhere();
    }
    /// Waits for another thread's calls, which come in order.
    task<> called_from_elsewhere() {
        std::string heard;
        gate last;
        const std::jthread other([&] {
            for (const char each : {'a', 'b', 'c'})
                loop_.post([&heard, each] { heard += each; });
            loop_.post([&last] { last.open(); });
        });
        co_await last.passed();
        said_.push_back("heard " + heard);
    }

    manual_clock clock_;
    event_loop loop_{ringtls::event_loop_options().clock(clock_).driver("io_uring")};
    pipe_ends ready_;
    pipe_ends ending_;
    pipe_ends silent_;
    pipe_ends followed_;
    socket_ends full_ = socket_ends::unix_pair();
    std::stop_source stop_;
    started destroyed_;
    std::vector<std::string> said_;
    int followers_ = 0;
};

} // namespace

TEST_CASE("Whichever call of a loop fails, before or after it did its work, the same comes of it") {
    const std::vector<std::string> expected = {
        "data 1",
        "followers 1100",
        "hang-up 16",
        "heard abc",
        "late poll: timed out",
        "room 4",
        "stopped poll: canceled",
        "the silent pipe's file is let go 8",
    };
    using when = failing_calls::when;
    conversation undisturbed;
    REQUIRE(undisturbed.hold() == expected);
    int runs = 0;
    for (const when fails : {when::before, when::after})
        for (const int failure : {-EINTR, -EBUSY, -EAGAIN, -ENOMEM, -ETIME})
            for (const int row : {1, 4}) {
                bool reached = true;
                for (int first = 0; reached; ++first, ++runs) {
                    CAPTURE(static_cast<int>(fails));
                    CAPTURE(failure);
                    CAPTURE(row);
                    CAPTURE(first);
                    failing_calls kernel;
                    kernel.fails = fails;
                    kernel.failure = failure;
                    kernel.first = first;
                    kernel.count = row;
                    conversation one;
                    REQUIRE(one.hold() == expected);
                    // The crowd ends in one turn, or, since Linux 6.13, in twenties.
                    CHECK(one.turns() <= undisturbed.turns() + 20 + conversation::crowd / 20);
                    reached = kernel.calls > first;
                }
            }
    MESSAGE("conversations: " << runs);
    CHECK(runs > 200);
}

TEST_CASE("Whichever call of a loop the kernel refuses, run() ends with its code") {
    int refused = 0;
    bool reached = true;
    for (int first = 0; reached; ++first) {
        CAPTURE(first);
        failing_calls kernel;
        kernel.failure = -EBADF;
        kernel.first = first;
        kernel.count = 1;
        try {
            conversation().hold();
        } catch (const ringtls::error& thrown) {
            ++refused;
            CHECK(thrown.code() == std::errc::bad_file_descriptor);
            CHECK(thrown.subject() == "io_uring_enter");
        }
        reached = kernel.calls > first;
        CHECK(refused == first + (reached ? 1 : 0));
    }
    CHECK(refused > 20);
}
