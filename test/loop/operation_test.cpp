// SPDX-License-Identifier: MIT
#include <ringtls/loop/operation.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/connect.hpp>
#include <ringtls/net/listener.hpp>
#include <ringtls/net/resolver.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::manual_clock;
using ringtls::poll_events;
using ringtls::result;
using ringtls::task;
using ringtls::wait_for;
using ringtls::test::pipe_ends;
using ringtls::test::started;

class probe;

/// What a probe is to do, and what was done with it.
struct script {
    std::deque<wait_for> answers; ///< of its attempts, in order; after them it is over
    bool claimable = true;
    bool out_of_memory = false; ///< thrown by the attempt after the answers
    bool refused = false;       ///< a std::system_error, likewise
    bool scheduled = false;     ///< by each attempt, as another thread does
    int attempts = 0;
    int withdrawals = 0;
    probe* self = nullptr; ///< while it lives
};

/// An operation that does as its script says, and then completes with 42.
class probe final : public ringtls::basic_operation<probe, int> {
  public:
    probe(event_loop& loop, script& by) noexcept : basic_operation(loop, "probe"), by_(&by) {
        by_->self = this;
    }
    ~probe() {
        abandon();
        by_->self = nullptr;
    }

    using operation::interrupt;
    using operation::schedule;
    using operation::waiting;
    [[nodiscard]] int take_value() const noexcept { return 42; }
    [[nodiscard]] std::size_t bytes_done() const noexcept { return 5; }

  private:
    bool claim() override {
        if (!by_->claimable)
            fail(errc::busy);
        return by_->claimable;
    }
    wait_for attempt() override {
        ++by_->attempts;
        if (by_->scheduled)
            schedule_remotely();
        if (!by_->answers.empty()) {
            const auto answer = by_->answers.front();
            by_->answers.pop_front();
            return answer;
        }
        if (by_->out_of_memory)
            throw std::bad_alloc();
        if (by_->refused)
            throw std::system_error(EAGAIN, std::system_category());
        return wait_for::nothing;
    }
    void withdraw() noexcept override { ++by_->withdrawals; }

    script* by_;
};

/// A loop whose time stands still, and the result of one probe on it.
struct bench {
    manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    script by;
    std::optional<result<int>> ended;

    [[nodiscard]] probe make() noexcept { return {loop, by}; }
    [[nodiscard]] started start() { ended.emplace(co_await as_result(make())); }
    [[nodiscard]] started start_within(ringtls::loop_clock::duration time) {
        ended.emplace(co_await as_result(make().within(time)));
    }
    [[nodiscard]] started start_until(ringtls::loop_clock::time_point deadline) {
        ended.emplace(co_await as_result(make().until(deadline)));
    }
    [[nodiscard]] started start_with(std::stop_token token) {
        ended.emplace(co_await as_result(make().cancel_on(std::move(token))));
    }
    /// Lets the loop run through everything that is ready.
    void turn() {
        loop.run([](event_loop& on) -> task<> {
            for (int i = 0; i < 3; ++i)
                co_await on.yield();
        }(loop));
    }
    [[nodiscard]] std::error_code failure() const {
        return ended && !ended->has_value() ? ended->error().code() : std::error_code();
    }
};

template<class Operation>
constexpr bool stays =
    !std::is_copy_constructible_v<Operation> && !std::is_move_constructible_v<Operation> &&
    !std::is_copy_assignable_v<Operation> && !std::is_move_assignable_v<Operation>;

} // namespace

TEST_CASE("Operations are neither copied nor moved") {
    static_assert(stays<ringtls::poll_operation>);
    static_assert(stays<ringtls::sleep_operation>);
    static_assert(stays<ringtls::yield_operation>);
    static_assert(stays<ringtls::accept_operation>);
    static_assert(stays<ringtls::connect_operation>);
    static_assert(stays<ringtls::resolve_operation>);
    static_assert(stays<probe>);
}

TEST_CASE("A modified operation is a trivially copyable awaiter") {
    static_assert(std::is_trivially_copyable_v<ringtls::limited<probe>>);
    static_assert(std::is_same_v<decltype(std::declval<probe>().within(1s).until({})),
                                 ringtls::limited<probe>>);
}

TEST_CASE("An operation is awaited in a coroutine type that is not the library's") {
    event_loop loop;
    pipe_ends pipe;
    pipe.writer.put("x");
    auto answer = poll_events::none;
    const auto run = [&]() -> started {
        answer = co_await loop.poll(pipe.reader.fd(), poll_events::readable);
    };
    const auto whole = run();
    CHECK_FALSE(whole.ended());
    loop.run();
    REQUIRE(whole.ended());
    CHECK(answer == poll_events::readable);
}

