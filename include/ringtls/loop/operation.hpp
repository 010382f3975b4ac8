// SPDX-License-Identifier: MIT
// What everything awaitable in this library is: attempts, waits, a deadline, a stop.
#pragma once

#include <ringtls/base/result.hpp>
#include <ringtls/loop/clock.hpp>
#include <ringtls/loop/limits.hpp>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace ringtls::detail {
struct loop_core;
}

namespace [[gnu::visibility("default")]] ringtls {

class event_loop;

namespace detail {

/// What a loop can call back: something that waits. The members are the loop's own bookkeeping
/// (an entry is in at most one of each), kept here so that waiting allocates nothing.
class loop_entry {
  public:
    /// turn: it was scheduled, here or by another thread, or a stop was requested. readiness: its
    /// poll completed. deadline: its timer expired.
    enum class cause { turn, readiness, deadline };

    struct list_hook {
        loop_entry* previous = nullptr;
        loop_entry* next = nullptr;
        const void* list = nullptr; ///< the list it is in; null: none
    };
    struct timer_hook {
        loop_clock::time_point deadline;
        loop_entry* child = nullptr;
        loop_entry* sibling = nullptr;
        loop_entry* previous = nullptr; ///< elder sibling, or parent of an eldest child
        bool armed = false;
    };

    loop_entry() noexcept = default;
    loop_entry(const loop_entry&) = delete;
    loop_entry& operator=(const loop_entry&) = delete;

    /// events: poll(2)'s revents, for readiness.
    virtual void on(cause why, short events) = 0;

    list_hook turn_hook;
    list_hook remote_hook;
    timer_hook timer;
    std::atomic<bool> remote = false; ///< another thread, or a stop, has asked for it, ever
    std::uint64_t poll = 0;           ///< the driver's token of the poll in flight; 0: none

  protected:
    ~loop_entry() = default;
};

} // namespace detail

/// What an attempt left its operation waiting for.
enum class wait_for {
    nothing,      ///< it is over
    readable,     ///< POLLIN on its descriptor
    writable,     ///< POLLOUT on its descriptor
    either,       ///< the one or the other
    hangup,       ///< neither: only an error or a hang-up of its descriptor
    notification, ///< whoever makes progress possible schedules it
    next_turn,    ///< its turn's budget is used up; it goes on in the next
};

/// Base of every operation: an awaiter that tries first, waits second, and tries again.
///
/// An operation is made by a call such as stream::read() and awaited in the same expression. It
/// lives in the awaiting coroutine's frame, allocates nothing, and is neither copied nor moved,
/// for the kernel, OpenSSL and the loop know its address. await_suspend() takes any
/// std::coroutine_handle<>, so that it can be awaited in any coroutine type.
///
/// Thread rule: made, awaited and destroyed on the loop's thread. Only a stop may be requested
/// from another.
/// Cancellation: a stop requested before the operation starts fails it untried. A deadline is
/// looked at only when the operation has to wait. Destroying the frame is a cancel that nobody
/// hears of.
/// Memory: where there is none to go on, an operation fails with std::errc::not_enough_memory, and
/// tells what it had done by then. If there is none for the error either, std::bad_alloc is thrown.
class operation : private detail::loop_entry {
  public:
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    /// The awaiter's interface ([expr.await]).
    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiter);

    /// What the modifiers set. Before it is awaited only.
    void limit(const limits& to);
    void limit_within(loop_clock::duration time) noexcept;
    void limit_until(loop_clock::time_point deadline) noexcept { limits_.until(deadline); }
    void limit_stop(std::stop_token token) noexcept { limits_.cancel_on(std::move(token)); }

    [[nodiscard]] std::string_view name() const noexcept { return name_; }

  protected:
    /// name must outlive the operation: a literal.
    operation(event_loop& loop, std::string_view name) noexcept;
    ~operation();

    /// Takes what the operation needs for itself, before anything is tried; false after fail() if
    /// it cannot have it.
    virtual bool claim() { return true; }
    /// Tries once. Called when awaited, and after each wait. Returns what to wait for next; ends
    /// with wait_for::nothing, after fail() if it failed. May throw std::bad_alloc or
    /// error, which fail it, too.
    virtual wait_for attempt() = 0;
    /// Gives back what it claimed: it ends early, by a stop, its deadline or its destruction, or
    /// because there is no memory to go on.
    virtual void withdraw() noexcept {}
    /// Its deadline has passed while it waited: true if that is its success.
    [[nodiscard]] virtual bool expire() noexcept { return false; }
    /// The descriptor that `readable` and `writable` mean.
    [[nodiscard]] virtual int descriptor() const noexcept { return -1; }
    /// In a descriptor's place: these, too, wait for who schedules it.
    static constexpr int no_descriptor = -2;

    /// What it is called from now on, where it has several steps; a literal.
    void name(std::string_view step) noexcept { name_ = step; }
    void fail(std::error_code code,
              std::shared_ptr<const error_details> details = nullptr) noexcept;
    [[nodiscard]] bool failed() const noexcept { return static_cast<bool>(code_); }
    /// The error as it is reported; call only if failed().
    [[nodiscard]] error failure(std::size_t bytes = 0) const;

