// SPDX-License-Identifier: MIT
#include "loop_core.hpp"

#include "thread_number.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

namespace ringtls::detail {

/// The coroutine around a spawned task; its frame holds what the loop needs to own it.
struct root_promise final : loop_entry {
    loop_core* core = nullptr;
    root_promise* previous = nullptr;
    root_promise* next = nullptr;
    std::exception_ptr failure;
    bool is_main = false;

    auto handle() noexcept { return std::coroutine_handle<root_promise>::from_promise(*this); }
    void on(cause /*why*/, short /*events*/) override { handle().resume(); }

    root_promise* get_return_object() noexcept { return this; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() noexcept {
        struct awaiter {
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<root_promise> ended) const noexcept {
                ended.promise().core->root_ended(ended.promise());
            }
            void await_resume() const noexcept {}
        };
        return awaiter{};
    }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { failure = std::current_exception(); }
};

} // namespace ringtls::detail

template<>
struct std::coroutine_traits<ringtls::detail::root_promise*, ringtls::task<>> {
    using promise_type = ringtls::detail::root_promise;
};

namespace ringtls::detail {
namespace {

/// The kernel adds its own now to a time-out, which has no room for a deadline that never comes.
constexpr std::chrono::hours longest_wait(24);

root_promise* root_of(task<> work) {
    co_await std::move(work);
}

void print_and_terminate(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& thrown) {
        std::fprintf(stderr, "ringtls: a spawned task threw: %s\n", thrown.what());
    } catch (...) {
        std::fputs("ringtls: a spawned task threw something unknown\n", stderr);
    }
    std::terminate();
}

} // namespace

