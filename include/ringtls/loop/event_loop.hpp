// SPDX-License-Identifier: MIT
// The loop that a thread's coroutines run on.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/clock.hpp>
#include <ringtls/loop/operation.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// What poll(2) waits for and answers; a set.
enum class poll_events : short {
    none = 0,
    readable = 0x001, ///< POLLIN
    writable = 0x004, ///< POLLOUT
    error = 0x008,    ///< POLLERR: answered, never asked for
    hangup = 0x010,   ///< POLLHUP: answered, never asked for
};
constexpr poll_events operator|(poll_events a, poll_events b) noexcept {
    return static_cast<poll_events>(static_cast<short>(a) | static_cast<short>(b));
}
constexpr poll_events operator&(poll_events a, poll_events b) noexcept {
    return static_cast<poll_events>(static_cast<short>(a) & static_cast<short>(b));
}

/// Waits until a descriptor is ready. Completes with poll(2)'s answer.
class [[nodiscard]] poll_operation final : public basic_operation<poll_operation, poll_events> {
  public:
    poll_operation(event_loop& loop, int fd, poll_events events) noexcept;
    ~poll_operation() { abandon(); }
    [[nodiscard]] poll_events take_value() const noexcept { return answer_; }

  private:
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }

    int fd_;
    poll_events asked_;
    poll_events answer_ = poll_events::none;
};

/// Waits for a point in time.
class [[nodiscard]] sleep_operation final : public basic_operation<sleep_operation, void> {
  public:
    sleep_operation(event_loop& loop, loop_clock::time_point until) noexcept;
    ~sleep_operation() { abandon(); }

  private:
    wait_for attempt() override;
    bool expire() noexcept override;

    loop_clock::time_point until_;
};

/// Lets everything else that is ready run first.
class [[nodiscard]] yield_operation final : public basic_operation<yield_operation, void> {
  public:
    explicit yield_operation(event_loop& loop) noexcept;
    ~yield_operation() { abandon(); }

  private:
    wait_for attempt() override;

    bool yielded_ = false;
};

/// How a loop is set up. Each setter returns the options, so that they chain.
class event_loop_options {
  public:
    event_loop_options() noexcept = default;

    /// Time by this clock, which must outlive the loop; the default is the system's.
    event_loop_options& clock(const manual_clock& by) noexcept {
        clock_ = &by;
        return *this;
    }
    /// "io_uring" or "epoll", or empty: the environment's RINGTLS_DRIVER, or else io_uring, or
    /// epoll where the kernel refuses that (event_loop::driver_reason()) for another reason than
    /// that no descriptor is left.
    event_loop_options& driver(std::string_view name) noexcept {
        driver_ = name;
        return *this;
    }
    /// For this long after it last had something to do, the loop asks the kernel for news again and
    /// again rather than sleep. That saves a wake-up, and takes a core for itself: for who answers
    /// a few peers in the least time, and has cores to spare. Never, unless set.
    template<class Rep, class Period>
    event_loop_options& busy_poll(std::chrono::duration<Rep, Period> time) noexcept {
        busy_poll_ = detail::loop_duration(time);
        return *this;
    }

    [[nodiscard]] const manual_clock* clock() const noexcept { return clock_; }
    [[nodiscard]] std::string_view driver() const noexcept { return driver_; }
    [[nodiscard]] loop_clock::duration busy_poll() const noexcept { return busy_poll_; }

  private:
    const manual_clock* clock_ = nullptr;
    std::string_view driver_;
    loop_clock::duration busy_poll_ = loop_clock::duration::zero();
};

/// What a loop has done so far.
struct event_loop_counters {
    std::uint64_t turns = 0;       ///< times it waited or looked for completions
    std::uint64_t enters = 0;      ///< system calls that submitted or waited: with epoll, one a
                                   ///< wait for a descriptor besides one a turn
    std::uint64_t polls = 0;       ///< polls armed
    std::uint64_t completions = 0; ///< completions taken from the kernel
};

/// Runs coroutines on one thread and resumes them when what they wait for happens.
///
/// Thread rule: a loop, and all that lives on it (operations, sockets, streams, tasks), belongs to
/// the thread that runs it; it may be made on another thread and handed over before it first
/// runs. Only post(), stop() and requesting a stop are for other threads.
/// Lifetime: the loop outlives all that is made on it. Its destructor destroys the spawned tasks
/// that have not ended, which counts as a cancel that nobody hears of.
/// Order: completions resume in the order in which the kernel reports them.
class event_loop {
  public:
    /// Throws error: errc::no_driver for a driver that there is not, or if there is none at all;
    /// the system's code if the kernel refuses the one that was asked for, or has no descriptor
    /// left.
    explicit event_loop(const event_loop_options& options = {});
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    ~event_loop();

