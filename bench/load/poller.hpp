// SPDX-License-Identifier: MIT
// epoll, edge-triggered: an edge costs the kernel less than a level that it checks again.
#pragma once

#include "window.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>

namespace load {

class poller {
  public:
    poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_ < 0)
            throw std::system_error(errno, std::system_category(), "epoll_create1");
    }
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    ~poller() { ::close(epoll_); }

    /// Until the descriptor is closed; `index` comes back in its events.
    void add(int fd, std::uint32_t index) {
        epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.u32 = index}};
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
            throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }

    /// None when there is still none at `deadline`, nor later than it by a millisecond.
    std::span<const epoll_event> wait(std::uint64_t deadline) {
        const auto time = now();
        const auto left = deadline > time ? (deadline - time) / 1'000'000 + 1 : 0;
        const int count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()),
                                       static_cast<int>(left));
        if (count < 0 && errno != EINTR)
            throw std::system_error(errno, std::system_category(), "epoll_wait");
        return std::span(events_).first(count < 0 ? 0 : static_cast<std::size_t>(count));
    }

  private:
    int epoll_;
    std::array<epoll_event, 256> events_{};
};

} // namespace load
