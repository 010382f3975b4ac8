// SPDX-License-Identifier: MIT
// SIGINT and SIGTERM as something a coroutine waits for.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>

namespace sample {

/// Blocks SIGINT and SIGTERM in the thread that makes it, and so in the threads made later by it,
/// and reads them from a descriptor instead (signalfd(2)). Make it before the first thread.
class termination_signals {
  public:
    /// Throws std::system_error.
    termination_signals();
    termination_signals(const termination_signals&) = delete;
    termination_signals& operator=(const termination_signals&) = delete;
    ~termination_signals();

    /// Completes when one of them has come.
    ringtls::task<> arrival(ringtls::event_loop& loop);

  private:
    int fd_;
};

} // namespace sample
