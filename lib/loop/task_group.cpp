// SPDX-License-Identifier: MIT
#include <ringtls/loop/task_group.hpp>

#include "loop_core.hpp"

namespace ringtls {
namespace {

bool is_canceled(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const error& failure) {
        return failure.code() == errc::canceled;
    } catch (...) {
        return false;
    }
}

} // namespace

/// Told before the frame goes: what it still destroys is what the task was called with.
std::suspend_never detail::group_member::promise_type::final_suspend() noexcept {
    group->ended(*this);
    return {};
}

task_group::task_group(event_loop& loop, const std::stop_token& parent)
    : loop_(&loop), stop_(parent) {}

task_group::~task_group() {
    if (joiner_)
        joiner_->interrupt(errc::canceled);
    while (member* const left = members_) {
        unlink(*left);
        left->handle().destroy();
    }
}

/// Counted as something that waits, so that run() goes on for it.
void task_group::add(member& made) noexcept {
    made.group = this;
    made.next = members_;
    if (members_)
        members_->previous = &made;
    members_ = &made;
    ++size_;
    loop_->core().operation_waits();
    loop_->core().schedule(made);
}

void task_group::unlink(member& left) noexcept {
    (left.previous ? left.previous->next : members_) = left.next;
    if (left.next)
        left.next->previous = left.previous;
    --size_;
    loop_->core().operation_over();
    loop_->core().forget(left);
}

/// Resumes nobody: who waits for the group is resumed by the loop, and may destroy it.
void task_group::ended(member& left) noexcept {
    unlink(left);
    if (left.failure)
        failed(std::move(left.failure));
    if (size_ == 0 && joiner_)
        joiner_->schedule();
}

void task_group::failed(std::exception_ptr thrown) noexcept {
    if (token().stop_requested() && is_canceled(thrown))
        return;
    if (!on_error_)
        return stop_for(std::move(thrown));
    try {
        const auto handler = on_error_; // which may replace itself
        handler(std::move(thrown));
    } catch (...) {
        stop_for(std::current_exception());
    }
}

void task_group::stop_for(std::exception_ptr thrown) noexcept {
    if (!first_failure_)
        first_failure_ = std::move(thrown);
    request_stop();
}

void task_group::on_error(std::function<void(std::exception_ptr)> handler) {
    on_error_ = std::move(handler);
}

bool join_operation::claim() {
    if (group_->joiner_)
        fail(errc::busy);
    else
        group_->joiner_ = this;
    return !failed();
}

wait_for join_operation::attempt() {
    if (group_->size() != 0)
        return wait_for::notification;
    group_->joiner_ = nullptr;
    first_failure_ = group_->first_failure_;
    return wait_for::nothing;
}

void join_operation::withdraw() noexcept {
    group_->joiner_ = nullptr;
}

void join_operation::take_value() const {
    if (first_failure_)
        std::rethrow_exception(first_failure_);
}

result<void> join_operation::resume_result() {
    try {
        await_resume();
        return {};
    } catch (const error& failure) {
        return failure;
    }
}

} // namespace ringtls
