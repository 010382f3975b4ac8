// SPDX-License-Identifier: MIT
#include "connecting.hpp"

#include "system_error.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <utility>

namespace ringtls::detail {
namespace {

error failure(int code, const address& to, std::string reason = {}) {
    return system_failure(code, "connect", to.to_string(), std::move(reason));
}

/// Why these options are none for this address; empty if they are.
std::string misfit(const address& to, const connect_options& options) {
    const auto& source = options.source();
    if (source && source->family() != to.family())
        return "source " + source->to_string() + " is of another family";
    if (!options.interface().empty() && to.family() == address::family::unix_path)
        return "a unix socket has no interface";
    if (options.interface().size() >= IFNAMSIZ)
        return "interface " + options.interface() + " is too long a name";
    return {};
}

void set_tcp_options(const socket& carrier, const connect_options& options) {
    if (options.no_delay())
        carrier.no_delay(true);
    if (const auto& times = options.keep_alive())
        carrier.keep_alive(times->idle, times->interval, times->count);
    if (options.user_timeout())
        carrier.user_timeout(*options.user_timeout());
    // Where the system has none, or it is turned off, the connection is made without.
    const int on = 1;
    if (options.uses_fast_open())
        static_cast<void>(
            ::setsockopt(carrier.fd(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
}

/// Where it sends from.
result<void> take_place(int fd, const address& to, const connect_options& options) {
    const auto& name = options.interface();
    if (!name.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                                      static_cast<socklen_t>(name.size())) != 0) {
        const int code = errno;
        return failure(code, to, "interface " + name);
    }
    const auto& source = options.source();
    if (!source)
        return {};
    // It only saves ports: a kernel that does not know it chooses one now.
    const int on = 1;
    if (source->family() != address::family::unix_path && source->port() == 0)
        static_cast<void>(::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on));
    if (::bind(fd, source->raw(), static_cast<socklen_t>(source->raw_size())) != 0) {
        const int code = errno;
        return failure(code, to, "source " + source->to_string());
    }
    return {};
}

} // namespace

result<started_connection> start_connecting(event_loop& loop, const address& to,
                                            const connect_options& options) {
    if (auto reason = misfit(to, options); !reason.empty())
        return failure(EINVAL, to, std::move(reason));
    const int fd = ::socket(to.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failure(errno, to);
    socket carrier(loop, fd);
    try {
        set_tcp_options(carrier, options);
    } catch (const error& refused) {
        return failure(refused.code().value(), to, std::string(refused.subject()));
    }
    if (const auto placed = take_place(fd, to, options); !placed)
        return placed.error();
    if (::connect(fd, to.raw(), static_cast<socklen_t>(to.raw_size())) == 0)
        return started_connection{std::move(carrier), true};
    // EINTR leaves the connection under way, as EINPROGRESS does (connect(2)).
    if (errno == EINPROGRESS || errno == EINTR)
        return started_connection{std::move(carrier), false};
    return failure(errno, to);
}

/// That there is no error does not say that there is a connection: it may have been told to
/// another, or the readiness may have been nothing. A socket that has hung up will say no more.
result<bool> is_connected(const socket& carrier, const address& to, short events) {
    int code = 0;
    socklen_t size = sizeof code;
    if (::getsockopt(carrier.fd(), SOL_SOCKET, SO_ERROR, &code, &size) != 0)
        code = errno;
    if (code != 0)
        return failure(code, to);
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (::getpeername(carrier.fd(), reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0)
        return true;
    if (errno != ENOTCONN || (events & (POLLERR | POLLHUP)) != 0)
        return failure(errno, to);
    return false;
}

} // namespace ringtls::detail
