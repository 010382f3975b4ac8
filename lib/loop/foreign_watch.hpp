// SPDX-License-Identifier: MIT
// What another loop watches of ours: one descriptor for the driver's news and for the time.
#pragma once

#include "descriptors.hpp"

#include <ringtls/loop/clock.hpp>

#include <optional>

namespace ringtls::detail {

class foreign_watch {
  public:
    /// news: the driver's descriptor. Throws error.
    explicit foreign_watch(int news);

    /// Readable when there are news, or the time has come.
    [[nodiscard]] int fd() const noexcept { return either_.fd(); }

    /// The next time at which it has to be readable; absent: none. It may be so earlier, once.
    /// Costs a system call where what was set last is later, or is over. Throws error.
    void wake_at(std::optional<loop_clock::time_point> deadline);

  private:
    epoll_descriptor either_;
    owned_descriptor timer_;
    std::optional<loop_clock::time_point> set_;
};

} // namespace ringtls::detail
