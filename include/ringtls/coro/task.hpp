// SPDX-License-Identifier: MIT
// A lazy coroutine with one awaiter, resumed by symmetric transfer.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

template<class T>
class task;

namespace detail {

/// Hands control to whoever awaits the task, without growing the stack.
struct task_final_awaiter {
    bool await_ready() const noexcept { return false; }
    template<class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
        return ended.promise().continuation;
    }
    void await_resume() const noexcept {}
};

struct task_promise_base {
    std::suspend_always initial_suspend() const noexcept { return {}; }
    task_final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { failure = std::current_exception(); }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr failure;
};

template<class T>
struct task_promise final : task_promise_base {
    task<T> get_return_object() noexcept;

    template<class U = T>
        requires std::is_convertible_v<U&&, T>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }

    T take() {
        if (failure)
            std::rethrow_exception(failure);
        return *std::move(value);
    }

    std::optional<T> value;
};

template<class T>
struct task_promise<T&> final : task_promise_base {
    task<T&> get_return_object() noexcept;
    void return_value(T& result) noexcept { value = &result; }

    T& take() {
        if (failure)
            std::rethrow_exception(failure);
        return *value;
    }

    T* value = nullptr;
};

template<>
struct task_promise<void> final : task_promise_base {
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}

    void take() const {
        if (failure)
            std::rethrow_exception(failure);
    }
};

} // namespace detail

/// A coroutine that starts when it is awaited, and resumes its awaiter when it ends.
///
/// Completes with what it returned; throws what it threw. Awaiting it takes it: it can be awaited
/// once, as an rvalue. Destroying a task that is suspended destroys its frame, and with it every
/// operation that the frame waits on; that counts as a cancel that nobody hears of.
///
/// Await chains of any length and depth use no stack, for await_suspend returns the next handle
/// ([expr.await]), and the compiler jumps to it. Clang always does. GCC (12.2) does only under
/// -foptimize-sibling-calls, which -O2, -O3 and -Os include and the other levels take as an option,
/// and never from code instrumented for -fsanitize=address or thread. Where it does not, each await
/// of a task uses some 50 to 800 bytes of stack until the coroutine next suspends to its loop.
///
/// GCC 12 destroys an aggregate temporary with a destructor twice if it is an argument of an
/// awaited call (`co_await f({.name = text})`). Give such parameter types a constructor.
template<class T = void>
class [[nodiscard]] task {
  public:
    using promise_type = detail::task_promise<T>;
    using value_type = T;

    task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        task(std::move(other)).swap(*this);
        return *this;
    }
    ~task() {
        if (frame_)
            frame_.destroy();
    }

    void swap(task& other) noexcept { std::swap(frame_, other.frame_); }

    auto operator co_await() && noexcept {
        struct awaiter {
            std::coroutine_handle<promise_type> frame;

            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) const noexcept {
                frame.promise().continuation = waiter;
                return frame;
            }
            T await_resume() const { return frame.promise().take(); }
        };
        return awaiter{frame_};
    }

  private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template<class T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

template<class T>
task<T&> task_promise<T&>::get_return_object() noexcept {
    return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
}

inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

} // namespace detail
} // namespace ringtls
