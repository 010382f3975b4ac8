// SPDX-License-Identifier: MIT
#include <ringtls/net/socket.hpp>

#include "../descriptors.hpp"
#include "../support/plain_sockets.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::address;
using ringtls::error;
using ringtls::event_loop;
using ringtls::test::option_of;
using ringtls::test::socket_ends;

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

int no_delay_of(int fd) {
    return option_of(fd, IPPROTO_TCP, TCP_NODELAY);
}

/// What a call that has to be refused is refused with.
template<class Call>
error refusal(Call call) {
    try {
        call();
    } catch (const error& refused) {
        CHECK(refused.operation() == "setsockopt");
        return refused;
    }
    throw std::logic_error("not refused");
}

} // namespace

TEST_CASE("A socket closes its descriptor when it goes") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const int fd = ends.a.release();
    {
        const ringtls::socket owner(loop, fd);
        CHECK(owner.fd() == fd);
        CHECK(&owner.loop() == &loop);
        CHECK(is_open(fd));
    }
    CHECK_FALSE(is_open(fd));
}

TEST_CASE("A moved socket closes once, with its new owner") {
    static_assert(!std::is_copy_constructible_v<ringtls::socket>);
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const int fd = ends.a.release();
    {
        ringtls::socket first(loop, fd);
        {
            const ringtls::socket second(std::move(first));
            CHECK(second.fd() == fd);
            CHECK(first.fd() == -1);
        }
        CHECK_FALSE(is_open(fd));
    }
}

TEST_CASE("Assigning to a socket does not leak what it held") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const int a = ends.a.release();
    const int b = ends.b.release();
    {
        ringtls::socket kept(loop, a);
        kept = ringtls::socket(loop, b);
        CHECK(kept.fd() == b);
        CHECK_FALSE(is_open(a));
    }
    CHECK_FALSE(is_open(b));
}

TEST_CASE("A socket that gave its descriptor away owns nothing") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const int fd = ends.a.release();
    ringtls::test::descriptor taken;
    {
        ringtls::socket owner(loop, fd);
        taken = ringtls::test::descriptor(owner.release());
        CHECK(owner.fd() == -1);
    }
    CHECK(taken.fd() == fd);
    CHECK(is_open(fd));
}

TEST_CASE("A socket knows its own address and its peer's") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    const ringtls::socket a(loop, ends.a.release());
    const ringtls::socket b(loop, ends.b.release());
    CHECK(a.local_address() == b.peer_address());
    CHECK(a.peer_address() == b.local_address());
    CHECK(a.local_address().host() == "127.0.0.1");
    CHECK(a.local_address().port() != 0);
}

TEST_CASE("A socket pair's ends are unix sockets without a path") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const ringtls::socket a(loop, ends.a.release());
    CHECK(a.peer_address().family() == address::family::unix_path);
    CHECK(a.peer_address().host().empty());
}

TEST_CASE("Asking a socket that is not connected for its peer fails with the system's code") {
    event_loop loop;
    const ringtls::socket alone(loop, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    try {
        static_cast<void>(alone.peer_address());
        FAIL("did not throw");
    } catch (const error& failure) {
        CHECK(failure.code() == std::errc::not_connected);
        CHECK(failure.operation() == "getpeername");
    }
}

TEST_CASE("no_delay() turns TCP_NODELAY on and off") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    const ringtls::socket a(loop, ends.a.release());
    a.no_delay(true);
    CHECK(no_delay_of(a.fd()) != 0);
    a.no_delay(false);
    CHECK(no_delay_of(a.fd()) == 0);
}

TEST_CASE("no_delay() is nothing to a unix socket, and an error on a closed one") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const ringtls::socket a(loop, ends.a.release());
    CHECK_NOTHROW(a.no_delay(true));
    const ringtls::socket none(loop, -1);
    try {
        none.no_delay(true);
        FAIL("did not throw");
    } catch (const error& failure) {
        CHECK(failure.code() == std::errc::bad_file_descriptor);
    }
}

TEST_CASE("keep_alive() sets all that TCP has to know") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    const ringtls::socket a(loop, ends.a.release());
    CHECK(option_of(a.fd(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    a.keep_alive(30s, 7s, 5);
    CHECK(option_of(a.fd(), SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_KEEPIDLE) == 30);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_KEEPINTVL) == 7);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_KEEPCNT) == 5);
    CHECK_NOTHROW(a.keep_alive(32767s, 32767s, 127));
}

TEST_CASE("keep_alive() out of range is refused by name, and changes nothing") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    const ringtls::socket a(loop, ends.a.release());
    const auto idle = option_of(a.fd(), IPPROTO_TCP, TCP_KEEPIDLE);
    for (const auto bad : {-1s, 0s, 32768s, std::chrono::seconds::max()}) {
        const auto first = refusal([&] { a.keep_alive(bad, 1s, 1); });
        CHECK(first.code() == std::errc::invalid_argument);
        CHECK(first.subject() == "keep-alive idle");
        CHECK(refusal([&] { a.keep_alive(1s, bad, 1); }).subject() == "keep-alive interval");
    }
    for (const int bad : {-1, 0, 128})
        CHECK(refusal([&] { a.keep_alive(1s, 1s, bad); }).subject() == "keep-alive count");
    CHECK(option_of(a.fd(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_KEEPIDLE) == idle);
}

TEST_CASE("user_timeout() bounds what stays unacknowledged") {
    event_loop loop;
    auto ends = socket_ends::tcp_pair();
    const ringtls::socket a(loop, ends.a.release());
    a.user_timeout(12345ms);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 12345);
    a.user_timeout(0ms);
    CHECK(option_of(a.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
    constexpr std::chrono::milliseconds most(std::numeric_limits<int>::max());
    for (const auto bad : {-1ms, most + 1ms, std::chrono::milliseconds::max()}) {
        const auto refused = refusal([&] { a.user_timeout(bad); });
        CHECK(refused.code() == std::errc::invalid_argument);
        CHECK(refused.subject() == "user timeout");
    }
    CHECK_NOTHROW(a.user_timeout(most));
}

TEST_CASE("Options of TCP are nothing to a unix socket, and an error on a closed one") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const ringtls::socket a(loop, ends.a.release());
    CHECK_NOTHROW(a.keep_alive(1s, 1s, 1));
    CHECK_NOTHROW(a.user_timeout(1ms));
    CHECK(option_of(a.fd(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    const ringtls::socket none(loop, -1);
    CHECK(refusal([&] { none.keep_alive(1s, 1s, 1); }).code() == std::errc::bad_file_descriptor);
    CHECK(refusal([&] { none.user_timeout(1ms); }).code() == std::errc::bad_file_descriptor);
}
