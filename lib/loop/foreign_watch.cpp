// SPDX-License-Identifier: MIT
#include "foreign_watch.hpp"

#include <sys/timerfd.h>

#include <algorithm>
#include <chrono>

namespace ringtls::detail {
namespace {

constexpr std::string_view part = "event_loop";

/// Never 0, which timerfd_settime(2) takes for "no time".
itimerspec timer_value(loop_clock::time_point deadline) {
    using namespace std::chrono;
    const auto time = std::max<nanoseconds>(deadline.time_since_epoch(), nanoseconds(1));
    itimerspec value{};
    value.it_value.tv_sec = duration_cast<seconds>(time).count();
    value.it_value.tv_nsec = (time % seconds(1)).count();
    return value;
}

} // namespace

foreign_watch::foreign_watch(int news)
    : either_(part),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), part, "timerfd_create") {
    for (const int each : {news, timer_.fd()})
        if (const int code = either_.control(EPOLL_CTL_ADD, each, EPOLLIN, 0))
            refuse(part, code, "epoll_ctl");
}

void foreign_watch::wake_at(std::optional<loop_clock::time_point> deadline) {
    // An earlier one that is not over yet is left to come, for nothing: the next may be earlier
    // too.
    const bool comes_before = set_ && (!deadline || *set_ < *deadline);
    if (deadline == set_ || (comes_before && loop_clock::now() < *set_))
        return;
    const auto value = deadline ? timer_value(*deadline) : itimerspec{};
    if (timerfd_settime(timer_.fd(), TFD_TIMER_ABSTIME, &value, nullptr) != 0)
        refuse(part, errno, "timerfd_settime");
    set_ = deadline;
}

} // namespace ringtls::detail
