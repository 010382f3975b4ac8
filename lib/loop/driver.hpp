// SPDX-License-Identifier: MIT
// What the loop asks of the kernel: readiness, and a way to be woken.
#pragma once

#include <ringtls/loop/event_loop.hpp>

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ringtls::detail {

/// In place of a poll's revents: the kernel has no room for it. (What poll(2) means by this, a
/// descriptor that is not open, is POLLERR here: the retried call finds out.)
constexpr short no_room = POLLNVAL;

/// Receives completions, one at a time, while the driver waits.
class completion_sink {
  public:
    /// The entry's poll has ended, with poll(2)'s revents. May arm and cancel others.
    virtual void completed(loop_entry& entry, short events) = 0;

  protected:
    ~completion_sink() = default;
};

/// arm, cancel, wait, wake: all that a kernel interface has to offer to carry the loop.
class driver {
  public:
    using token = std::uint64_t; ///< 0: none

    driver() = default;
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    virtual ~driver() = default;

    /// Polls fd once for these events (poll(2)'s bits). Makes no system call before wait(). An
    /// end with none of the events asked for, and no error, is not reported. Throws
    /// std::bad_alloc.
    virtual token arm(int fd, short events, loop_entry& entry) = 0;

    /// The entry is not touched again, and fd may be closed. Makes no system call before wait().
    virtual void cancel(token poll) noexcept = 0;

    /// Submits what was armed and cancelled, waits for a completion, wake() or the time-out
    /// (absent: none; zero: only looks), and hands out the completions. Without a sink it neither
    /// waits nor hands out: it submits as far as the kernel takes it now, so that the files of
    /// cancelled polls are let go of, and what completes is for the next wait(). May return
    /// early, with nothing. Throws error if the kernel refuses, and what the sink throws: what is
    /// not submitted or handed out then is for the next wait().
    virtual void wait(std::optional<std::chrono::nanoseconds> timeout, completion_sink* sink) = 0;

    /// From any thread: has the wait() that is under way, or else the next, return.
    virtual void wake() noexcept = 0;

    /// A descriptor that is readable when the next wait() has something to do, and may be so for
    /// nothing, once; -1: this driver has none, and can hand over.
    [[nodiscard]] virtual int descriptor() const noexcept { return -1; }

    /// Arms on another driver what is armed here, and gives the entries their new tokens. Nothing
    /// but the destructor may be called any more. Throws std::bad_alloc, and has done nothing then.
    virtual void hand_over(driver& /*to*/) {}

    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// Adds what it knows of: enters, polls, completions.
    virtual void count(event_loop_counters& into) const noexcept = 0;
};

/// Throws error with the kernel's reason if it refuses io_uring, or what is needed of it.
std::unique_ptr<driver> make_io_uring_driver();

/// Throws error with the kernel's reason if it has nothing left to give.
std::unique_ptr<driver> make_epoll_driver();

/// The driver of this name; empty: RINGTLS_DRIVER, or else io_uring, or else epoll, and then reason
/// says what io_uring was refused with. Throws error.
std::unique_ptr<driver> make_driver(std::string_view name, std::string& reason);

} // namespace ringtls::detail
