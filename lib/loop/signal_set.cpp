// SPDX-License-Identifier: MIT
#include <ringtls/loop/signal_set.hpp>

#include "descriptors.hpp"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace ringtls {
namespace {

constexpr std::string_view name = "signal_set";

} // namespace

signal_operation::signal_operation(event_loop& loop, int fd) noexcept
    : basic_operation(loop, "signal"), fd_(fd) {}

wait_for signal_operation::attempt() {
    signalfd_siginfo came{};
    const auto size = ::read(fd_, &came, sizeof came);
    if (size == sizeof came) {
        number_ = static_cast<int>(came.ssi_signo);
        return wait_for::nothing;
    }
    if (size < 0 && errno != EAGAIN && errno != EINTR)
        fail({errno, std::system_category()});
    return failed() ? wait_for::nothing : wait_for::readable;
}

signal_set::signal_set(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : signals) {
        if (sigaddset(&set, number) != 0)
            detail::refuse(name, errno, "sigaddset");
    }
    // First the descriptor, so that a failure leaves the signals as they were.
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0)
        detail::refuse(name, errno, "signalfd");
    if (const int code = pthread_sigmask(SIG_BLOCK, &set, nullptr); code != 0) {
        ::close(fd_);
        detail::refuse(name, code, "pthread_sigmask");
    }
}

signal_set::~signal_set() {
    ::close(fd_);
}

} // namespace ringtls
