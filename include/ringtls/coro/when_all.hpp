// SPDX-License-Identifier: MIT
// Several tasks at once, awaited together.
#pragma once

#include <ringtls/coro/task.hpp>

#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {
namespace detail {

/// Counts the parts that have not ended, and one more for the starter, so that the awaiter is
/// resumed exactly once however the parts end.
struct when_all_state {
    std::size_t open = 1;
    std::coroutine_handle<> waiter;
    std::exception_ptr first_failure;

    /// The coroutine to go on with when one count ends.
    std::coroutine_handle<> end_one() noexcept {
        --open;
        return open == 0 ? waiter : std::noop_coroutine();
    }
};

/// One part: runs its task, stores what it ended with, and counts down.
class when_all_part {
  public:
    struct promise_type {
        when_all_state* state = nullptr;

        when_all_part get_return_object() noexcept {
            return when_all_part(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct awaiter {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<>
                await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
                    return ended.promise().state->end_one();
                }
                void await_resume() const noexcept {}
            };
            return awaiter{};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept {
            if (!state->first_failure)
                state->first_failure = std::current_exception();
        }
    };

    when_all_part(when_all_part&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    when_all_part& operator=(when_all_part&&) = delete;
    ~when_all_part() {
        if (frame_)
            frame_.destroy();
    }

    void start(when_all_state& state) const {
        ++state.open;
        frame_.promise().state = &state;
        frame_.resume();
    }

  private:
    explicit when_all_part(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

template<class T>
using when_all_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template<class T>
when_all_part run_part(task<T> work, std::optional<when_all_value<T>>& place) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(work);
        place.emplace();
    } else {
        place.emplace(co_await std::move(work));
    }
}

/// Starts every part, and resumes when the last has ended. Trivially copyable.
template<class Parts>
struct when_all_awaiter {
    when_all_state* state;
    Parts* parts;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) const {
        state->waiter = waiter;
        for (const auto& part : *parts)
            part.start(*state);
        return state->end_one();
    }
    void await_resume() const {
        if (state->first_failure)
            std::rethrow_exception(state->first_failure);
    }
};

} // namespace detail

/// Runs the tasks concurrently on this thread; completes when all have ended.
///
/// Completes with a tuple of their values, std::monostate for void. If any threw, waits for the
/// others all the same and then throws what was thrown first; later exceptions are dropped.
/// Destroying the awaiting frame destroys all of them.
template<class... T>
[[nodiscard]] task<std::tuple<detail::when_all_value<T>...>> when_all(task<T>... work) {
    std::tuple<std::optional<detail::when_all_value<T>>...> places;
    detail::when_all_state state;
    auto parts = std::apply(
        [&](auto&... place) {
            return std::array<detail::when_all_part, sizeof...(T)>{
                detail::run_part<T>(std::move(work), place)...};
        },
        places);
    co_await detail::when_all_awaiter<decltype(parts)>{&state, &parts};
    co_return std::apply(
        [](auto&... place) {
            return std::tuple<detail::when_all_value<T>...>(*std::move(place)...);
        },
        places);
}

/// The same for any number of tasks of one type: completes with their values in order, or with
/// nothing for task<void>.
template<class T>
[[nodiscard]] auto when_all(std::vector<task<T>> work)
    -> task<std::conditional_t<std::is_void_v<T>, void, std::vector<detail::when_all_value<T>>>> {
    std::vector<std::optional<detail::when_all_value<T>>> places(work.size());
    std::vector<detail::when_all_part> parts;
    parts.reserve(work.size());
    for (std::size_t i = 0; i < work.size(); ++i)
        parts.push_back(detail::run_part<T>(std::move(work[i]), places[i]));
    detail::when_all_state state;
    co_await detail::when_all_awaiter<decltype(parts)>{&state, &parts};
    if constexpr (!std::is_void_v<T>) {
        std::vector<T> values;
        values.reserve(places.size());
        for (auto& place : places)
            values.push_back(*std::move(place));
        co_return values;
    }
}

} // namespace ringtls
