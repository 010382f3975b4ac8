// SPDX-License-Identifier: MIT
#include "gate.hpp"

#include <algorithm>

namespace ringtls::detail {

std::optional<gate::place> gate::try_enter() noexcept {
    const std::scoped_lock lock(mutex_);
    if (free_ == 0)
        return std::nullopt;
    --free_;
    return place(*this);
}

bool gate::take_or_queue(operation& waiter) {
    const std::scoped_lock lock(mutex_);
    if (waiter.granted_)
        return true;
    if (waiter.queued_)
        return false;
    if (free_ > 0) { // nobody waits: who does is given a place as soon as there is one
        --free_;
        waiter.granted_ = true;
        return true;
    }
    waiting_.push_back(&waiter);
    waiter.queued_ = true;
    return false;
}

/// It ends early, perhaps with a place that it was given a moment ago.
void gate::withdraw(operation& waiter) noexcept {
    {
        const std::scoped_lock lock(mutex_);
        if (!waiter.granted_) {
            std::erase(waiting_, &waiter);
            return;
        }
        waiter.granted_ = false;
    }
    leave();
}

/// The place goes from hand to hand. Under the mutex, so that who gets it is still there.
void gate::leave() noexcept {
    const std::scoped_lock lock(mutex_);
    if (waiting_.empty()) {
        ++free_;
        return;
    }
    operation& next = *waiting_.front();
    waiting_.pop_front();
    next.granted_ = true;
    next.schedule_remotely();
}

} // namespace ringtls::detail
