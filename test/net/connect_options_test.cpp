// SPDX-License-Identifier: MIT
#include <ringtls/net/connect_options.hpp>

#include "../skip.hpp"
#include "../support/plain_sockets.hpp"
#include "../support/scratch.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/connect.hpp>
#include <ringtls/net/listener.hpp>

#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::connect_options;
using ringtls::event_loop;
using ringtls::listener;
using ringtls::result;
using ringtls::task;
using ringtls::test::bound_to;
using ringtls::test::open_descriptors;
using ringtls::test::option_of;

const address anywhere("127.0.0.1", 0);

/// A loop, a listener, and connections to it.
struct scene {
    event_loop loop;
    listener listening = listener::bind(loop, anywhere);
    address at = listening.local_address();

    result<ringtls::socket> connect(const connect_options& how) { return connect(at, how); }
    result<ringtls::socket> connect(const address& to, const connect_options& how) {
        return loop.run([](event_loop& on, const address& where,
                           const connect_options& by) -> task<result<ringtls::socket>> {
            co_return co_await as_result(ringtls::connect(on, where, by));
        }(loop, to, how));
    }
    /// Why it is refused; leaves no descriptor.
    std::string refusal(const connect_options& how) { return refusal(at, how); }
    std::string refusal(const address& to, const connect_options& how) {
        const auto before = open_descriptors();
        const auto made = connect(to, how);
        CHECK(open_descriptors() == before);
        if (made)
            return {};
        CHECK(made.error().operation() == "connect");
        const auto start = "connect: " + to.to_string() + ": ";
        const std::string text = made.error().what();
        CHECK(text.starts_with(start));
        return text.substr(start.size());
    }
    ringtls::socket accept() {
        return loop.run([](listener& from) -> task<ringtls::socket> {
            co_return co_await from.accept();
        }(listening));
    }
};

} // namespace

TEST_CASE("Unless something is set, a connection has TCP_NODELAY and the system's ways") {
    scene s;
    const auto made = s.connect({});
    REQUIRE(made.has_value());
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK(option_of(made->fd(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT) == 0);
    CHECK(connect_options().attempt_delay() == 250ms);
}

TEST_CASE("A connection has the options that it is to have") {
    scene s;
    const auto made =
        s.connect(connect_options().no_delay(false).keep_alive(30s, 7s, 5).user_timeout(12345ms));
    REQUIRE(made.has_value());
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_NODELAY) == 0);
    CHECK(option_of(made->fd(), SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_KEEPIDLE) == 30);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_KEEPINTVL) == 7);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_KEEPCNT) == 5);
    CHECK(option_of(made->fd(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 12345);
}

TEST_CASE("Options out of range are refused by name") {
    scene s;
    const std::string invalid = "Invalid argument: ";
    CHECK(s.refusal(connect_options().keep_alive(0s, 1s, 1)) == invalid + "keep-alive idle");
    CHECK(s.refusal(connect_options().keep_alive(1s, 0s, 1)) == invalid + "keep-alive interval");
    CHECK(s.refusal(connect_options().keep_alive(1s, 1s, 0)) == invalid + "keep-alive count");
    CHECK(s.refusal(connect_options().user_timeout(-1ms)) == invalid + "user timeout");
}

TEST_CASE(
    "A connection comes from its source, whose port the kernel chooses late or that is given") {
    scene s;
    const auto made = s.connect(connect_options().source(address("127.0.0.2", 0)));
    REQUIRE(made.has_value());
    const auto from = s.accept().peer_address();
    CHECK(from.host() == "127.0.0.2");
    CHECK(from.port() != 0);
    CHECK(option_of(made->fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 1);

    std::optional<ringtls::socket> taken(std::in_place, s.loop,
                                         bound_to(address("127.0.0.3", 0)).release());
    const auto given = taken->local_address();
    CHECK(s.refusal(connect_options().source(given)) ==
          "Address already in use: source " + given.to_string());
    taken.reset();
    const auto second = s.connect(connect_options().source(given));
    REQUIRE(second.has_value());
    CHECK(second->local_address() == given);
}

TEST_CASE("A source that is not this machine's, or of another family, is refused by name") {
    scene s;
    CHECK(s.refusal(connect_options().source(address("192.0.2.1", 0))) ==
          "Cannot assign requested address: source 192.0.2.1:0");
    CHECK(s.refusal(connect_options().source(address("::1", 0))) ==
          "Invalid argument: source [::1]:0 is of another family");
    CHECK(s.refusal(connect_options().source(address::unix_abstract("x"))) ==
          "Invalid argument: source unix:@x is of another family");
    CHECK(s.refusal(address::unix_abstract("x"), connect_options().source(anywhere)) ==
          "Invalid argument: source 127.0.0.1:0 is of another family");
}

TEST_CASE("A unix client's source is its name") {
    event_loop loop;
    const ringtls::test::scratch directory;
    scene s;
    const auto at = address::unix_path(directory.path("server"));
    s.listening = listener::bind(s.loop, at);
    const auto name = address::unix_path(directory.path("client"));
    const auto made = s.connect(at, connect_options().source(name));
    REQUIRE(made.has_value());
    CHECK(s.accept().peer_address() == name);
}

TEST_CASE("A connection is bound to its interface") {
    scene s;
    const auto made = s.connect(connect_options().interface("lo"));
    if (!made && made.error().code() == std::errc::operation_not_permitted)
        return ringtls::test::skip("this system does not let us bind to an interface");
    REQUIRE(made.has_value());
    std::array<char, IFNAMSIZ> name{};
    socklen_t size = name.size();
    REQUIRE(::getsockopt(made->fd(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size) == 0);
    CHECK(std::string(name.data()) == "lo");
    CHECK(s.refusal(connect_options().interface("no-such-one")) ==
          "No such device: interface no-such-one");
}

TEST_CASE("An interface that cannot be is refused") {
    scene s;
    CHECK(s.refusal(connect_options().interface("sixteen-letters!")) ==
          "Invalid argument: interface sixteen-letters! is too long a name");
    CHECK(s.refusal(address::unix_abstract("x"), connect_options().interface("lo")) ==
          "Invalid argument: a unix socket has no interface");
}
