// SPDX-License-Identifier: MIT
#include <ringtls/net/listener.hpp>

#include "system_error.hpp"

#include <sys/socket.h>

namespace ringtls {
namespace {

/// Whether accept(2) failed for the sake of the one connection that it took from the queue.
bool is_of_the_connection(int code) noexcept {
    switch (code) {
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPERM: // a firewall's rule
    case EPROTO:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

} // namespace

listener listener::bind(event_loop& loop, const address& at, const listen_options& options) {
    const auto check = [&at](int result) {
        if (result < 0)
            throw detail::system_failure(errno, "listen", at.to_string());
    };
    const int fd = ::socket(at.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(fd);
    socket made(loop, fd);
    const int on = 1;
    if (at.family() != address::family::unix_path) {
        check(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        if (options.shares_port())
            check(::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
    }
    check(::bind(fd, at.raw(), static_cast<socklen_t>(at.raw_size())));
    check(::listen(fd, options.backlog()));
    return listener(std::move(made));
}

accept_operation::accept_operation(event_loop& loop, int fd) noexcept
    : basic_operation(loop, "accept"), fd_(fd) {}

wait_for accept_operation::attempt() {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return refused(errno);
    accepted_.emplace(loop(), fd);
    // A peer that is gone already may have this refused; the first read will tell.
    try {
        accepted_->no_delay(true);
    } catch (const error&) {
        return wait_for::nothing;
    }
    return wait_for::nothing;
}

/// Waiting again asks the kernel first whether there is another connection: even if it refused
/// without end, that would be one attempt a turn.
wait_for accept_operation::refused(int code) {
    if (code == EAGAIN || code == EINTR || is_of_the_connection(code))
        return wait_for::readable;
    fail(detail::system_code(code));
    return wait_for::nothing;
}

} // namespace ringtls
