// SPDX-License-Identifier: MIT
#include <ringtls/net/listener.hpp>

#include "../descriptors.hpp"
#include "../skip.hpp"
#include "../started.hpp"
#include "../support/plain_sockets.hpp"
#include "../support/refused_accepts.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::errc;
using ringtls::error;
using ringtls::event_loop;
using ringtls::listen_options;
using ringtls::listener;
using ringtls::result;
using ringtls::task;
using ringtls::test::bound_to;
using ringtls::test::connect_to;
using ringtls::test::descriptor;
using ringtls::test::option_of;
using ringtls::test::refused_accepts;
using ringtls::test::started;

const address anywhere("127.0.0.1", 0);

task<ringtls::socket> accept_one(listener& from) {
    co_return co_await from.accept();
}

} // namespace

TEST_CASE("Port 0 picks a free port, which local_address() tells") {
    event_loop loop;
    const auto listening = listener::bind(loop, anywhere);
    CHECK(listening.local_address().host() == "127.0.0.1");
    CHECK(listening.local_address().port() != 0);
}

TEST_CASE("accept() completes with the connection's socket, with TCP_NODELAY on") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto client = connect_to(listening.local_address());
    const auto accepted = loop.run(accept_one(listening));
    CHECK(&accepted.loop() == &loop);
    CHECK(accepted.local_address() == listening.local_address());
    CHECK(option_of(accepted.fd(), IPPROTO_TCP, TCP_NODELAY) != 0);
    client.put("hello");
    ringtls::test::descriptor reading(::dup(accepted.fd()));
    CHECK(reading.take() == "hello");
}

TEST_CASE("accept() waits for a connection") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    std::optional<ringtls::socket> accepted;
    const auto run = [&]() -> started { accepted.emplace(co_await listening.accept()); };
    const auto whole = run();
    loop.run([&]() -> task<> {
        co_await loop.yield();
        co_await loop.yield();
    }());
    CHECK_FALSE(accepted.has_value());
    const auto client = connect_to(listening.local_address());
    loop.run();
    CHECK(accepted.has_value());
}

