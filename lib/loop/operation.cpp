// SPDX-License-Identifier: MIT
// The life of an operation: claim, try, wait, try again, end. See the header for the contract.
#include <ringtls/loop/operation.hpp>

#include "loop_core.hpp"

#include <poll.h>

#include <new>

namespace ringtls {

operation::operation(event_loop& loop, std::string_view name) noexcept
    : loop_(&loop), name_(name) {}

operation::~operation() {
    disarm();
}

void operation::limit(const limits& to) {
    if (to.deadline())
        limits_.until(*to.deadline());
    if (to.token().stop_possible())
        limits_.cancel_on(to.token());
}

void operation::limit_within(loop_clock::duration time) noexcept {
    within_ = time < within_ ? time : within_;
}

bool operation::await_ready() {
    if (state_ != state::fresh)
        return true; // awaited once more: it stays what it was
    if (limits_.token().stop_requested()) {
        fail(errc::canceled);
        state_ = state::over;
        return true;
    }
    if (!claim()) {
        state_ = state::over;
        return true;
    }
    if (!loop_->core().spend()) {
        next_ = wait_for::next_turn;
        return false;
    }
    next_ = try_once();
    if (next_ == wait_for::nothing)
        state_ = state::over;
    return state_ == state::over;
}

/// An attempt, whatever it throws. What was done before that is known to the operation, and is
/// told.
wait_for operation::try_once() noexcept {
    try {
        return attempt();
    } catch (const error& failure) {
        withdraw();
        fail(failure.code(), failure.details());
    } catch (const std::system_error& failure) {
        withdraw();
        fail(failure.code());
    } catch (const std::bad_alloc&) {
        withdraw();
        fail(std::make_error_code(std::errc::not_enough_memory));
    }
    return wait_for::nothing;
}

void operation::await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    state_ = state::waiting;
    loop_->core().operation_waits();
    if (within_ != loop_clock::duration::max())
        limits_.until(detail::later(loop_->now(), within_));
    arm_deadline();
    if (!wait(next_)) {
        end();
        return;
    }
    if (limits_.token().stop_possible())
        stop_.emplace(limits_.token(), stop_hook{this});
}

void operation::arm_deadline() noexcept {
    if (limits_.deadline() && !timer.armed)
        loop_->core().arm_timer(*this, *limits_.deadline());
}

/// Leaves the operation waiting for this and nothing else. False if it cannot: it has failed.
bool operation::wait(wait_for what) noexcept {
    auto& core = loop_->core();
    if (poll != 0 && what != next_)
        core.cancel_poll(*this);
    next_ = what;
    switch (what) {
    case wait_for::nothing:
    case wait_for::notification:
        return true;
    case wait_for::readable:
        return poll_for(POLLIN);
    case wait_for::writable:
        return poll_for(POLLOUT);
    case wait_for::either:
        return poll_for(POLLIN | POLLOUT);
    case wait_for::hangup:
        return poll_for(0);
    case wait_for::next_turn:
        core.schedule_next_turn(*this);
        return true;
    }
    return true;
}

bool operation::poll_for(short events) noexcept {
    try {
        if (poll != 0)
            return true;
        if (const int fd = descriptor(); fd != no_descriptor) {
            loop_->core().arm_poll(*this, fd, events);
            look_ = loop_->core().looks();
        }
        return true;
    } catch (const std::bad_alloc&) {
        withdraw();
        fail(std::make_error_code(std::errc::not_enough_memory));
        return false;
    }
}

/// What this thread's news completes is resumed here and now, so that nothing can come between
/// the bytes that an attempt took and the coroutine they are for.
void operation::on(cause why, short events) {
    if (!waiter_) // another thread has scheduled it, and it ended all the same before it waited
        return;
    switch (why) {
    case cause::turn:
        if (waiting() && limits_.token().stop_requested()) {
            withdraw();
            fail(errc::canceled);
            finish();
        }
        if (waiting())
            arm_deadline(); // if it was put off
        [[fallthrough]];
    case cause::readiness:
        events_ = events;
        if (events == detail::no_room && waiting()) {
            withdraw();
            fail(std::make_error_code(std::errc::not_enough_memory));
            finish();
        }
        if (state_ == state::over || advance())
            waiter_.resume();
        return;
    case cause::deadline:
        expired();
        return;
    }
}

