// SPDX-License-Identifier: MIT
#include <ringtls/net/socket_operations.hpp>

#include "system_error.hpp"

#include <sys/socket.h>

namespace ringtls {

wait_for socket_read_operation::attempt() {
    for (;;) {
        const auto received = ::recv(fd_, into_.data(), into_.size(), MSG_DONTWAIT);
        if (received >= 0) {
            count_ = static_cast<std::size_t>(received);
            return wait_for::nothing;
        }
        if (errno == EAGAIN)
            return wait_for::readable;
        if (errno != EINTR) {
            fail(detail::system_code(errno));
            return wait_for::nothing;
        }
    }
}

/// A short send means that there is no more room: the kernel is asked again when it says so.
wait_for socket_write_operation::attempt() {
    for (;;) {
        const auto left = from_.subspan(sent_);
        const auto sent = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            sent_ += static_cast<std::size_t>(sent);
            return sent_ == from_.size() ? wait_for::nothing : wait_for::writable;
        }
        if (errno == EAGAIN)
            return wait_for::writable;
        if (errno != EINTR) {
            fail(detail::system_code(errno));
            return wait_for::nothing;
        }
    }
}

} // namespace ringtls
