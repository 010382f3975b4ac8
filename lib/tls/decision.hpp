// SPDX-License-Identifier: MIT
// A task of the application's that a handshake waits for.
#pragma once

#include <ringtls/loop/operation.hpp>

#include "../loop/held_coroutine.hpp"
#include "failure.hpp"

namespace ringtls::detail {

class questions;

/// Told when it has ended; from the application's frames, so that it may only schedule.
class decision_waiter {
  public:
    virtual void decided() noexcept = 0;

  protected:
    ~decision_waiter() = default;
};

/// Begins in the loop's next dispatch, at its top level. Destroying it destroys the task.
class decision final : private loop_entry {
  public:
    /// Throws std::bad_alloc, and has taken nothing then.
    decision(loop_core& core, questions& asked, decision_waiter& waiter);
    ~decision();

    /// It has ended, and the answer, or why there is none, is where it was asked.
    [[nodiscard]] bool over() const noexcept { return over_; }

  private:
    static held_coroutine run(decision& self);
    void on(cause why, short events) override;

    loop_core& core_;
    questions& asked_;
    decision_waiter& waiter_;
    bool over_ = false;
    held_coroutine frame_; ///< last, for making it may throw
};

} // namespace ringtls::detail