/// An operation that waits for its turn alone, for it has used up a budget, gets that turn; so does
/// one whose poll the kernel has not been asked about: what it waits for may be there. No more than
/// one: a peer that sends a little every turn must not put the end off. No attempt is made here,
/// where what it takes would have to wait for its coroutine.
void operation::expired() noexcept {
    const bool unasked = poll != 0 && look_ == loop_->core().looks();
    if (expire()) {
        end();
    } else if ((next_ == wait_for::next_turn || unasked) && !put_off_) {
        put_off_ = true;
        loop_->core().schedule_next_turn(*this);
    } else {
        interrupt(errc::timed_out);
    }
}

/// One more attempt, by the loop; true if it was the last. The coroutine is resumed only then.
bool operation::advance() noexcept {
    const auto next = try_once();
    events_ = 0;
    if (next != wait_for::nothing && wait(next))
        return false;
    finish();
    return true;
}

void operation::interrupt(std::error_code code) noexcept {
    if (!waiting())
        return;
    withdraw();
    fail(code);
    end();
}

/// Over, from a wait that something else has ended: resumed by the loop, in turn.
void operation::end() noexcept {
    finish();
    loop_->core().schedule(*this);
}

void operation::finish() noexcept {
    if (!waiting())
        return;
    state_ = state::over;
    disarm();
    loop_->core().operation_over();
}

void operation::abandon() noexcept {
    if (!waiting())
        return;
    withdraw();
    finish();
}

/// The stop callback first: its destructor waits for a call under way on another thread, after
/// which nothing new can be scheduled.
void operation::disarm() noexcept {
    stop_.reset();
    loop_->core().forget(*this);
}

void operation::fail(std::error_code code, std::shared_ptr<const error_details> details) noexcept {
    if (failed())
        return;
    code_ = code;
    details_ = std::move(details);
}

error operation::failure(std::size_t bytes) const {
    return {code_, name_, details_, bytes};
}

void operation::schedule() noexcept {
    if (waiting())
        loop_->core().schedule(*this);
}

void operation::schedule_remotely() noexcept {
    loop_->core().schedule_remotely(*this);
}
void operation::request_stop() noexcept {
    schedule_remotely();
}

poll_operation::poll_operation(event_loop& loop, int fd, poll_events events) noexcept
    : basic_operation(loop, "poll"), fd_(fd), asked_(events) {}

wait_for poll_operation::attempt() {
    answer_ = static_cast<poll_events>(ready_events()) &
              (asked_ | poll_events::error | poll_events::hangup);
    if (answer_ != poll_events::none)
        return wait_for::nothing;
    const bool readable = (asked_ & poll_events::readable) != poll_events::none;
    const bool writable = (asked_ & poll_events::writable) != poll_events::none;
    if (readable && writable)
        return wait_for::either;
    if (readable)
        return wait_for::readable;
    return writable ? wait_for::writable : wait_for::hangup;
}

sleep_operation::sleep_operation(event_loop& loop, loop_clock::time_point until) noexcept
    : basic_operation(loop, "sleep"), until_(until) {
    limit_until(until);
}

wait_for sleep_operation::attempt() {
    return expire() ? wait_for::nothing : wait_for::notification;
}

bool sleep_operation::expire() noexcept {
    return loop().now() >= until_;
}

yield_operation::yield_operation(event_loop& loop) noexcept : basic_operation(loop, "yield") {}

wait_for yield_operation::attempt() {
    return std::exchange(yielded_, true) ? wait_for::nothing : wait_for::next_turn;
}

} // namespace ringtls
