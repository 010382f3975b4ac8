// SPDX-License-Identifier: MIT
#include "gate.hpp"

namespace ringtls::detail {

std::optional<gate::place> gate::try_enter() noexcept {
    const std::scoped_lock lock(mutex_);
    if (free_ == 0)
        return std::nullopt;
    --free_;
    return place(*this);
}

bool gate::take_or_queue(operation& waiter) noexcept {
    const std::scoped_lock lock(mutex_);
    if (waiter.granted_ || waiter.queued_)
        return waiter.granted_;
    if (free_ > 0) { // nobody waits: who does is given a place as soon as there is one
        --free_;
        waiter.granted_ = true;
    } else {
        queue(waiter);
    }
    return waiter.granted_;
}

void gate::queue(operation& waiter) noexcept {
    waiter.queued_ = true;
    waiter.previous_ = last_;
    (last_ ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
}

void gate::unqueue(operation& waiter) noexcept {
    waiter.queued_ = false;
    (waiter.previous_ ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ ? waiter.next_->previous_ : last_) = waiter.previous_;
}

/// It ends early, perhaps with a place that it was given a moment ago.
void gate::withdraw(operation& waiter) noexcept {
    {
        const std::scoped_lock lock(mutex_);
        if (waiter.queued_)
            unqueue(waiter);
        if (!waiter.granted_)
            return;
        waiter.granted_ = false;
    }
    leave();
}

/// The place goes from hand to hand. Under the mutex, so that who gets it is still there.
void gate::leave() noexcept {
    const std::scoped_lock lock(mutex_);
    if (!first_) {
        ++free_;
        return;
    }
    operation& next = *first_;
    unqueue(next);
    next.granted_ = true;
    next.schedule_remotely();
}

} // namespace ringtls::detail
