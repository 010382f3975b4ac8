// SPDX-License-Identifier: MIT
// Tells when files change.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace ringtls::detail {
class file_watch;
}

namespace [[gnu::visibility("default")]] ringtls {

/// Watches files by name: written, replaced by a rename, removed, made, or reached through other
/// symbolic links than before, as certificates are renewed (inotify(7)).
///
/// What it compares is the file that a name leads to, its size and the time of its last change, not
/// the content. Where inotify sees nothing (network file systems, changes in directories above a
/// file's own, no watches left), it looks once a `recheck`.
///
/// Thread rule: belongs to its loop's thread.
class file_watcher {
  public:
    /// What the files are like now is where the first change() starts from. A file that is not
    /// there may appear. Throws error with the system's code if there is no inotify instance left,
    /// with std::errc::invalid_argument for a recheck that is not more than 0.
    file_watcher(event_loop& loop, std::vector<std::string> paths,
                 loop_clock::duration recheck = std::chrono::minutes(1));
    template<class Rep, class Period>
    file_watcher(event_loop& loop, std::vector<std::string> paths,
                 std::chrono::duration<Rep, Period> recheck)
        : file_watcher(loop, std::move(paths), detail::loop_duration(recheck)) {}
    file_watcher(file_watcher&&) noexcept;
    file_watcher& operator=(file_watcher&&) noexcept;
    ~file_watcher();

    /// Completes when a file is not what it was at the last of: the making, a change() that
    /// completed, a call of accept(). The watcher outlives the task. Fails with errc::canceled
    /// when a stop is requested, and with errc::timed_out at the deadline.
    [[nodiscard]] task<> change(limits until = limits());

    /// Takes the files as they are now. True if that is not what they were.
    bool accept();

  private:
    std::unique_ptr<detail::file_watch> watch_;
};

} // namespace ringtls
