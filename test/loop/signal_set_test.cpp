// SPDX-License-Identifier: MIT
#include <ringtls/loop/signal_set.hpp>

#include "../support/plain_sockets.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_all.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>

namespace ringtls {
namespace {

using namespace std::chrono_literals;

task<int> next_of(signal_set& from, event_loop& loop) {
    co_return co_await from.next(loop);
}

} // namespace

TEST_CASE("a signal of the set is awaited, one that came before too") {
    signal_set signals{SIGUSR1, SIGUSR2};
    event_loop loop;
    std::raise(SIGUSR2);
    CHECK(loop.run(next_of(signals, loop)) == SIGUSR2);
    loop.post([] { std::raise(SIGUSR1); });
    CHECK(loop.run(next_of(signals, loop)) == SIGUSR1);
}

TEST_CASE("a cancelled wait loses no signal") {
    signal_set signals{SIGUSR1};
    event_loop loop;
    loop.run([](signal_set& from, event_loop& on) -> task<> {
        const auto late = co_await as_result(from.next(on).within(0s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
        std::raise(SIGUSR1);
        std::raise(SIGUSR1); // the same once more
        const auto came = co_await from.next(on);
        CHECK(came == SIGUSR1);
        const auto none = co_await as_result(from.next(on).within(0s));
        CHECK(!none);
    }(signals, loop));
}

TEST_CASE("each signal goes to one of those that wait") {
    signal_set signals{SIGUSR1, SIGUSR2};
    event_loop loop;
    loop.post([] {
        std::raise(SIGUSR1);
        std::raise(SIGUSR2);
    });
    const auto came = loop.run(when_all(next_of(signals, loop), next_of(signals, loop)));
    CHECK(std::get<0>(came) + std::get<1>(came) == SIGUSR1 + SIGUSR2);
}

TEST_CASE("what is no signal is refused, and leaves nothing open or blocked") {
    const auto before = test::open_descriptors();
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    const bool was = sigismember(&blocked, SIGWINCH) == 1;
    CHECK_THROWS_AS((signal_set{SIGWINCH, 1000}), error);
    CHECK(test::open_descriptors() == before);
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    CHECK((sigismember(&blocked, SIGWINCH) == 1) == was);
}

} // namespace ringtls
