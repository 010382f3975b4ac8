// SPDX-License-Identifier: MIT
// A coroutine type that is not the library's: starts at once, and dies with its object. What a test
// holds to destroy a frame while it is suspended.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

namespace ringtls::test {

class started {
  public:
    struct promise_type {
        std::exception_ptr failure;

        /// Not from the operator new that tests replace to count, and fail, the library's.
        static void* operator new(std::size_t size) {
            if (void* const made = std::malloc(size))
                return made;
            throw std::bad_alloc();
        }
        static void operator delete(void* old) noexcept { std::free(old); }

        started get_return_object() noexcept {
            return started(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }
    };

    started() noexcept = default;
    started(started&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    started& operator=(started&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~started() { destroy(); }

    void destroy() {
        if (frame_)
            std::exchange(frame_, nullptr).destroy();
    }
    /// A frame that was destroyed has ended, too.
    [[nodiscard]] bool ended() const { return !frame_ || frame_.done(); }
    /// Throws what the coroutine threw.
    void check() const {
        if (frame_.promise().failure)
            std::rethrow_exception(frame_.promise().failure);
    }

  private:
    explicit started(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

/// Suspends whoever awaits passed(), until it is opened.
class gate {
  public:
    [[nodiscard]] auto passed() noexcept {
        struct awaiter {
            gate* self;
            [[nodiscard]] bool await_ready() const noexcept { return self->open_; }
            void await_suspend(std::coroutine_handle<> waiter) const noexcept {
                self->waiter_ = waiter;
            }
            void await_resume() const noexcept {}
        };
        return awaiter{this};
    }

    [[nodiscard]] bool has_waiter() const noexcept { return static_cast<bool>(waiter_); }
    void open() {
        open_ = true;
        if (waiter_)
            std::exchange(waiter_, nullptr).resume();
    }

  private:
    bool open_ = false;
    std::coroutine_handle<> waiter_;
};

} // namespace ringtls::test
