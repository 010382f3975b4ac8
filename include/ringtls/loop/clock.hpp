// SPDX-License-Identifier: MIT
// The loop's notion of time, and a clock that is moved by hand.
#pragma once

#include <chrono>

namespace ringtls {

/// What every duration and deadline in this library is measured by: CLOCK_MONOTONIC.
using loop_clock = std::chrono::steady_clock;

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