TEST_CASE("An accepted descriptor is closed on exec") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto client = connect_to(listening.local_address());
    const auto accepted = loop.run(accept_one(listening));
    CHECK((::fcntl(accepted.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("A cancelled accept() loses no connection") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    auto listening = listener::bind(loop, anywhere);
    loop.run([&]() -> task<> {
        const auto late = co_await as_result(listening.accept().within(0s));
        REQUIRE_FALSE(late.has_value());
        CHECK(late.error().code() == errc::timed_out);
        CHECK(late.error().operation() == "accept");
        const auto client = connect_to(listening.local_address());
        const auto next = co_await as_result(listening.accept());
        CHECK(next.has_value());
    }());
}

TEST_CASE("Connections are accepted in the order in which they came") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto first = connect_to(listening.local_address());
    const auto second = connect_to(listening.local_address());
    const auto name_of = [](const descriptor& from) {
        sockaddr_in raw{};
        socklen_t size = sizeof raw;
        REQUIRE(::getsockname(from.fd(), reinterpret_cast<sockaddr*>(&raw), &size) == 0);
        return address::from(reinterpret_cast<const sockaddr*>(&raw), size);
    };
    CHECK(loop.run(accept_one(listening)).peer_address() == name_of(first));
    CHECK(loop.run(accept_one(listening)).peer_address() == name_of(second));
}

TEST_CASE("A connection that was reset while it waited does not fail accept()") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    {
        const auto gone = connect_to(listening.local_address());
        const linger at_once = {1, 0};
        REQUIRE(::setsockopt(gone.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    }
    const auto stays = connect_to(listening.local_address());
    // Linux hands out the dead one too: its first read will tell.
    const auto first = loop.run(as_result(accept_one(listening)));
    CHECK(first.has_value());
    const auto second = loop.run(as_result(accept_one(listening)));
    CHECK(second.has_value());
}

TEST_CASE("A connection that failed while it waited is passed over, in a bounded number of tries") {
    for (const int code :
         {EAGAIN, EINTR, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENONET,
          ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTO, ETIMEDOUT}) {
        CAPTURE(code);
        event_loop loop;
        auto listening = listener::bind(loop, anywhere);
        const auto client = connect_to(listening.local_address());
        std::optional<result<ringtls::socket>> ended;
        const auto run = [&]() -> started {
            ended.emplace(co_await as_result(listening.accept()));
        };
        started whole;
        {
            const refused_accepts refusing(code);
            const int before = refused_accepts::count;
            whole = run();
            for (int turn = 0; turn < 10; ++turn)
                loop.run([&]() -> task<> { co_await loop.yield(); }());
            CHECK_FALSE(ended.has_value());
            CHECK(refused_accepts::count - before > 1);
            CHECK(static_cast<std::uint64_t>(refused_accepts::count - before) <=
                  1 + loop.counters().turns);
        }
        loop.run();
        REQUIRE(ended.has_value());
        CHECK(ended->has_value());
    }
}

TEST_CASE("accept() fails with the code of a failure that is not the connection's") {
    for (const int code : {EBADF, EINVAL, ENOTSOCK}) {
        CAPTURE(code);
        event_loop loop;
        auto listening = listener::bind(loop, anywhere);
        const auto client = connect_to(listening.local_address());
        {
            const refused_accepts refusing(code);
            const auto refused = loop.run(as_result(accept_one(listening)));
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().code() == std::error_code(code, std::system_category()));
        }
        CHECK(loop.run(as_result(accept_one(listening))).has_value());
    }
}

TEST_CASE("An address that is taken is refused with the system's code, and named") {
    event_loop loop;
    const auto first = listener::bind(loop, anywhere);
    try {
        static_cast<void>(listener::bind(loop, first.local_address()));
        FAIL("did not throw");
    } catch (const error& taken) {
        CHECK(taken.code() == std::errc::address_in_use);
        CHECK(taken.subject() == first.local_address().to_string());
        CHECK(taken.operation() == "listen");
    }
}

TEST_CASE("Listeners that share their port listen on one address") {
    event_loop loop;
    const auto first = listener::bind(loop, anywhere, listen_options().share_port());
    const auto second =
        listener::bind(loop, first.local_address(), listen_options().share_port().backlog(1));
    CHECK(second.local_address() == first.local_address());
}

TEST_CASE("Options of a listener are what was set, and defaults otherwise") {
    CHECK_FALSE(listen_options().shares_port());
    CHECK(listen_options().share_port().shares_port());
    CHECK(listen_options().backlog() > 100);
    CHECK(listen_options().backlog(7).backlog() == 7);
    CHECK_FALSE(listen_options().is_dual_stack());
    CHECK_FALSE(listen_options().removes_stale());
    CHECK_FALSE(listen_options().mode().has_value());
    CHECK(listen_options().on_pressure() == nullptr);
}

TEST_CASE("An IPv6 listener takes IPv4 connections only if it is to") {
    event_loop loop;
    std::optional<listener> six;
    try {
        six.emplace(listener::bind(loop, address("::", 0)));
    } catch (const error& failure) {
        return ringtls::test::skip(failure.what());
    }
    CHECK(option_of(six->fd(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
    const auto port = six->local_address().port();
    std::optional<listener> four(listener::bind(loop, address("0.0.0.0", port)));
    six.reset();
    CHECK_THROWS_AS(
        static_cast<void>(listener::bind(loop, address("::", port), listen_options().dual_stack())),
        error);
    four.reset();
    auto both = listener::bind(loop, address("::", port), listen_options().dual_stack());
    const auto client = connect_to(address("127.0.0.1", port));
    CHECK(loop.run(accept_one(both)).peer_address().host() == "::ffff:127.0.0.1");
}

TEST_CASE("A listener made elsewhere is adopted, and does not block") {
    event_loop loop;
    auto made = bound_to(anywhere, SOCK_STREAM, true);
    const int fd = made.fd();
    std::optional<listener> listening(listener::adopt(loop, made.release()));
    CHECK(listening->fd() == fd);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    const auto nobody = loop.run([](listener& at) -> task<result<ringtls::socket>> {
        co_return co_await as_result(at.accept().within(0s));
    }(*listening));
    CHECK(nobody.error().code() == errc::timed_out);
    const auto client = connect_to(listening->local_address());
    CHECK(loop.run(accept_one(*listening)).local_address() == listening->local_address());
    listening.reset();
    CHECK(::fcntl(fd, F_GETFD) < 0);
}

TEST_CASE("What is no listening stream socket is not adopted, and stays its owner's") {
    event_loop loop;
    const auto refusal = [&loop](int fd) {
        try {
            static_cast<void>(listener::adopt(loop, fd));
        } catch (const error& refused) {
            CHECK(refused.operation() == "listen");
            CHECK(refused.subject() == "descriptor " + std::to_string(fd));
            return refused.code().value();
        }
        return 0;
    };
    const auto idle = bound_to(anywhere);
    const auto datagrams = bound_to(anywhere, SOCK_DGRAM);
    const auto pair = ringtls::test::socket_ends::unix_pair();
    const auto other = ringtls::test::make_eventfd();
    const descriptor packets(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const sockaddr_un unnamed = {AF_UNIX, {}};
    REQUIRE(::bind(packets.fd(), reinterpret_cast<const sockaddr*>(&unnamed),
                   sizeof(sa_family_t)) == 0);
    REQUIRE(::listen(packets.fd(), 1) == 0);
    for (const auto* each : {&idle, &datagrams, &pair.a, &packets}) {
        CHECK(refusal(each->fd()) == EINVAL);
        CHECK(::fcntl(each->fd(), F_GETFD) >= 0);
    }
    CHECK(refusal(other.fd()) == ENOTSOCK);
    CHECK(refusal(-1) == EBADF);
}

TEST_CASE("A listener that goes frees its port at once, although connections were accepted") {
    event_loop loop;
    std::optional<address> at;
    {
        auto listening = listener::bind(loop, anywhere);
        at = listening.local_address();
        const auto client = connect_to(*at);
        const auto accepted = loop.run(accept_one(listening));
    } // the accepted end closes first, and waits in TIME_WAIT
    CHECK_NOTHROW(static_cast<void>(listener::bind(loop, *at)));
}
