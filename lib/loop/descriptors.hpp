// SPDX-License-Identifier: MIT
// What the loop owns of the kernel, and the error of a refusal.
#pragma once

#include <ringtls/base/error.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace ringtls::detail {

/// Throws error: this part of the loop was refused that, with this errno.
[[noreturn]] inline void refuse(std::string_view part, int code, const char* what) {
    auto details = std::make_shared<error_details>();
    details->subject = what;
    throw error({code, std::system_category()}, part, std::move(details));
}

class owned_descriptor {
  public:
    /// What a call answered, -1 with an errno too. Throws error.
    owned_descriptor(int fd, std::string_view part, const char* call) : fd_(fd) {
        if (fd < 0)
            refuse(part, errno, call);
    }
    owned_descriptor(const owned_descriptor&) = delete;
    owned_descriptor& operator=(const owned_descriptor&) = delete;
    ~owned_descriptor() { close(fd_); }

    [[nodiscard]] int fd() const noexcept { return fd_; }

  private:
    int fd_;
};

class event_descriptor : public owned_descriptor {
  public:
    explicit event_descriptor(std::string_view part)
        : owned_descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), part, "eventfd") {}

    /// Cannot fail but for a full counter, which is readable all the same.
    void signal() const noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(::write(fd(), &one, sizeof one));
    }
    void drain() const noexcept {
        std::uint64_t count = 0;
        static_cast<void>(::read(fd(), &count, sizeof count));
    }
};

class epoll_descriptor : public owned_descriptor {
  public:
    explicit epoll_descriptor(std::string_view part)
        : owned_descriptor(epoll_create1(EPOLL_CLOEXEC), part, "epoll_create1") {}

    /// epoll_ctl(2); 0 or an errno.
    [[nodiscard]] int control(int what, int other, std::uint32_t events, std::uint64_t data) const {
        epoll_event event{};
        event.events = events;
        event.data.u64 = data;
        return epoll_ctl(fd(), what, other, &event) == 0 ? 0 : errno;
    }
};

} // namespace ringtls::detail