TEST_CASE("An operation that is awaited by name is awaited in place") {
    event_loop loop;
    script by;
    by.answers = {wait_for::next_turn};
    int value = 0;
    const auto run = [&]() -> started {
        probe named(loop, by);
        value = co_await named.within(1h);
    };
    const auto whole = run();
    loop.run();
    CHECK(value == 42);
}

TEST_CASE("An operation that need not wait does not suspend") {
    bench on;
    const auto whole = on.start();
    CHECK(whole.ended());
    CHECK(on.by.attempts == 1);
    CHECK(on.ended->value() == 42);
}

TEST_CASE("An operation is tried again when it is scheduled, and resumes only when it is over") {
    bench on;
    on.by.answers = {wait_for::notification, wait_for::notification};
    const auto whole = on.start();
    on.turn();
    CHECK(on.by.attempts == 1);
    on.by.self->schedule();
    on.turn();
    CHECK(on.by.attempts == 2);
    CHECK_FALSE(whole.ended());
    on.by.self->schedule();
    on.turn();
    CHECK(on.by.attempts == 3);
    CHECK(on.ended->value() == 42);
    CHECK(on.by.withdrawals == 0);
}

TEST_CASE("An operation that cannot claim what it needs fails untried") {
    bench on;
    on.by.claimable = false;
    const auto whole = on.start();
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::busy);
    CHECK(on.by.attempts == 0);
    CHECK(on.by.withdrawals == 0);
}

TEST_CASE("An operation fails with timed_out when its time has passed") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto whole = on.start_within(10s);
    on.clock.advance(10s - 1ns);
    on.turn();
    CHECK_FALSE(whole.ended());
    on.clock.advance(1ns);
    on.turn();
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::timed_out);
    CHECK(on.ended->error().operation() == "probe");
    CHECK(on.ended->error().bytes() == 5);
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("within() counts from when the operation is awaited") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto run = [&]() -> started {
        auto operation = on.make();
        const auto limited = operation.within(10s);
        on.clock.advance(1h);
        on.ended.emplace(co_await as_result(ringtls::limited(limited)));
    };
    const auto whole = run();
    on.turn();
    CHECK_FALSE(whole.ended());
}

TEST_CASE("until() ends an operation at that point in time") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto whole = on.start_until(on.clock.now() + 5s);
    on.clock.advance(5s);
    on.turn();
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("The earliest of several deadlines counts") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto now = on.clock.now();
    const auto run = [&]() -> started {
        on.ended.emplace(co_await as_result(
            on.make().until(now + 9s).until(now + 5s).until(now + 7s).within(8s).within(20s)));
    };
    const auto whole = run();
    on.clock.advance(5s);
    on.turn();
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("within() counts if it is earlier than until()") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto now = on.clock.now();
    const auto run = [&]() -> started {
        on.ended.emplace(co_await as_result(on.make().until(now + 1h).within(9s).within(4s)));
    };
    const auto whole = run();
    on.clock.advance(4s);
    on.turn();
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("An operation whose deadline has passed succeeds if it need not wait") {
    bench on;
    const auto whole = on.start_until(on.clock.now() - 1h);
    REQUIRE(whole.ended());
    CHECK(on.ended->has_value());
}

TEST_CASE("An operation whose deadline has passed fails if it has to wait") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto whole = on.start_until(ringtls::loop_clock::time_point::min());
    on.turn();
    CHECK(on.failure() == errc::timed_out);
    CHECK(on.by.attempts == 1);
}

TEST_CASE("A time beyond what the clock can tell is no deadline") {
    bench on;
    on.by.answers = {wait_for::notification};
    on.clock.advance(24h);
    const auto whole = on.start_within(ringtls::loop_clock::duration::max() - 1h);
    on.clock.advance(1h);
    on.turn();
    CHECK_FALSE(whole.ended());
}

TEST_CASE("A stop that was requested before the operation fails it untried") {
    bench on;
    std::stop_source source;
    source.request_stop();
    const auto whole = on.start_with(source.get_token());
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::canceled);
    CHECK(on.by.attempts == 0);
    CHECK(on.by.withdrawals == 0);
}

