// SPDX-License-Identifier: MIT
// A deadline, and a stop, for a whole task.
#pragma once

#include <ringtls/base/error.hpp>
#include <ringtls/coro/stoppable_work.hpp>
#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/operation.hpp>

#include <chrono>
#include <functional>
#include <stop_token>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {
namespace detail {

/// Requests a stop when a deadline passes.
class deadline_stop final : loop_entry {
  public:
    deadline_stop(event_loop& loop, const limits& by);
    ~deadline_stop();

    [[nodiscard]] std::stop_token token() const noexcept { return stop_.token(); }
    /// Whether it was the deadline that requested the stop.
    [[nodiscard]] bool passed() const noexcept { return passed_; }

  private:
    void on(cause why, short events) override;

    event_loop* loop_;
    linked_stop stop_;
    bool passed_ = false;
};

} // namespace detail

/// Runs work with a deadline over all of it, and passes a stop on. When the time is over the work
/// is told to stop, and awaited: nothing goes on behind the caller's back, and work that does not
/// heed its token is waited for.
///
///     co_await with_limits(loop, limits().until(deadline).cancel_on(stop),
///                          [&](std::stop_token stop) -> task<> {
///         co_await stream.handshake().cancel_on(stop);
///         co_await stream.write(greeting).cancel_on(stop);
///     });
///
/// Completes with what the work does, also after the deadline: what it has in spite of a stop is
/// not thrown away. If it ends with errc::canceled after the deadline has stopped it, that is
/// thrown as errc::timed_out, with all else that the error tells; other errors are thrown as they
/// are. Where the caller's stop came before the deadline, errc::canceled stays. The work starts
/// when this is awaited, whatever the time: like an operation's, its deadline is looked at only
/// where it has to wait. Lifetime: what is called is kept until the end, so a lambda that is a
/// coroutine may capture. Destroying the awaiting frame destroys the work. Memory: a frame besides
/// the work's own, and a stop state.
template<stoppable_work Work>
[[nodiscard]] task<work_value<Work>> with_limits(event_loop& loop, limits by, Work work) {
    detail::deadline_stop deadline(loop, by);
    try {
        co_return co_await std::invoke(work, deadline.token());
    } catch (const error& failure) {
        if (!deadline.passed() || failure.code() != errc::canceled)
            throw;
        throw error(errc::timed_out, failure.operation(), failure.details(), failure.bytes());
    }
}

/// The same for a time that counts from this call.
template<class Rep, class Period, stoppable_work Work>
[[nodiscard]] auto within(event_loop& loop, std::chrono::duration<Rep, Period> time, Work work) {
    limits by; // GCC 12 takes a temporary's deadline for uninitialized under a sanitizer
    by.until(detail::later(loop.now(), detail::loop_duration(time)));
    return with_limits(loop, std::move(by), std::move(work));
}

} // namespace ringtls
