// SPDX-License-Identifier: MIT
#include <ringtls/net/listener.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
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
using ringtls::test::descriptor;
using ringtls::test::started;

const address anywhere("127.0.0.1", 0);

/// A blocking connection by plain system calls.
descriptor connect_to(const address& at) {
    descriptor made(::socket(at.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(made.fd(), at.raw(), static_cast<socklen_t>(at.raw_size())) == 0);
    return made;
}

task<ringtls::socket> accept_one(listener& from) {
    co_return co_await from.accept();
}

int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
    return value;
}

/// While it lives, accept4(2) does not reach the kernel: it fails with this code.
class refusing_kernel {
  public:
    explicit refusing_kernel(int code) { refusal = code; }
    refusing_kernel(const refusing_kernel&) = delete;
    refusing_kernel& operator=(const refusing_kernel&) = delete;
    ~refusing_kernel() { refusal = 0; }

    static inline int refusal = 0; ///< 0: none
    static inline int refusals = 0;
};

/// A directory that goes with its contents.
struct directory {
    std::string path = "/tmp/ringtls-listener-XXXXXX";
    directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~directory() { std::filesystem::remove_all(path); }
};

} // namespace

/// Takes the C library's place in this program.
extern "C" int accept4(int fd, sockaddr* peer, socklen_t* size, int flags) {
    if (refusing_kernel::refusal != 0) {
        ++refusing_kernel::refusals;
        errno = refusing_kernel::refusal;
        return -1;
    }
    static const auto real = reinterpret_cast<decltype(&accept4)>(::dlsym(RTLD_NEXT, "accept4"));
    return real(fd, peer, size, flags);
}

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
            const refusing_kernel refusing(code);
            const int before = refusing_kernel::refusals;
            whole = run();
            for (int turn = 0; turn < 10; ++turn)
                loop.run([&]() -> task<> { co_await loop.yield(); }());
            CHECK_FALSE(ended.has_value());
            CHECK(refusing_kernel::refusals - before > 1);
            CHECK(static_cast<std::uint64_t>(refusing_kernel::refusals - before) <=
                  1 + loop.counters().turns);
        }
        loop.run();
        REQUIRE(ended.has_value());
        CHECK(ended->has_value());
    }
}

TEST_CASE("accept() fails with the code of a failure that is not the connection's") {
    for (const int code : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EBADF, EINVAL, ENOTSOCK}) {
        CAPTURE(code);
        event_loop loop;
        auto listening = listener::bind(loop, anywhere);
        const auto client = connect_to(listening.local_address());
        {
            const refusing_kernel refusing(code);
            const auto refused = loop.run(as_result(accept_one(listening)));
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().code() == std::error_code(code, std::system_category()));
        }
        CHECK(loop.run(as_result(accept_one(listening))).has_value());
    }
}

TEST_CASE("accept() without a free descriptor fails with the system's code, and loses nothing") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto client = connect_to(listening.local_address());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const descriptor lowest(::dup(0));
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(lowest.fd());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto refused = loop.run(as_result(accept_one(listening)));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == std::errc::too_many_files_open);
    CHECK(loop.run(as_result(accept_one(listening))).has_value());
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
}

TEST_CASE("A listener listens on a unix path") {
    event_loop loop;
    const directory here;
    const auto at = address::unix_path(here.path + "/socket");
    auto listening = listener::bind(loop, at);
    CHECK(listening.local_address() == at);
    const auto client = connect_to(at);
    const auto accepted = loop.run(accept_one(listening));
    CHECK(accepted.local_address() == at);
}

TEST_CASE("A unix path in a directory that is not there is refused, and named") {
    event_loop loop;
    const auto at = address::unix_path("/no-such-directory/socket");
    try {
        static_cast<void>(listener::bind(loop, at));
        FAIL("did not throw");
    } catch (const error& refused) {
        CHECK(refused.code() == std::errc::no_such_file_or_directory);
        CHECK(refused.subject() == at.to_string());
    }
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
