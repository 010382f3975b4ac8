// SPDX-License-Identifier: MIT
// What the drivers share: a descriptor to be woken by, and the error of a refusal.
#pragma once

#include "driver.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace ringtls::detail {

/// Throws error: this driver was refused that, with this errno.
[[noreturn]] inline void refuse(std::string_view driver, int code, const char* what) {
    auto details = std::make_shared<error_details>();
    details->subject = what;
    throw error({code, std::system_category()}, driver, std::move(details));
}

class event_descriptor {
  public:
    /// For the driver of this name. Throws error.
    explicit event_descriptor(std::string_view driver)
        : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (fd_ < 0)
            refuse(driver, errno, "eventfd");
    }
    event_descriptor(const event_descriptor&) = delete;
    event_descriptor& operator=(const event_descriptor&) = delete;
    ~event_descriptor() { close(fd_); }

    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// Cannot fail but for a full counter, which is readable all the same.
    void signal() const noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(::write(fd_, &one, sizeof one));
    }
    void drain() const noexcept {
        std::uint64_t count = 0;
        static_cast<void>(::read(fd_, &count, sizeof count));
    }

  private:
    int fd_;
};

} // namespace ringtls::detail
