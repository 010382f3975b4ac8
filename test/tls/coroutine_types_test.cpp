// SPDX-License-Identifier: MIT
// Operations and tasks awaited in coroutine types of others, as other libraries build them.
#include "../started.hpp"
#include "../support/loopback.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <coroutine>
#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace ringtls;
using namespace std::chrono_literals;
using test::loopback;
using test::started;

namespace {

/// Lazy, resumes its awaiter by symmetric transfer, and its promise hands awaiters on by reference,
/// as those do that refuse some of them (cppcoro, QCoro).
class lazy {
  public:
    struct promise_type {
        std::coroutine_handle<> waiter;
        std::exception_ptr failure;

        lazy get_return_object() noexcept {
            return lazy(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct awaiter {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<>
                await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
                    return ended.promise().waiter;
                }
                void await_resume() const noexcept {}
            };
            return awaiter{};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }
        template<class Awaited>
        Awaited&& await_transform(Awaited&& awaited) const noexcept {
            return std::forward<Awaited>(awaited);
        }
    };

    lazy(lazy&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    lazy& operator=(lazy&&) = delete;
    ~lazy() {
        if (frame_)
            frame_.destroy();
    }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) const noexcept {
        frame_.promise().waiter = waiter;
        return frame_;
    }
    void await_resume() const {
        if (frame_.promise().failure)
            std::rethrow_exception(frame_.promise().failure);
    }

  private:
    explicit lazy(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    std::coroutine_handle<promise_type> frame_;
};

/// Where coroutines of the next type are resumed, and nowhere else.
struct executor {
    std::deque<std::coroutine_handle<>> ready;
    bool running = false;

