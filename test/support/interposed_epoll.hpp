// SPDX-License-Identifier: MIT
// Between the driver and epoll(7): what a test lets the kernel answer. As interposed_io_uring.hpp.
#pragma once

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace ringtls::test {

/// What the driver calls: here, the kernel itself.
class epoll_calls {
  public:
    epoll_calls() = default;
    epoll_calls(const epoll_calls&) = delete;
    epoll_calls& operator=(const epoll_calls&) = delete;
    virtual ~epoll_calls() = default;

    virtual int create(int flags) { return static_cast<int>(::syscall(SYS_epoll_create1, flags)); }
    virtual int control(int epoll, int what, int fd, epoll_event* event) {
        return static_cast<int>(::syscall(SYS_epoll_ctl, epoll, what, fd, event));
    }
    /// Both kinds of waits: one has milliseconds, or -1, the other a time.
    virtual int wait(int epoll, epoll_event* events, int most, int milliseconds) {
        return static_cast<int>(
            ::syscall(SYS_epoll_pwait, epoll, events, most, milliseconds, nullptr, 0));
    }
    virtual int wait(int epoll, epoll_event* events, int most, const timespec& time) {
        return static_cast<int>(
            ::syscall(SYS_epoll_pwait2, epoll, events, most, &time, nullptr, 0));
    }
};

inline epoll_calls epoll_itself;
inline epoll_calls* interposed_on_epoll = &epoll_itself;

/// While it lives, the driver's calls come to this object. One at a time.
class interposed_epoll : public epoll_calls {
  public:
    interposed_epoll() { interposed_on_epoll = this; }
    ~interposed_epoll() override { interposed_on_epoll = &epoll_itself; }

  protected:
    static int refuse(int code) {
        errno = code;
        return -1;
    }
};

} // namespace ringtls::test

extern "C" {

int epoll_create1(int flags) noexcept {
    return ringtls::test::interposed_on_epoll->create(flags);
}

int epoll_ctl(int epoll, int what, int fd, epoll_event* event) noexcept {
    return ringtls::test::interposed_on_epoll->control(epoll, what, fd, event);
}

int epoll_wait(int epoll, epoll_event* events, int most, int milliseconds) {
    return ringtls::test::interposed_on_epoll->wait(epoll, events, most, milliseconds);
}

int epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* time,
                 const sigset_t* /*mask*/) {
    return ringtls::test::interposed_on_epoll->wait(epoll, events, most, *time);
}
}
