// SPDX-License-Identifier: MIT
// A plain epoll loop, as an application has one, that drives an event_loop.
#pragma once

#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

namespace ringtls::test {

class foreign_loop {
  public:
    explicit foreign_loop(event_loop& driven)
        : driven_(driven), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        epoll_event event{};
        event.events = EPOLLIN;
        REQUIRE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, driven.descriptor(), &event) == 0);
    }
    foreign_loop(const foreign_loop&) = delete;
    foreign_loop& operator=(const foreign_loop&) = delete;
    ~foreign_loop() { ::close(epoll_); }

    /// Whether the loop has something to do, now or within this time. The end of a ring that the
    /// loop had may interrupt the wait.
    [[nodiscard]] bool hears(int milliseconds = 0) const {
        epoll_event event{};
        int count = -1;
        do {
            count = ::epoll_wait(epoll_, &event, 1, milliseconds);
        } while (count < 0 && errno == EINTR);
        return count == 1;
    }
    /// Waits, but not for ever, and lets the loop do what there is; what run_ready() says.
    bool step() {
        REQUIRE(hears(10'000));
        ++calls;
        return driven_.run_ready();
    }
    /// Until there is nothing left, or a stop.
    void run() {
        while (step()) {
        }
    }
    /// Until it has nothing to do, which it must come to soon.
    void rest() {
        for (int i = 0; hears(); ++i) {
            REQUIRE(i < 20);
            step();
        }
    }

    int calls = 0; ///< of run_ready()

  private:
    event_loop& driven_;
    int epoll_;
};

} // namespace ringtls::test
