// SPDX-License-Identifier: MIT
#include <ringtls/net/connect.hpp>

#include "../descriptors.hpp"
#include "../skip.hpp"
#include "../started.hpp"
#include "../support/full_listener.hpp"
#include "../support/plain_sockets.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/listener.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::listener;
using ringtls::result;
using ringtls::task;
using ringtls::test::descriptor;
using ringtls::test::full_listener;
using ringtls::test::open_descriptors;
using ringtls::test::started;

const address anywhere("127.0.0.1", 0);

task<result<ringtls::socket>> try_connect(event_loop& loop, address to) {
    co_return co_await as_result(ringtls::connect(loop, to));
}

/// What TCP_NODELAY is refused with; 0: it is not.
int no_delay_refusal = 0;

/// How often getpeername(2) is to say that the socket is not connected, and how often it did.
int unconnected = 0;
int denials = 0;
/// Whether SO_ERROR is 0, whatever happened.
bool no_socket_error = false;

} // namespace

/// Takes the C library's place in this program.
extern "C" int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
    if (no_delay_refusal != 0 && level == IPPROTO_TCP && name == TCP_NODELAY) {
        errno = no_delay_refusal;
        return -1;
    }
    static const auto real =
        reinterpret_cast<decltype(&setsockopt)>(::dlsym(RTLD_NEXT, "setsockopt"));
    return real(fd, level, name, value, size);
}
extern "C" int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
    static const auto real =
        reinterpret_cast<decltype(&getsockopt)>(::dlsym(RTLD_NEXT, "getsockopt"));
    const int result = real(fd, level, name, value, size);
    if (no_socket_error && level == SOL_SOCKET && name == SO_ERROR)
        *static_cast<int*>(value) = 0;
    return result;
}
extern "C" int getpeername(int fd, sockaddr* peer, socklen_t* size) noexcept {
    if (unconnected > 0) {
        --unconnected;
        ++denials;
        errno = ENOTCONN;
        return -1;
    }
    static const auto real =
        reinterpret_cast<decltype(&getpeername)>(::dlsym(RTLD_NEXT, "getpeername"));
    return real(fd, peer, size);
}

TEST_CASE("connect() completes with a connected socket, with TCP_NODELAY on") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    auto made = loop.run(try_connect(loop, listening.local_address()));
    REQUIRE(made.has_value());
    CHECK(made->peer_address() == listening.local_address());
    CHECK(&made->loop() == &loop);
    int value = 0;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(made->fd(), IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0);
    CHECK(value != 0);
    CHECK((::fcntl(made->fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("connect() and accept() meet, and bytes pass both ways") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    loop.run([&]() -> task<> {
        const auto client = co_await ringtls::connect(loop, listening.local_address());
        const auto server = co_await listening.accept();
        CHECK(client.local_address() == server.peer_address());
        const descriptor one(::dup(client.fd()));
        const descriptor two(::dup(server.fd()));
        one.put("ping");
        co_await loop.poll(two.fd(), ringtls::poll_events::readable);
        CHECK(two.take() == "ping");
        two.put("pong");
        co_await loop.poll(one.fd(), ringtls::poll_events::readable);
        CHECK(one.take() == "pong");
    }());
}

TEST_CASE("connect() where nobody listens fails with the system's code, and names the address") {
    event_loop loop;
    std::optional<address> at;
    {
        const auto closed = listener::bind(loop, anywhere);
        at = closed.local_address();
    }
    const auto refused = loop.run(try_connect(loop, *at));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == std::errc::connection_refused);
    CHECK(refused.error().operation() == "connect");
    CHECK(refused.error().subject() == at->to_string());
}

TEST_CASE("A readiness that means nothing is not taken for a connection") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    unconnected = 3;
    denials = 0;
    const auto made = loop.run(try_connect(loop, listening.local_address()));
    CHECK(made.has_value());
    CHECK(denials == 3);
}

TEST_CASE("A socket that has hung up is no connection, although it has no error to tell") {
    event_loop loop;
    std::optional<address> at;
    {
        const auto closed = listener::bind(loop, anywhere);
        at = closed.local_address();
    }
    const auto before = open_descriptors();
    no_socket_error = true;
    const auto refused = loop.run(try_connect(loop, *at));
    no_socket_error = false;
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == std::errc::not_connected);
    CHECK(refused.error().subject() == at->to_string());
    CHECK(open_descriptors() == before);
}

