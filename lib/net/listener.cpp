// SPDX-License-Identifier: MIT
#include <ringtls/net/listener.hpp>

#include "../loop/loop_core.hpp"
#include "listener_state.hpp"
#include "system_error.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>

namespace ringtls {
namespace {

constexpr std::string_view name = "listen";
constexpr loop_clock::duration shortest_pause = std::chrono::milliseconds(10);
constexpr loop_clock::duration longest_pause = std::chrono::seconds(1);

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

/// Whether it failed for want of something that others may give back.
bool is_of_the_system(int code) noexcept {
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

void check(int result, const address& at) {
    if (result < 0)
        throw detail::system_failure(errno, name, at.to_string());
}

int make_socket(const address& at) {
    const int fd = ::socket(at.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(fd, at);
    return fd;
}

int bind_socket(int fd, const address& at) noexcept {
    return ::bind(fd, at.raw(), static_cast<socklen_t>(at.raw_size()));
}

void set(int fd, int level, int option, bool on, const address& at) {
    const int value = on ? 1 : 0;
    check(::setsockopt(fd, level, option, &value, sizeof value), at);
}

void set_options(int fd, const address& at, const listen_options& options) {
    if (at.family() == address::family::unix_path)
        return;
    set(fd, SOL_SOCKET, SO_REUSEADDR, true, at);
    if (options.shares_port())
        set(fd, SOL_SOCKET, SO_REUSEPORT, true, at);
    if (at.family() == address::family::ipv6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options.is_dual_stack(), at);
}

bool has_file(const address& at) {
    return at.family() == address::family::unix_path && !at.is_abstract() && !at.host().empty();
}

void bind_to(detail::listener_state& made, const address& at, const listen_options& options) {
    int result = bind_socket(made.carrier.fd(), at);
    if (result != 0 && errno == EADDRINUSE && has_file(at) && options.removes_stale()) {
        detail::remove_stale_file(at);
        result = bind_socket(made.carrier.fd(), at);
    }
    check(result, at);
    if (!has_file(at))
        return;
    made.file.emplace(at);
    if (options.mode())
        check(::chmod(at.host().c_str(), *options.mode()), at);
}

} // namespace

namespace detail {

void listener_state::refused(int code) {
    ++pressure.refusals;
    const bool begins = !std::exchange(pressure.present, true);
    pause = begins ? shortest_pause : std::min(2 * pause, longest_pause);
    ask_again = carrier.loop().now() + pause;
    if (!begins)
        return;
    ++pressure.episodes;
    if (!on_pressure)
        return;
    try {
        const error failure(system_code(code), "accept",
                            concerning(carrier.local_address().to_string()));
        carrier.loop().post([call = on_pressure, failure] { call(failure); });
    } catch (const std::bad_alloc&) {
        // The counters tell.
    }
}

void require_listening(int fd, const std::string& subject) {
    const auto option = [fd, &subject](int which) {
        int value = 0;
        socklen_t size = sizeof value;
        if (::getsockopt(fd, SOL_SOCKET, which, &value, &size) != 0)
            throw system_failure(errno, name, subject);
        return value;
    };
    const int domain = option(SO_DOMAIN);
    const bool known = domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX;
    if (!known || option(SO_TYPE) != SOCK_STREAM || option(SO_ACCEPTCONN) == 0)
        throw system_failure(EINVAL, name, subject, "not a stream socket that listens");
}

/// Without sharing its port, a socket is not bound to where another one listens.
void require_free(event_loop& loop, const address& at, const listen_options& options) {
    const socket probe(loop, make_socket(at));
    set_options(probe.fd(), at, options);
    check(bind_socket(probe.fd(), at), at);
}

} // namespace detail

listener listener::bind(event_loop& loop, const address& at, const listen_options& options) {
    if (options.mode() && (*options.mode() & ~0777U) != 0)
        throw detail::system_failure(EINVAL, name, at.to_string(), "permissions beyond 0777");
    const int fd = make_socket(at);
    auto made = std::make_unique<detail::listener_state>(socket(loop, fd), options);
    set_options(fd, at, options);
    bind_to(*made, at, options);
    check(::listen(fd, options.backlog()), at);
    return listener(std::move(made));
}

listener listener::adopt(event_loop& loop, int fd, const listen_options& options) {
    const auto subject = "descriptor " + std::to_string(fd);
    detail::require_listening(fd, subject);
    auto made = std::make_unique<detail::listener_state>(socket(loop, -1), options);
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        throw detail::system_failure(errno, name, subject);
    made->carrier = socket(loop, fd);
    return listener(std::move(made));
}

listener::listener(std::unique_ptr<detail::listener_state> state) noexcept
    : state_(std::move(state)) {}
listener::listener(listener&& other) noexcept = default;
listener& listener::operator=(listener&& other) noexcept = default;
listener::~listener() = default;

listener_pressure listener::pressure() const noexcept {
    return state_->pressure;
}
address listener::local_address() const {
    return state_->carrier.local_address();
}
int listener::fd() const noexcept {
    return state_->carrier.fd();
}

accept_operation::accept_operation(detail::listener_state& from) noexcept
    : basic_operation(from.carrier.loop(), "accept"), from_(&from) {}

int accept_operation::descriptor() const noexcept {
    return from_->carrier.fd();
}

/// A pause is the listener's: it goes on for whoever calls next.
wait_for accept_operation::attempt() {
    loop().core().forget(alarm_);
    if (from_->pressure.present && loop().now() < from_->ask_again)
        return pause();
    const int fd = ::accept4(descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return refused(errno);
    from_->relieved();
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
/// without end, that would be one attempt a turn. But for want of descriptors it would refuse a
/// connection that stays, and so is ready at once, each turn.
wait_for accept_operation::refused(int code) {
    if (is_of_the_system(code)) {
        from_->refused(code);
        return pause();
    }
    from_->relieved();
    if (code == EAGAIN || code == EINTR || is_of_the_connection(code))
        return wait_for::readable;
    fail(detail::system_code(code));
    return wait_for::nothing;
}

wait_for accept_operation::pause() noexcept {
    loop().core().arm_timer(alarm_, from_->ask_again);
    return wait_for::notification;
}

void accept_operation::withdraw() noexcept {
    loop().core().forget(alarm_);
}

} // namespace ringtls