TEST_CASE("A stop ends an operation that waits") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source source;
    const auto whole = on.start_with(source.get_token());
    on.turn();
    CHECK_FALSE(whole.ended());
    source.request_stop();
    CHECK_FALSE(whole.ended());
    on.turn();
    CHECK(on.failure() == errc::canceled);
    CHECK(on.by.withdrawals == 1);
    CHECK(on.by.attempts == 1);
}

TEST_CASE("A stop requested by another thread ends an operation that waits for the kernel") {
    event_loop loop;
    pipe_ends pipe;
    std::stop_source source;
    std::jthread other;
    const auto answer = loop.run([&]() -> task<result<poll_events>> {
        other = std::jthread([&] { source.request_stop(); });
        co_return co_await as_result(loop.poll(pipe.reader.fd(), poll_events::readable)
                                         .cancel_on(source.get_token())
                                         .within(1h));
    }());
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code() == errc::canceled);
}

TEST_CASE("A stop that races with the end of operations neither hurts nor loses one") {
    event_loop loop;
    const auto always = ringtls::test::make_eventfd(1);
    int ended = 0;
    for (int round = 0; round < 200; ++round) {
        std::stop_source source;
        const std::jthread other([&] { source.request_stop(); });
        loop.run([&]() -> task<> {
            const auto answer = co_await as_result(
                loop.poll(always.fd(), poll_events::readable).cancel_on(source.get_token()));
            if (answer.has_value() || answer.error().code() == errc::canceled)
                ++ended;
        }());
    }
    CHECK(ended == 200);
}

TEST_CASE("A second token takes the first one's place") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source first;
    std::stop_source second;
    const auto run = [&]() -> started {
        on.ended.emplace(co_await as_result(
            on.make().cancel_on(first.get_token()).cancel_on(second.get_token())));
    };
    const auto whole = run();
    first.request_stop();
    on.turn();
    CHECK_FALSE(whole.ended());
    second.request_stop();
    on.turn();
    CHECK(on.failure() == errc::canceled);
}

TEST_CASE("A stop after the end of an operation does nothing") {
    bench on;
    on.by.answers = {wait_for::next_turn};
    std::stop_source source;
    const auto whole = on.start_with(source.get_token());
    on.turn();
    REQUIRE(whole.ended());
    source.request_stop();
    on.turn();
    CHECK(on.ended->has_value());
    CHECK(on.by.withdrawals == 0);
}

TEST_CASE("limit() sets deadline and stop together, and keeps an earlier deadline") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source source;
    ringtls::limits both;
    both.until(on.clock.now() + 1h).cancel_on(source.get_token());
    const auto run = [&]() -> started {
        auto operation = on.make();
        operation.limit_until(on.clock.now() + 1s);
        operation.limit(both);
        on.ended.emplace(co_await as_result(operation.within(2h)));
    };
    const auto whole = run();
    on.clock.advance(1s);
    on.turn();
    CHECK(on.failure() == errc::timed_out);
}

TEST_CASE("limit() without a token keeps the one that was set") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source source;
    const auto run = [&]() -> started {
        auto operation = on.make();
        operation.limit_stop(source.get_token());
        operation.limit(ringtls::limits());
        on.ended.emplace(co_await as_result(operation.within(2h)));
    };
    const auto whole = run();
    source.request_stop();
    on.turn();
    CHECK(on.failure() == errc::canceled);
}

TEST_CASE("An operation that is interrupted ends with that code, once") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto whole = on.start_within(1s);
    on.by.self->interrupt(errc::truncated);
    on.by.self->interrupt(errc::canceled);
    on.clock.advance(1s);
    on.turn();
    CHECK(on.failure() == errc::truncated);
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("Destroying the frame of an operation that waits withdraws it, once") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source source;
    const auto run = [&]() -> started {
        co_await on.make().within(1s).cancel_on(source.get_token());
    };
    auto whole = run();
    whole.destroy();
    CHECK(on.by.withdrawals == 1);
    CHECK(on.by.self == nullptr);
    on.clock.advance(1s);
    source.request_stop();
    on.turn();
    CHECK(on.by.attempts == 1);
}

