// SPDX-License-Identifier: MIT
// Signals as something a coroutine waits for.
#pragma once

#include <ringtls/loop/event_loop.hpp>

#include <initializer_list>

namespace [[gnu::visibility("default")]] ringtls {

/// Waits for a signal of a set. Completes with its number (signal(7)).
class [[nodiscard]] signal_operation final : public basic_operation<signal_operation, int> {
  public:
    signal_operation(event_loop& loop, int fd) noexcept;
    ~signal_operation() { abandon(); }
    [[nodiscard]] int take_value() const noexcept { return number_; }

  private:
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }

    int fd_;
    int number_ = 0;
};

/// Signals that are awaited instead of delivered (signalfd(2)).
///
///     signal_set endings{SIGINT, SIGTERM};      // first thing in main()
///     co_await endings.next(loop);
///
/// Thread rule: next() on any loop's thread, each signal goes to one that waits. Processes that
/// are started later inherit what is blocked, through fork(2) and exec(2).
class signal_set {
  public:
    /// Blocks these signals in the calling thread, and so in those that it starts later: a thread
    /// that runs already could still be interrupted by them. Throws error with the system's code.
    explicit signal_set(std::initializer_list<int> signals);
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    /// The signals stay blocked: one that has come meanwhile would end the process. No next() may
    /// be under way.
    ~signal_set();

    /// Several of the same kind that nobody has waited for yet count as one, but for real-time
    /// signals (signal(7)). A cancel loses none.
    [[nodiscard]] signal_operation next(event_loop& loop) noexcept { return {loop, fd_}; }

  private:
    int fd_;
};

} // namespace ringtls
