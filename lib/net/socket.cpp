// SPDX-License-Identifier: MIT
#include <ringtls/net/socket.hpp>

#include "system_error.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringtls {
namespace {

template<class Call>
address ask(Call call, int fd, std::string_view name) {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    auto* const generic = reinterpret_cast<sockaddr*>(&raw);
    if (call(fd, generic, &size) != 0)
        throw detail::system_failure(errno, name);
    return address::from(generic, size);
}

} // namespace

/// close(2) reports nothing here that could still be acted on, and must not be repeated on EINTR.
socket::~socket() {
    if (fd_ >= 0)
        ::close(fd_);
}

address socket::local_address() const {
    return ask(::getsockname, fd_, "getsockname");
}
address socket::peer_address() const {
    return ask(::getpeername, fd_, "getpeername");
}

void socket::no_delay(bool on) const {
    const int value = on ? 1 : 0;
    if (::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0 &&
        errno != EOPNOTSUPP && errno != ENOPROTOOPT)
        throw detail::system_failure(errno, "setsockopt");
}

} // namespace ringtls
