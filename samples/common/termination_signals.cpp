// SPDX-License-Identifier: MIT
#include "termination_signals.hpp"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace sample {

termination_signals::termination_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (const int code = pthread_sigmask(SIG_BLOCK, &signals, nullptr); code != 0)
        throw std::system_error(code, std::system_category(), "pthread_sigmask");
    fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0)
        throw std::system_error(errno, std::system_category(), "signalfd");
}

termination_signals::~termination_signals() {
    ::close(fd_);
}

ringtls::task<> termination_signals::arrival(ringtls::event_loop& loop) {
    signalfd_siginfo signal{};
    do
        co_await loop.poll(fd_, ringtls::poll_events::readable);
    while (::read(fd_, &signal, sizeof signal) != sizeof signal);
}

} // namespace sample
