// SPDX-License-Identifier: MIT
// So many at once, counted over all loops of a process.
#pragma once

#include <ringtls/loop/event_loop.hpp>

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

namespace ringtls::detail {

/// A counting semaphore whose places are waited for by operations, first come, first served.
///
/// Thread rule: any thread; an operation waits on its own loop's. Outlives its places and
/// operations.
class gate {
  public:
    /// One of the places; given back when destroyed.
    class place {
      public:
        explicit place(gate& of) noexcept : of_(&of) {}
        place(place&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
        place& operator=(place&&) = delete;
        ~place() {
            if (of_)
                of_->leave();
        }

      private:
        gate* of_;
    };

    class operation;

    explicit gate(std::size_t most) noexcept : free_(most) {}
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    /// None if there is none free.
    [[nodiscard]] std::optional<place> try_enter() noexcept;
    /// Completes with a place.
    [[nodiscard]] operation enter(event_loop& loop) noexcept;

  private:
    [[nodiscard]] bool take_or_queue(operation& waiter) noexcept;
    void withdraw(operation& waiter) noexcept;
    void leave() noexcept;
    void queue(operation& waiter) noexcept;
    void unqueue(operation& waiter) noexcept;

    std::mutex mutex_; ///< guards the rest, and the operations' parts below
    std::size_t free_;
    operation* first_ = nullptr; ///< who waits
    operation* last_ = nullptr;
};

class [[nodiscard]] gate::operation final : public basic_operation<gate::operation, gate::place> {
  public:
    operation(event_loop& loop, gate& of) noexcept
        : basic_operation(loop, "admission"), gate_(of) {}
    /// Its coroutine may be destroyed before it takes the place.
    ~operation() {
        abandon();
        if (granted_)
            gate_.leave();
    }
    [[nodiscard]] place take_value() noexcept {
        granted_ = false;
        return place(gate_);
    }

  private:
    friend gate;

    wait_for attempt() override {
        return gate_.take_or_queue(*this) ? wait_for::nothing : wait_for::notification;
    }
    void withdraw() noexcept override { gate_.withdraw(*this); }

    gate& gate_;
    operation* previous_ = nullptr; ///< in the queue
    operation* next_ = nullptr;
    bool queued_ = false;
    bool granted_ = false; ///< a place is kept for it
};

inline gate::operation gate::enter(event_loop& loop) noexcept {
    return {loop, *this};
}

} // namespace ringtls::detail
