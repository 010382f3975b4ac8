// SPDX-License-Identifier: MIT
// Tasks that have a common end: none outlives the group, and one stop is for all.
#pragma once

#include <ringtls/coro/stoppable_work.hpp>
#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/operation.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

class task_group;

namespace detail {

/// The coroutine around a group's task. Destroys itself when it ends.
struct group_member {
    struct promise_type final : loop_entry {
        task_group* group = nullptr;
        promise_type* previous = nullptr;
        promise_type* next = nullptr;
        std::exception_ptr failure;

        auto handle() noexcept { return std::coroutine_handle<promise_type>::from_promise(*this); }
        void on(cause /*why*/, short /*events*/) override { handle().resume(); }

        group_member get_return_object() noexcept { return {this}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() noexcept;
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { failure = std::current_exception(); }
    };

    promise_type* promise;
};

template<stoppable_work Work>
group_member member_of(Work work, std::stop_token stop) {
    co_await std::invoke(work, std::move(stop));
}
inline group_member member_of(task<> work) {
    co_await std::move(work);
}

} // namespace detail

/// Waits until no task of a group is left.
class [[nodiscard]] join_operation final : public basic_operation<join_operation, void> {
  public:
    join_operation(event_loop& loop, task_group& of) noexcept
        : basic_operation(loop, "join"), group_(&of) {}
    ~join_operation() { abandon(); }

    void take_value() const;
    result<void> resume_result();

  private:
    friend task_group;

    bool claim() override;
    wait_for attempt() override;
    void withdraw() noexcept override;

    task_group* group_;
    std::exception_ptr first_failure_; ///< the group's, which may be gone when this is told
};

/// Runs tasks side by side on one loop. The first that throws stops the others; join() waits for
/// all of them, and throws that.
///
///     task_group group(loop, stop);                       // a stop of the caller's is passed on
///     group.spawn([&](std::stop_token stop) -> task<> {   // may capture: it is kept
///         co_await stream.read(buffer).cancel_on(stop);
///     });
///     group.spawn(write_all(stream, group.token()));
///     co_await group.join();
///
/// Errors: a task that throws stops the others, and what it threw is what join() throws; what they
/// throw then is dropped. With on_error() an error is handed over instead, and the others go on. A
/// task that ends with errc::canceled after the group was told to stop has done as it was told:
/// that is no error.
/// Lifetime: destroying the group destroys the tasks that have not ended, which counts as a cancel
/// that nobody hears of; so a group that is left by an exception leaves nothing behind. Not from
/// inside one of its tasks. Neither copied nor moved; the loop outlives it.
/// Thread rule: the loop's thread. A stop may be requested from any, here and of the parent's
/// token. Memory: a frame a task besides the task's own, both freed as it ends; a stop state for
/// all.
class task_group {
  public:
    explicit task_group(event_loop& loop, const std::stop_token& parent = {});
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;
    ~task_group();

    /// Owns a task, and runs it as event_loop::spawn() does; called with the group's token then,
    /// and kept until its task has ended. After a stop it starts all the same, with a token that
    /// says so.
    template<stoppable_work Work>
        requires std::is_void_v<work_value<Work>>
    void spawn(Work work) {
        add(*detail::member_of(std::move(work), token()).promise);
    }
    /// The same for a task that has its token, or needs none.
    void spawn(task<> work) { add(*detail::member_of(std::move(work)).promise); }

    /// From any thread: tells all tasks to stop, those too that are spawned from now on.
    void request_stop() noexcept { stop_.request_stop(); }
    /// What the tasks are given.
    [[nodiscard]] std::stop_token token() const noexcept { return stop_.token(); }

    /// Takes what a task throws, as soon as it ends. What this throws itself counts as a task's
    /// error without it. Must not destroy the group.
    void on_error(std::function<void(std::exception_ptr)> handler);

    /// Completes when no task is left, those counted that are spawned meanwhile; throws the first
    /// error, each time. Its own deadline or stop ends only the waiting. Fails with errc::busy if
    /// somebody else waits, with errc::canceled if the group is destroyed.
    [[nodiscard]] join_operation join() noexcept { return {*loop_, *this}; }

    /// The tasks that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    using member = detail::group_member::promise_type;
    friend member;
    friend join_operation;

    void add(member& made) noexcept;
    void ended(member& left) noexcept;
    void unlink(member& left) noexcept;
    void failed(std::exception_ptr thrown) noexcept;
    void stop_for(std::exception_ptr thrown) noexcept;

    event_loop* loop_;
    detail::linked_stop stop_;
    std::function<void(std::exception_ptr)> on_error_;
    std::exception_ptr first_failure_;
    member* members_ = nullptr;
    std::size_t size_ = 0;
    join_operation* joiner_ = nullptr; ///< who waits; null: nobody
};

} // namespace ringtls