TEST_CASE("Destroying the frame of an operation that ended but has not resumed is safe") {
    bench on;
    on.by.answers = {wait_for::notification};
    auto whole = on.start();
    on.by.self->interrupt(errc::canceled);
    whole.destroy();
    on.turn();
    CHECK_FALSE(on.ended.has_value());
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("Destroying a frame whose stop was requested, but not yet seen by the loop, is safe") {
    bench on;
    on.by.answers = {wait_for::notification};
    std::stop_source source;
    auto whole = on.start_with(source.get_token());
    source.request_stop();
    whole.destroy();
    on.turn();
    CHECK_FALSE(on.ended.has_value());
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("A system error thrown by an attempt is the operation's failure") {
    bench on;
    on.by.refused = true;
    const auto whole = on.start();
    REQUIRE(whole.ended());
    CHECK(on.failure() == std::errc::resource_unavailable_try_again);
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("An operation that is awaited again completes as it did") {
    bench on;
    on.by.answers = {wait_for::notification};
    const auto twice = [](bench& by) -> started {
        auto op = by.make();
        by.ended.emplace(co_await as_result(op.within(1s)));
        CHECK(by.failure() == errc::timed_out);
        by.ended.reset();
        by.ended.emplace(co_await as_result(op.within(1s)));
    };
    const auto whole = twice(on);
    on.clock.advance(1s);
    on.turn();
    REQUIRE(whole.ended());
    CHECK(on.failure() == errc::timed_out);
    CHECK(on.by.attempts == 1);
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("An operation that was made and never awaited leaves nothing behind") {
    bench on;
    {
        const auto unused = on.make();
        CHECK_FALSE(unused.waiting());
    }
    CHECK(on.by.attempts == 0);
    CHECK(on.by.withdrawals == 0);
}

TEST_CASE("A retry that finds no memory fails the operation") {
    bench on;
    on.by.answers = {wait_for::next_turn};
    on.by.out_of_memory = true;
    const auto whole = on.start();
    on.turn();
    REQUIRE(whole.ended());
    CHECK(on.failure() == std::errc::not_enough_memory);
    CHECK(on.by.withdrawals == 1);
}

TEST_CASE("A first try that finds no memory fails the operation, and leaves nothing behind") {
    bench on;
    on.by.out_of_memory = true;
    const auto whole = on.start();
    REQUIRE(whole.ended());
    CHECK(on.failure() == std::errc::not_enough_memory);
    CHECK(on.by.withdrawals == 1);
    on.turn();
    CHECK(on.by.attempts == 1);
}

TEST_CASE("Operations that never wait let others run in between") {
    event_loop loop;
    script by;
    int first = 0;
    int second_when_first_ended = 0;
    int second = 0;
    const auto work = [&](int& done) -> task<> {
        for (int i = 0; i < 1000; ++i) {
            const int value = co_await probe(loop, by);
            done += value == 42 ? 1 : 0;
        }
    };
    const auto first_work = [&]() -> task<> {
        co_await work(first);
        second_when_first_ended = second;
    };
    loop.spawn(first_work());
    loop.spawn(work(second));
    loop.run();
    CHECK(first == 1000);
    CHECK(second == 1000);
    CHECK(second_when_first_ended > 900);
}

TEST_CASE("At its deadline, too, an operation is tried only where its coroutine can be resumed") {
    bench on;
    on.by.answers = {wait_for::next_turn};
    std::stop_source stop;
    started whole;
    const auto strike = [&]() -> started {
        static_cast<void>(co_await as_result(on.loop.sleep(1h).cancel_on(stop.get_token())));
        whole.destroy(); // ahead of it, in the turn after the deadline
    };
    const auto striking = strike();
    whole = on.start_until(on.clock.now() + 1s);
    stop.request_stop();
    on.clock.advance(1s);
    on.turn();
    CHECK(whole.ended());
    CHECK(on.by.attempts == 1);
    CHECK_FALSE(on.ended.has_value());
}

TEST_CASE("An operation that has used up its turn has one more at its deadline, and no third") {
    for (const int more : {0, 1}) {
        bench on;
        on.by.answers.assign(1U + static_cast<unsigned>(more), wait_for::next_turn);
        const auto whole = on.start_until(on.clock.now() + 1s);
        on.clock.advance(1s);
        on.turn();
        REQUIRE(whole.ended());
        CHECK(on.by.attempts == 2);
        CHECK(on.ended->has_value() == (more == 0));
    }
}

TEST_CASE("An operation that another thread schedules as it ends at once is resumed once") {
    bench test;
    test.by.scheduled = true;
    test.loop.run([](bench& in) -> task<> {
        auto kept = in.make();
        const auto ended = co_await as_result(std::move(kept));
        CHECK(ended.value() == 42);
        co_await in.loop.yield();
        co_await in.loop.yield();
    }(test));
    CHECK(test.by.attempts == 1);
}
