// SPDX-License-Identifier: MIT
#include <ringtls/loop/with_limits.hpp>

#include "loop_core.hpp"

namespace ringtls::detail {

deadline_stop::deadline_stop(event_loop& loop, const limits& by) : loop_(&loop), stop_(by.token()) {
    if (!by.deadline())
        return;
    loop.core().arm_timer(*this, *by.deadline());
    loop.core().operation_waits(); // run() goes on for it
}

deadline_stop::~deadline_stop() {
    if (timer.armed)
        loop_->core().operation_over();
    loop_->core().forget(*this);
}

/// A stop may end the work there and then, and this with it.
void deadline_stop::on(cause /*why*/, short /*events*/) {
    loop_->core().operation_over();
    passed_ = !stop_.token().stop_requested();
    stop_.request_stop();
}

} // namespace ringtls::detail