TEST_CASE("A unix listener whose queue is full is told at once") {
    event_loop loop;
    const auto at = address::unix_abstract("ringtls-test-" + std::to_string(::getpid()));
    const auto listening = listener::bind(loop, at, ringtls::listen_options().backlog(0));
    const auto first = loop.run(try_connect(loop, at));
    CHECK(first.has_value());
    const auto second = loop.run(try_connect(loop, at));
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code() == std::errc::resource_unavailable_try_again);
}

TEST_CASE("A socket that refuses TCP_NODELAY fails connect(), and is closed") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    CHECK(loop.run(try_connect(loop, listening.local_address())).has_value());
    const auto before = open_descriptors();
    no_delay_refusal = EINVAL;
    const auto refused = loop.run(try_connect(loop, listening.local_address()));
    no_delay_refusal = 0;
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == std::errc::invalid_argument);
    CHECK(refused.error().operation() == "connect");
    CHECK(refused.error().subject() == listening.local_address().to_string());
    CHECK(open_descriptors() == before);
}

TEST_CASE("A socket that knows no TCP_NODELAY connects without") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    for (const int code : {EOPNOTSUPP, ENOPROTOOPT}) {
        no_delay_refusal = code;
        const auto made = loop.run(try_connect(loop, listening.local_address()));
        no_delay_refusal = 0;
        CHECK(made.has_value());
    }
}

TEST_CASE("connect() to an IPv6 address works where there is one") {
    event_loop loop;
    std::optional<listener> listening;
    try {
        listening.emplace(listener::bind(loop, address("::1", 0)));
    } catch (const ringtls::error& failure) {
        return ringtls::test::skip(failure.what());
    }
    const auto made = loop.run(try_connect(loop, listening->local_address()));
    CHECK(made.has_value());
}

TEST_CASE("connect() to a unix path works, and to one that is not there fails") {
    event_loop loop;
    std::string path = "/tmp/ringtls-connect-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    const auto at = address::unix_path(path + "/socket");
    const auto missing = loop.run(try_connect(loop, at));
    {
        auto listening = listener::bind(loop, at);
        const auto made = loop.run(try_connect(loop, at));
        CHECK(made.has_value());
    }
    std::filesystem::remove_all(path);
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code() == std::errc::no_such_file_or_directory);
    CHECK(missing.error().subject() == at.to_string());
}

TEST_CASE("A failed connect() leaves no descriptor open") {
    event_loop loop;
    const auto nowhere = address::unix_path("/no-such-directory/socket");
    CHECK_FALSE(loop.run(try_connect(loop, nowhere)).has_value());
    const auto before = open_descriptors();
    for (int i = 0; i < 10; ++i)
        CHECK_FALSE(loop.run(try_connect(loop, nowhere)).has_value());
    CHECK(open_descriptors() == before);
}

TEST_CASE("connect() that takes too long times out, and closes its socket") {
    ringtls::manual_clock clock;
    event_loop loop(ringtls::event_loop_options().clock(clock));
    const full_listener listening(loop);
    if (!listening.full())
        return ringtls::test::skip("this system's accept queue does not fill up");
    const auto before = open_descriptors();
    std::optional<result<ringtls::socket>> ended;
    const auto run = [&]() -> started {
        ended.emplace(co_await as_result(ringtls::connect(loop, listening.at()).within(1s)));
    };
    const auto whole = run();
    loop.run([&]() -> task<> {
        co_await loop.yield();
        co_await loop.yield();
    }());
    CHECK_FALSE(ended.has_value());
    CHECK(open_descriptors() == before + 1);
    clock.advance(1s);
    loop.run();
    REQUIRE(ended.has_value());
    CHECK(ended->error().code() == errc::timed_out);
    CHECK(open_descriptors() == before);
}

TEST_CASE("A frame that is destroyed while it connects closes its socket") {
    event_loop loop;
    const full_listener listening(loop);
    if (!listening.full())
        return ringtls::test::skip("this system's accept queue does not fill up");
    const auto before = open_descriptors();
    const auto run = [&]() -> started { co_await ringtls::connect(loop, listening.at()); };
    auto whole = run();
    CHECK(open_descriptors() == before + 1);
    whole.destroy();
    CHECK(open_descriptors() == before);
}

TEST_CASE("connect() after the turn's budget is used up connects in the next turn") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto made = loop.run([](event_loop& on, address at) -> task<int> {
        int count = 0;
        for (; count < 100; ++count) {
            const auto next = co_await ringtls::connect(on, at);
            static_cast<void>(next);
        }
        co_return count;
    }(loop, listening.local_address()));
    CHECK(made == 100);
}