    /// Runs until stop() is called, or no spawned task is left, no operation waits and nothing is
    /// posted. Can be called again after either. Throws error with errc::wrong_thread on a second
    /// thread, with errc::busy inside another run(), with the system's code if the kernel refuses
    /// to wait, and what a posted call or a handler set with on_unhandled() throws.
    void run();

    /// Runs until this task has ended; returns what it returned, throws what it threw. Other tasks
    /// that have not ended stay suspended for the next run(). If stop() comes first, destroys the
    /// task and throws error with errc::canceled. Throws as run() does otherwise, and destroys the
    /// task then too.
    template<class T>
    T run(task<T> main);

    /// For a loop that another one drives (epoll, poll(2), Asio's io_context): a descriptor that is
    /// readable, level-triggered, when run_ready() has something to do. So it is, too, after a
    /// spawn() or whatever else is begun on the loop's thread outside of run_ready(), after post()
    /// and stop() on any, and, but on a manual clock, when a deadline passes: who moves that calls
    /// run_ready(). From the first call on the loop goes on epoll, whatever it went on before. The
    /// descriptor is the loop's own, open until the loop is destroyed: only to be watched, and not
    /// any longer than that. Costs nothing unless it is called. Throws as run_ready() does.
    [[nodiscard]] int descriptor();

    /// One turn, without waiting: does what is ready, and submits what that asks of the kernel.
    /// Call it whenever descriptor() is readable. Returns whether anything is left that may go on:
    /// false as soon as run() would return, and once after a stop(), which has the loop do nothing
    /// more until the next call. Throws as run() does; what is left then is for the next call, and
    /// descriptor() is readable.
    bool run_ready();

    /// Owns a task, and runs it when those that are ready before it have run, never inside of this
    /// call. What it throws goes to on_unhandled().
    void spawn(task<> work);

    /// From any thread: has the loop call this, on its own thread, in the order of posting. What
    /// is posted after run() has returned waits for the next.
    void post(std::function<void()> call);

    /// From any thread: has run() return after the turn that is under way. The loop may be
    /// destroyed as soon as run() has returned for it.
    void stop() noexcept;

    /// Takes what a spawned task throws. The default prints it on stderr and calls
    /// std::terminate().
    void on_unhandled(std::function<void(std::exception_ptr)> handler);

    /// Waits until fd is ready as poll(2) says: for none, for an error or a hang-up. Do not close
    /// fd meanwhile.
    [[nodiscard]] poll_operation poll(int fd, poll_events events) noexcept {
        return {*this, fd, events};
    }
    template<class Rep, class Period>
    [[nodiscard]] sleep_operation sleep(std::chrono::duration<Rep, Period> time) noexcept {
        return {*this, detail::later(now(), detail::loop_duration(time))};
    }
    [[nodiscard]] sleep_operation sleep_until(loop_clock::time_point until) noexcept {
        return {*this, until};
    }
    [[nodiscard]] yield_operation yield() noexcept { return yield_operation(*this); }

    [[nodiscard]] loop_clock::time_point now() const noexcept;
    /// "io_uring" or "epoll".
    [[nodiscard]] std::string_view driver() const noexcept;
    /// What io_uring was refused with, in one line, if the loop goes without it for that reason:
    /// a container's filter of system calls, kernel.io_uring_disabled (EPERM), a kernel before
    /// Linux 5.13 (ENOSYS). Empty otherwise.
    [[nodiscard]] std::string_view driver_reason() const noexcept;
    [[nodiscard]] event_loop_counters counters() const noexcept;

    /// The library's own way in.
    [[nodiscard]] detail::loop_core& core() noexcept { return *core_; }

  private:
    /// Runs until work has ended and throws what it threw; if stop() comes first, destroys it.
    void run_to_end(task<> work);

    std::unique_ptr<detail::loop_core> core_;
};

namespace detail {

template<class T>
task<> keep_value(task<T> work, std::optional<T>& place) {
    place.emplace(co_await std::move(work));
}

} // namespace detail

template<class T>
T event_loop::run(task<T> main) {
    if constexpr (std::is_void_v<T>) {
        run_to_end(std::move(main));
    } else {
        std::optional<T> value;
        run_to_end(detail::keep_value(std::move(main), value));
        return *std::move(value);
    }
}

} // namespace ringtls
