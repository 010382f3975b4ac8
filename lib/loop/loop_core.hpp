// SPDX-License-Identifier: MIT
// The event loop's mechanism: what is ready, what is late, what other threads ask for.
//
//   other threads ---- schedule_remotely / post ----> remote_ --+
//   driver (kernel) -- completed ----------> entry.on(readiness) |
//   timers_ ---------- deadline passed ----> entry.on(deadline)  |
//                                                 |              |
//                  finished operations, retries   v              |
//                                       ready_ (FIFO) <----------+
//                                         |  each entry.on(turn): resumes a coroutine
//                                         v
//                     budget used up: next_turn_, which is ready_ of the next turn
#pragma once

#include "driver.hpp"
#include "foreign_watch.hpp"
#include "intrusive_list.hpp"
#include "timer_heap.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace ringtls::detail {

struct root_promise;

/// What a layer above keeps for a loop, and the loop destroys.
class loop_attachment {
  public:
    loop_attachment() = default;
    loop_attachment(const loop_attachment&) = delete;
    loop_attachment& operator=(const loop_attachment&) = delete;
    virtual ~loop_attachment() = default;
};

struct loop_core final : private completion_sink {
    explicit loop_core(const event_loop_options& options);
    loop_core(const loop_core&) = delete;
    loop_core& operator=(const loop_core&) = delete;

    /// One budget a dispatch: what an operation that never has to wait may do before others have
    /// their turn. A unit is an attempt or a record.
    static constexpr int budget_per_dispatch = 32;

    void schedule(loop_entry& entry) noexcept {
        ready_.push_back(entry);
        asked();
    }
    void schedule_next_turn(loop_entry& entry) noexcept {
        next_turn_.push_back(entry);
        asked();
    }
    void schedule_remotely(loop_entry& entry) noexcept;
    void post(std::function<void()> call);
    void stop() noexcept;

    /// Removes the entry from everything here.
    void forget(loop_entry& entry) noexcept {
        cancel_poll(entry);
        timers_.disarm(entry);
        ready_.remove(entry);
        next_turn_.remove(entry);
        if (entry.remote.load(std::memory_order_relaxed)) // whoever asked has returned by now
            forget_remotely(entry);
    }

    void arm_timer(loop_entry& entry, loop_clock::time_point deadline) noexcept {
        timers_.arm(entry, deadline);
        asked();
    }
    void arm_poll(loop_entry& entry, int fd, short events) {
        entry.poll = driver_->arm(fd, events, entry);
        asked();
    }
    void cancel_poll(loop_entry& entry) noexcept {
        if (entry.poll == 0)
            return;
        driver_->cancel(std::exchange(entry.poll, 0));
        asked();
    }

    /// Takes one unit of the budget; false if there is none left.
    [[nodiscard]] bool spend() noexcept {
        if (budget_ == 0)
            return false;
        --budget_;
        return true;
    }

    /// How often the kernel was asked, what is under way counted.
    [[nodiscard]] std::uint64_t looks() const noexcept { return looks_; }

    void operation_waits() noexcept { ++waiting_; }
    void operation_over() noexcept { --waiting_; }

    void spawn(task<> work);
    void run();
    void run_to_end(task<> work);
    [[nodiscard]] int descriptor();
    bool run_ready();

    [[nodiscard]] loop_clock::time_point now() const noexcept {
        return clock_ ? clock_->now() : loop_clock::now();
    }
    /// Destroys the tasks that have not ended, while all that they may use is still there.
    void destroy_tasks();

    [[nodiscard]] std::string_view driver_name() const noexcept { return driver_->name(); }
    [[nodiscard]] std::string_view driver_reason() const noexcept { return driver_reason_; }
    [[nodiscard]] event_loop_counters counters() const noexcept;

    void root_ended(root_promise& root) noexcept;

    std::function<void(std::exception_ptr)> unhandled;
    std::unique_ptr<loop_attachment> tls; ///< the layer's above; null: none yet

  private:
    class running;

    root_promise& start(task<> work);
    void unlink(root_promise& root) noexcept;
    void drop_main();
    /// Whoever watches descriptor() has to hear of what is asked for outside of run() and
    /// run_ready(), once.
    void asked() noexcept {
        if (must_tell_) [[unlikely]] {
            must_tell_ = false;
            driver_->wake();
        }
    }
    [[nodiscard]] bool take_stop() noexcept;
    void turn(bool may_wait);
    void go_on_epoll();
    void settle();
    void settle_quietly() noexcept;
    void dispatch_ready();
    void dispatch(loop_entry& entry, loop_entry::cause why, short events);
    void completed(loop_entry& entry, short events) override;
    void forget_remotely(loop_entry& entry) noexcept;
    void run_remote();
    void expire();
    void reap();
    [[nodiscard]] bool idle() const;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> time_to_wait();
    [[nodiscard]] bool stays_awake() noexcept;

    std::string driver_reason_;      ///< before driver_, which says it
    std::unique_ptr<driver> driver_; ///< other threads, which wake it, hold remote_mutex_
    event_loop_counters earlier_;    ///< of a driver that has handed over
    const manual_clock* clock_;
    intrusive_list<&loop_entry::turn_hook> ready_;
    intrusive_list<&loop_entry::turn_hook> next_turn_;
    timer_heap timers_;
    int budget_ = budget_per_dispatch;
    const loop_clock::duration busy_poll_;
    bool dispatched_ = false; ///< something, since it was last asked whether to sleep
    loop_clock::time_point awake_until_;
    std::uint64_t turns_ = 0;
    std::uint64_t looks_ = 0;
    std::size_t waiting_ = 0; ///< operations that have not ended

    root_promise* roots_ = nullptr; ///< spawned tasks that have not ended
    root_promise* ended_ = nullptr; ///< those that have, to be reaped
    root_promise* main_ = nullptr;  ///< the one that run_to_end() waits for
    std::exception_ptr main_failure_;

    std::atomic<std::uint64_t> owner_ = 0; ///< its thread's number; 0 until it first runs
    bool in_run_ = false;
    std::optional<foreign_watch> watch_; ///< for another loop, if there is one
    bool must_tell_ = false;             ///< it does not know yet that something is asked for

    mutable std::mutex remote_mutex_; ///< guards the next three
    intrusive_list<&loop_entry::remote_hook> remote_;
    std::vector<std::function<void()>> posted_;
    bool woken_ = false; ///< the loop was woken and has not looked yet
    std::atomic<bool> stopping_ = false;
};

} // namespace ringtls::detail
