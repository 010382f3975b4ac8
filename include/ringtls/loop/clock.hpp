// SPDX-License-Identifier: MIT
// The loop's notion of time, and a clock that is moved by hand.
#pragma once

#include <chrono>

namespace [[gnu::visibility("default")]] ringtls {

/// What every duration and deadline in this library is measured by: CLOCK_MONOTONIC.
using loop_clock = std::chrono::steady_clock;

namespace detail {

/// A duration as the loop counts it, rounded up; the longest there is for one that is longer.
template<class Rep, class Period>
constexpr loop_clock::duration loop_duration(std::chrono::duration<Rep, Period> time) {
    using approximate = std::chrono::duration<double>;
    if (approximate(time) >= approximate(loop_clock::duration::max()))
        return loop_clock::duration::max();
    if (approximate(time) <= approximate(loop_clock::duration::min()))
        return loop_clock::duration::min();
    return std::chrono::ceil<loop_clock::duration>(time);
}

/// So long after now; the last point in time that there is where the sum is beyond it.
constexpr loop_clock::time_point later(loop_clock::time_point now, loop_clock::duration time) {
    return time > loop_clock::time_point::max() - now ? loop_clock::time_point::max() : now + time;
}

} // namespace detail

/// A clock that stands still until it is moved, for tests of programs that wait.
///
/// Give it to event_loop_options::clock. A loop with such a clock never waits for a deadline: it
/// waits for readiness, and looks at its deadlines once a turn. Advance it on the loop's thread.
class manual_clock {
  public:
    [[nodiscard]] loop_clock::time_point now() const noexcept { return now_; }
    void advance(loop_clock::duration by) noexcept { now_ += by; }

  private:
    loop_clock::time_point now_ = loop_clock::now();
};

} // namespace ringtls
