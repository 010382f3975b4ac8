// SPDX-License-Identifier: MIT
#include <ringtls/net/connect.hpp>

#include "system_error.hpp"

#include <sys/socket.h>

namespace ringtls {

connect_operation::connect_operation(event_loop& loop, const address& to) noexcept
    : basic_operation(loop, "connect"), to_(to) {}

wait_for connect_operation::attempt() {
    if (!socket_)
        return start();
    int code = 0;
    socklen_t size = sizeof code;
    if (::getsockopt(socket_->fd(), SOL_SOCKET, SO_ERROR, &code, &size) != 0)
        code = errno;
    return code == 0 ? wait_for::nothing : refused(code);
}

wait_for connect_operation::start() {
    const int fd = ::socket(to_.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refused(errno);
    socket_.emplace(loop(), fd);
    try {
        socket_->no_delay(true);
    } catch (const error& failure) {
        return refused(failure.code().value());
    }
    if (::connect(fd, to_.raw(), static_cast<socklen_t>(to_.raw_size())) == 0)
        return wait_for::nothing;
    // EINTR leaves the connection under way, as EINPROGRESS does (connect(2)).
    if (errno == EINPROGRESS || errno == EINTR)
        return wait_for::writable;
    return refused(errno);
}

wait_for connect_operation::refused(int code) {
    fail(detail::system_code(code), detail::concerning(to_.to_string()));
    socket_.reset();
    return wait_for::nothing;
}

} // namespace ringtls
