// SPDX-License-Identifier: MIT
#include <ringtls/net/socket.hpp>

#include "../descriptors.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <type_traits>
#include <utility>

namespace {

using ringtls::address;
using ringtls::error;
using ringtls::event_loop;
using ringtls::test::socket_ends;

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

int no_delay_of(int fd) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0);
    return value;
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