    void run() {
        running = true;
        while (!ready.empty()) {
            const auto next = ready.front();
            ready.pop_front();
            next.resume();
        }
        running = false;
    }
};

/// Has an executor resume whom it was made for.
class relay {
  public:
    struct promise_type {
        relay get_return_object() noexcept {
            return relay(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    relay(relay&& other) noexcept : frame(std::exchange(other.frame, nullptr)) {}
    relay& operator=(relay&& other) noexcept {
        std::swap(frame, other.frame);
        return *this;
    }
    ~relay() {
        if (frame)
            frame.destroy();
    }
    relay() noexcept = default;

    std::coroutine_handle<promise_type> frame;

  private:
    explicit relay(std::coroutine_handle<promise_type> made) noexcept : frame(made) {}
};

relay resume_on(executor& on, std::coroutine_handle<> waiter) {
    on.ready.push_back(waiter);
    co_return;
}

/// Starts at once, and wraps what it awaits, to be resumed by an executor (folly's,
/// std::execution's tasks).
class scheduled {
  public:
    struct promise_type {
        executor& on;
        std::exception_ptr failure;

        promise_type(executor& by, loopback& /*link*/, std::string& /*got*/) noexcept : on(by) {}
        scheduled get_return_object() noexcept {
            return scheduled(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }

        template<class Awaiter>
        struct wrapped {
            executor& on;
            Awaiter& inner;
            relay through;

            bool await_ready() { return inner.await_ready(); }
            void await_suspend(std::coroutine_handle<> waiter) {
                through = resume_on(on, waiter);
                inner.await_suspend(through.frame);
            }
            auto await_resume() { return inner.await_resume(); }
        };
        template<class Awaiter>
        wrapped<Awaiter> await_transform(Awaiter&& awaiter) noexcept {
            return {on, awaiter, {}};
        }
    };

    scheduled(scheduled&&) = delete;
    ~scheduled() { frame_.destroy(); }
    [[nodiscard]] bool ended() const { return frame_.done(); }
    void check() const {
        if (frame_.promise().failure)
            std::rethrow_exception(frame_.promise().failure);
    }

  private:
    explicit scheduled(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    std::coroutine_handle<promise_type> frame_;
};

/// What one read gives.
lazy read_text(stream& from, std::string& into) {
    std::array<char, 64> buffer;
    const auto count = co_await from.read(std::as_writable_bytes(std::span(buffer))).within(5s);
    into.assign(buffer.data(), count);
}

/// Calls that await others of their own type, tasks of the library, and results.
lazy converse(loopback& link, std::string& got) {
    co_await link.server.handshake().within(5s);
    co_await read_text(link.server, got);
    const auto written = co_await as_result(link.server.write(got));
    CHECK(written);
    co_await test::shut_down(link.server);
    const auto refused = co_await as_result(link.server.write("too late"));
    CHECK(!refused);
    const auto twice = [&link](std::stop_token /*stop*/) -> task<> { co_await link.loop.yield(); };
    co_await when_any(twice, twice);
    co_await link.server.write("throws").within(5s);
}

scheduled converse_scheduled(executor& on, loopback& link, std::string& got) {
    co_await link.server.handshake();
    CHECK(on.running);
    std::array<char, 64> buffer;
    const auto count = co_await link.server.read(std::as_writable_bytes(std::span(buffer)));
    CHECK(on.running);
    got.assign(buffer.data(), count);
    co_await link.server.write(got).within(5s);
    co_await link.server.shutdown().cancel_on(std::stop_token());
    CHECK(on.running);
    co_await link.server.write("throws");
}

task<> call(stream& client) {
    co_await client.write("from afar");
    std::array<char, 9> back;
    co_await client.read_exactly(std::as_writable_bytes(std::span(back)));
    CHECK(std::string_view(back.data(), back.size()) == "from afar");
    co_await client.shutdown();
}

/// Lets an executor run beside the loop until work has ended.
task<> drive(event_loop& loop, executor& on, const scheduled& work) {
    while (!work.ended()) {
        on.run();
        co_await loop.yield();
    }
}

template<class Work>
void check_write_closed(const Work& ended) {
    try {
        ended.check();
        FAIL("nothing was thrown");
    } catch (const error& failure) {
        CHECK(failure.code() == errc::write_closed);
    }
}

} // namespace

TEST_CASE("operations are awaited in a lazy type that hands awaiters on by reference") {
    loopback link(0, test::trusting(), test::serving(), true);
    std::string got;
    const auto run = [&]() -> started { co_await converse(link, got); };
    const auto whole = run();
    link.loop.run(call(link.client));
    link.loop.run();
    REQUIRE(whole.ended());
    CHECK(got == "from afar");
    check_write_closed(whole);
}

TEST_CASE("operations are awaited in a type that wraps them and resumes elsewhere") {
    loopback link(0, test::trusting(), test::serving(), true);
    std::string got;
    executor on;
    const auto whole = converse_scheduled(on, link, got);
    link.loop.run(when_all(call(link.client), drive(link.loop, on, whole)));
    REQUIRE(whole.ended());
    CHECK(got == "from afar");
    check_write_closed(whole);
}

TEST_CASE("a frame of another type that is destroyed while it waits disturbs nobody") {
    loopback link(0, test::trusting(), test::serving(), true);
    std::string got;
    {
        executor on;
        const auto waiting = converse_scheduled(on, link, got);
        link.loop.run([](event_loop& loop) -> task<> { co_await loop.yield(); }(link.loop));
        CHECK_FALSE(waiting.ended());
    }
    test::run_all(link.loop, test::shake_hands(link.client), test::shake_hands(link.server));
    const auto run = [&]() -> started { co_await read_text(link.server, got); };
    {
        const auto waiting = run();
        link.loop.run([](event_loop& loop) -> task<> { co_await loop.yield(); }(link.loop));
        CHECK_FALSE(waiting.ended());
    }
    const auto whole = run();
    link.loop.run([](stream& to) -> task<> { co_await to.write("still here"); }(link.client));
    link.loop.run();
    REQUIRE(whole.ended());
    CHECK(got == "still here");
}