/// Marks the loop as running on this thread for as long as run() is under way.
class loop_core::running {
  public:
    explicit running(loop_core& core) : core_(core) {
        const auto self = this_thread_number();
        std::uint64_t owner = 0;
        if (!core.owner_.compare_exchange_strong(owner, self) && owner != self)
            throw error(errc::wrong_thread, "run");
        if (core.in_run_)
            throw error(errc::busy, "run");
        core.in_run_ = true;
        core.must_tell_ = false;
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() {
        core_.in_run_ = false;
        core_.must_tell_ = core_.watch_.has_value();
    }

  private:
    loop_core& core_;
};

loop_core::loop_core(const event_loop_options& options)
    : unhandled(print_and_terminate),
      driver_(make_driver(options.driver(), driver_reason_)),
      clock_(options.clock()),
      busy_poll_(options.busy_poll()) {}

void loop_core::destroy_tasks() {
    reap();
    while (root_promise* root = roots_) {
        forget(*root);
        unlink(*root);
        root->handle().destroy();
    }
}

void loop_core::schedule_remotely(loop_entry& entry) noexcept {
    entry.remote.store(true, std::memory_order_relaxed);
    const std::scoped_lock lock(remote_mutex_);
    remote_.push_back(entry);
    if (!std::exchange(woken_, true))
        driver_->wake();
}

void loop_core::post(std::function<void()> call) {
    const std::scoped_lock lock(remote_mutex_);
    posted_.push_back(std::move(call));
    if (!std::exchange(woken_, true))
        driver_->wake();
}

void loop_core::stop() noexcept {
    const std::scoped_lock lock(remote_mutex_);
    stopping_.store(true);
    driver_->wake();
}

/// Once a stop is seen, stop() does not touch the loop any more, which may be destroyed.
bool loop_core::take_stop() noexcept {
    if (!stopping_.load())
        return false;
    const std::scoped_lock lock(remote_mutex_);
    return stopping_.exchange(false);
}

void loop_core::forget_remotely(loop_entry& entry) noexcept {
    const std::scoped_lock lock(remote_mutex_);
    remote_.remove(entry);
}

root_promise& loop_core::start(task<> work) {
    root_promise& root = *root_of(std::move(work));
    root.core = this;
    root.next = roots_;
    if (roots_)
        roots_->previous = &root;
    roots_ = &root;
    schedule(root);
    return root;
}

void loop_core::spawn(task<> work) {
    start(std::move(work));
}

void loop_core::unlink(root_promise& root) noexcept {
    (root.previous ? root.previous->next : roots_) = root.next;
    if (root.next)
        root.next->previous = root.previous;
    root.previous = nullptr;
}

/// Runs inside the coroutine's last suspension: only moves it to where reap() finds it.
void loop_core::root_ended(root_promise& root) noexcept {
    if (&root == main_) {
        main_ = nullptr;
        main_failure_ = root.failure;
    }
    unlink(root);
    root.next = ended_;
    ended_ = &root;
}

void loop_core::reap() {
    while (root_promise* root = ended_) {
        ended_ = root->next;
        const auto failure = root->failure;
        const bool reported = root->is_main || !failure;
        root->handle().destroy();
        if (!reported) {
            const auto handler = unhandled; // which may replace itself
            handler(failure);
        }
    }
}

void loop_core::run() {
    const running here(*this);
    while (!take_stop() && !idle())
        turn(true);
    settle();
}

int loop_core::descriptor() {
    const running here(*this);
    if (driver_->descriptor() < 0)
        go_on_epoll();
    if (!watch_)
        watch_.emplace(driver_->descriptor());
    settle();
    return watch_->fd();
}

/// A ring cannot tell another loop in time. With IORING_SETUP_DEFER_TASKRUN, who watches the ring's
/// descriptor is not woken by a completion that waits for a call into the kernel; an eventfd that
/// is registered for that is not signalled where another eventfd's write was what completed a poll,
/// but once (seen on Linux 6.18). And who waits in epoll anyway saves no call by a ring.
void loop_core::go_on_epoll() {
    auto next = make_epoll_driver();
    driver_->hand_over(*next);
    driver_->count(earlier_);
    const std::scoped_lock lock(remote_mutex_);
    driver_.swap(next);
    if (woken_)
        driver_->wake();
}

bool loop_core::run_ready() {
    const running here(*this);
    if (!stopping_.load())
        turn(false);
    const bool stopped = take_stop();
    settle();
    return !stopped && !idle();
}

/// Before the loop is let alone: what was asked of the kernel is submitted, and whoever watches the
/// loop is told when to come back.
void loop_core::settle() {
    driver_->wait(std::chrono::nanoseconds::zero(), nullptr);
    if (!watch_)
        return;
    const bool by_time = !clock_ && !timers_.empty();
    watch_->wake_at(by_time ? std::optional(timers_.earliest()->timer.deadline) : std::nullopt);
    if (time_to_wait() == std::chrono::nanoseconds::zero())
        driver_->wake();
}

/// Where something is on its way out already, that comes first.
void loop_core::settle_quietly() noexcept {
    try {
        settle();
    } catch (const std::exception&) {
        // The kernel says so again when it is asked again.
    }
}

void loop_core::run_to_end(task<> work) {
    const running here(*this);
    root_promise& root = start(std::move(work));
    root.is_main = true;
    main_ = &root;
    main_failure_ = nullptr;
    try {
        while (!take_stop() && main_)
            turn(true);
    } catch (...) {
        drop_main();
        settle_quietly();
        throw;
    }
    const bool stopped = main_ != nullptr;
    drop_main();
    settle();
    if (stopped)
        throw error(errc::canceled, "run");
    if (main_failure_)
        std::rethrow_exception(std::exchange(main_failure_, nullptr));
}

/// Destroys the main task if it has not ended: its caller leaves, and takes the result's place.
void loop_core::drop_main() {
    root_promise* const root = std::exchange(main_, nullptr);
    if (!root)
        return;
    forget(*root);
    unlink(*root);
    root->handle().destroy();
}

/// Waits only if it may, and there is something left to wait for. What is thrown leaves work behind
/// whose news are taken: the next turn must not wait for them.
void loop_core::turn(bool may_wait) {
    const bool for_main = main_ != nullptr;
    ++turns_;
    try {
        reap();
        dispatch_ready();
        const bool over = for_main ? main_ == nullptr : idle();
        ++looks_;
        const bool only_looks = !may_wait || over || stays_awake();
        driver_->wait(only_looks ? std::chrono::nanoseconds::zero() : time_to_wait(), this);
        run_remote();
        expire();
    } catch (...) {
        driver_->wake();
        settle_quietly();
        throw;
    }
    while (loop_entry* entry = next_turn_.pop_front())
        ready_.push_back(*entry);
}

void loop_core::dispatch(loop_entry& entry, loop_entry::cause why, short events) {
    budget_ = budget_per_dispatch;
    dispatched_ = true;
    entry.on(why, events);
    reap();
}

/// Bounded, so that coroutines that keep each other ready do not keep the kernel's news waiting.
void loop_core::dispatch_ready() {
    constexpr int most = 1024;
    for (int i = 0; i < most; ++i) {
        loop_entry* entry = ready_.pop_front();
        if (!entry)
            return;
        dispatch(*entry, loop_entry::cause::turn, 0);
    }
}

void loop_core::completed(loop_entry& entry, short events) {
    entry.poll = 0;
    dispatch(entry, loop_entry::cause::readiness, events);
    dispatch_ready();
}

/// What a posted call throws leaves run(); the calls behind it wait for the next.
void loop_core::run_remote() {
    std::vector<std::function<void()>> calls;
    {
        const std::scoped_lock lock(remote_mutex_);
        woken_ = false;
        calls.swap(posted_);
        while (loop_entry* entry = remote_.pop_front())
            ready_.push_back(*entry);
    }
    for (auto call = calls.begin(); call != calls.end(); ++call) {
        try {
            (*call)();
            reap(); // what it has resumed
        } catch (...) {
            const std::scoped_lock lock(remote_mutex_);
            posted_.insert(posted_.begin(), std::make_move_iterator(call + 1),
                           std::make_move_iterator(calls.end()));
            if (!std::exchange(woken_, true))
                driver_->wake();
            throw;
        }
    }
}

/// Resumes no operation itself: who is late again at once has to let others run in between.
void loop_core::expire() {
    if (timers_.empty())
        return;
    const auto now = this->now();
    while (loop_entry* entry = timers_.earliest()) {
        if (entry->timer.deadline > now)
            return;
        timers_.disarm(*entry);
        dispatch(*entry, loop_entry::cause::deadline, 0);
    }
}

bool loop_core::idle() const {
    if (roots_ || ended_ || waiting_ != 0 || !ready_.empty() || !next_turn_.empty())
        return false;
    const std::scoped_lock lock(remote_mutex_);
    return posted_.empty();
}

std::optional<std::chrono::nanoseconds> loop_core::time_to_wait() {
    if (!ready_.empty() || !next_turn_.empty() || stopping_.load())
        return std::chrono::nanoseconds::zero();
    if (timers_.empty())
        return std::nullopt;
    const auto deadline = timers_.earliest()->timer.deadline;
    const auto now = this->now();
    if (deadline <= now)
        return std::chrono::nanoseconds::zero();
    if (clock_)
        return std::nullopt;
    return std::min<loop_clock::duration>(deadline - now, longest_wait);
}

/// For as long as busy_poll() says after it last had something to do.
bool loop_core::stays_awake() noexcept {
    if (busy_poll_ <= loop_clock::duration::zero())
        return false;
    const auto now = this->now();
    if (std::exchange(dispatched_, false))
        awake_until_ = later(now, busy_poll_);
    return now < awake_until_;
}

event_loop_counters loop_core::counters() const noexcept {
    event_loop_counters counters = earlier_;
    counters.turns = turns_;
    driver_->count(counters);
    return counters;
}

} // namespace ringtls::detail
