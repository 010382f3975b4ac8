// SPDX-License-Identifier: MIT
// A coroutine that belongs to an object of this library.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

namespace ringtls::detail {

/// Waits at its beginning, and goes on where it is resumed, until its holder destroys it. Nothing
/// may be thrown past its body.
class held_coroutine {
  public:
    struct promise_type {
        held_coroutine get_return_object() noexcept {
            return held_coroutine(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    held_coroutine(held_coroutine&& other) noexcept
        : frame_(std::exchange(other.frame_, nullptr)) {}
    held_coroutine& operator=(held_coroutine&&) = delete;
    ~held_coroutine() {
        if (frame_)
            frame_.destroy();
    }

    void resume() const { frame_.resume(); }

  private:
    explicit held_coroutine(std::coroutine_handle<> frame) noexcept : frame_(frame) {}

    std::coroutine_handle<> frame_;
};

} // namespace ringtls::detail
