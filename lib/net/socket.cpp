// SPDX-License-Identifier: MIT
#include <ringtls/net/socket.hpp>

#include "system_error.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <limits>
#include <string>

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

/// False if this is no TCP socket.
bool set(int fd, int level, int option, int value) {
    if (::setsockopt(fd, level, option, &value, sizeof value) == 0)
        return true;
    if (errno == EOPNOTSUPP || errno == ENOPROTOOPT)
        return false;
    throw detail::system_failure(errno, "setsockopt");
}

/// The number as the kernel takes it.
int within(std::int64_t number, std::int64_t least, std::int64_t most, std::string_view name) {
    if (number < least || number > most)
        throw detail::system_failure(EINVAL, "setsockopt", std::string(name));
    return static_cast<int>(number);
}

} // namespace

/// close(2) reports nothing here that could still be acted on, and must not be repeated on EINTR.
socket::~socket() {
    if (fd_ >= 0)
        ::close(fd_);
}

void socket::shutdown_write() const {
    if (::shutdown(fd_, SHUT_WR) != 0)
        throw detail::system_failure(errno, "shutdown_write");
}

address socket::local_address() const {
    return ask(::getsockname, fd_, "getsockname");
}
address socket::peer_address() const {
    return ask(::getpeername, fd_, "getpeername");
}

void socket::no_delay(bool on) const {
    set(fd_, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

/// The bounds are the kernel's (MAX_TCP_KEEPIDLE, _KEEPINTVL and _KEEPCNT).
void socket::keep_alive(std::chrono::seconds idle, std::chrono::seconds interval, int count) const {
    const int first = within(idle.count(), 1, 32767, "keep-alive idle");
    const int next = within(interval.count(), 1, 32767, "keep-alive interval");
    const int most = within(count, 1, 127, "keep-alive count");
    if (!set(fd_, IPPROTO_TCP, TCP_KEEPIDLE, first))
        return;
    set(fd_, IPPROTO_TCP, TCP_KEEPINTVL, next);
    set(fd_, IPPROTO_TCP, TCP_KEEPCNT, most);
    set(fd_, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void socket::user_timeout(std::chrono::milliseconds time) const {
    constexpr auto most = std::numeric_limits<int>::max();
    set(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, within(time.count(), 0, most, "user timeout"));
}

} // namespace ringtls