    /// Whether it waits: awaited, and not yet over.
    [[nodiscard]] bool waiting() const noexcept { return state_ == state::waiting; }
    /// Whether it waits for this.
    [[nodiscard]] bool waits(wait_for what) const noexcept { return waiting() && next_ == what; }
    /// poll(2)'s revents of the readiness that led to this attempt; 0: it was none.
    [[nodiscard]] short ready_events() const noexcept { return events_; }
    /// Has the loop attempt it again, soon; for wait_for::notification.
    void schedule() noexcept;
    /// Has another thread's work attempt it again. Safe on any thread while the operation lives.
    void schedule_remotely() noexcept;
    /// Ends it from outside: it resumes with this failure. Nothing if it does not wait.
    void interrupt(std::error_code code) noexcept;
    /// For a derived destructor: withdraws it if it still waits.
    void abandon() noexcept;

    [[nodiscard]] event_loop& loop() const noexcept { return *loop_; }

  private:
    friend detail::loop_core;

    /// fresh -> waiting -> over; fresh -> over if the first attempt ends it.
    enum class state : std::uint8_t { fresh, waiting, over };

    struct stop_hook {
        operation* self;
        void operator()() const noexcept { self->request_stop(); }
    };

    void on(cause why, short events) final;
    [[nodiscard]] bool advance() noexcept;
    [[nodiscard]] wait_for try_once() noexcept;
    [[nodiscard]] bool wait(wait_for what) noexcept;
    [[nodiscard]] bool poll_for(short events) noexcept;
    void arm_deadline() noexcept;
    void expired() noexcept;
    void end() noexcept;
    void finish() noexcept;
    void disarm() noexcept;
    void request_stop() noexcept;

    event_loop* loop_;
    std::string_view name_;
    std::coroutine_handle<> waiter_;
    limits limits_;
    loop_clock::duration within_ = loop_clock::duration::max(); ///< max: none
    std::optional<std::stop_callback<stop_hook>> stop_;
    std::error_code code_;
    std::shared_ptr<const error_details> details_;
    wait_for next_ = wait_for::nothing;
    state state_ = state::fresh;
    short events_ = 0;
    bool put_off_ = false;   ///< its deadline, by a turn
    std::uint64_t look_ = 0; ///< the loop's looks at the kernel when its poll was armed
};

/// An operation with modifiers, pointing at it: it is an awaiter itself, and trivially copyable.
///
/// The operation is a temporary that lives to the end of the full expression, so await the whole
/// expression at once: `co_await stream.read(buffer).within(5s)`.
template<class Operation>
class [[nodiscard]] limited {
  public:
    explicit limited(Operation& operation) noexcept : operation_(&operation) {}

    template<class Rep, class Period>
    limited within(std::chrono::duration<Rep, Period> time) const noexcept {
        operation_->limit_within(detail::loop_duration(time));
        return *this;
    }
    limited until(loop_clock::time_point deadline) const noexcept {
        operation_->limit_until(deadline);
        return *this;
    }
    limited cancel_on(std::stop_token token) const noexcept {
        operation_->limit_stop(std::move(token));
        return *this;
    }

    bool await_ready() const { return operation_->await_ready(); }
    void await_suspend(std::coroutine_handle<> waiter) const { operation_->await_suspend(waiter); }
    auto await_resume() const { return operation_->await_resume(); }
    auto resume_result() const { return operation_->resume_result(); }

  private:
    Operation* operation_;
};

/// Gives an operation its modifiers, and from `T take_value()` both ways to end.
template<class Derived, class T, class Base = operation>
class basic_operation : public Base {
  public:
    /// Fails with errc::timed_out unless it ends within this time of being awaited.
    template<class Rep, class Period>
    limited<Derived> within(std::chrono::duration<Rep, Period> time) noexcept {
        return limited<Derived>(self()).within(time);
    }
    /// Fails with errc::timed_out unless it ends by then.
    limited<Derived> until(loop_clock::time_point deadline) noexcept {
        return limited<Derived>(self()).until(deadline);
    }
    /// Fails with errc::canceled when a stop is requested, from whichever thread.
    limited<Derived> cancel_on(std::stop_token token) noexcept {
        return limited<Derived>(self()).cancel_on(std::move(token));
    }

    /// The value; throws ringtls::error if it failed.
    T await_resume() {
        if (this->failed())
            throw this->failure(self().bytes_done());
        return self().take_value();
    }
    /// The value or the error; what as_result() calls. Throws std::bad_alloc alone, unless the
    /// operation says otherwise.
    result<T> resume_result() {
        if (this->failed())
            return this->failure(self().bytes_done());
        if constexpr (std::is_void_v<T>)
            return self().take_value(), result<void>();
        else
            return self().take_value();
    }

    /// How much of it is done; what error::bytes() tells of a failed one.
    [[nodiscard]] std::size_t bytes_done() const noexcept { return 0; }
    void take_value() noexcept
        requires std::is_void_v<T>
    {}

  protected:
    using Base::Base;
    ~basic_operation() = default;

  private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }
};

} // namespace ringtls
