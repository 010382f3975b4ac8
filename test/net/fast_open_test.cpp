// SPDX-License-Identifier: MIT
// TCP Fast Open, in a network of its own where a server may have it, too.
#include <ringtls/net/connect.hpp>

#include "../skip.hpp"
#include "../support/plain_sockets.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/listener.hpp>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::connect_options;
using ringtls::event_loop;
using ringtls::listener;
using ringtls::task;
using ringtls::test::option_of;

const address anywhere("127.0.0.1", 0);

task<ringtls::socket> fast(event_loop& loop, address to) {
    co_return co_await ringtls::connect(loop, to, connect_options().fast_open());
}
task<ringtls::socket> accept_one(listener& from) {
    co_return co_await from.accept();
}

/// A network with loopback alone, and Fast Open for clients and servers; false: not allowed.
bool enter_own_network() {
    if (::unshare(CLONE_NEWNET) != 0)
        return false;
    const ringtls::test::descriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback = {{{'l', 'o'}}, {}};
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    if (::ioctl(any.fd(), SIOCSIFFLAGS, &loopback) != 0)
        return false;
    std::ofstream setting("/proc/sys/net/ipv4/tcp_fastopen");
    setting << 3 << std::flush;
    return setting.good();
}

/// What happens there; empty if it is as it should be.
std::string scenario() {
    event_loop loop;
    std::optional<listener> listening(listener::bind(loop, anywhere));
    const auto at = listening->local_address();
    const int queue = 16;
    if (::setsockopt(listening->fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue) != 0)
        return "the listener has no Fast Open";
    {
        const auto first = loop.run(fast(loop, at)); // asks for a cookie
        static_cast<void>(loop.run(accept_one(*listening)));
    }
    const auto second = loop.run(fast(loop, at));
    std::array<char, 16> buffer{};
    if (::accept4(listening->fd(), nullptr, nullptr, SOCK_CLOEXEC) >= 0)
        return "something was sent before the first write";
    if (::send(second.fd(), "hello", 5, MSG_NOSIGNAL | MSG_DONTWAIT) != 5)
        return "the first write did not take its bytes";
    const auto peer = loop.run(accept_one(*listening));
    if (::recv(peer.fd(), buffer.data(), buffer.size(), 0) != 5)
        return "the bytes did not arrive";
    tcp_info facts{};
    socklen_t size = sizeof facts;
    if (::getsockopt(second.fd(), IPPROTO_TCP, TCP_INFO, &facts, &size) != 0 ||
        (facts.tcpi_options & TCPI_OPT_SYN_DATA) == 0)
        return "they did not leave with the SYN";
    listening.reset();
    const auto third = loop.run(fast(loop, at));
    static_cast<void>(::send(third.fd(), "hello", 5, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (::recv(third.fd(), buffer.data(), buffer.size(), 0) >= 0 || errno != ECONNREFUSED)
        return "a server that is gone was not the first read's error";
    return {};
}

} // namespace

TEST_CASE("fast_open() asks for Fast Open where there is one, and connects in either case") {
    event_loop loop;
    auto listening = listener::bind(loop, anywhere);
    const auto client = loop.run(fast(loop, listening.local_address()));
    const auto server = loop.run(accept_one(listening));
    std::string setting;
    std::ifstream("/proc/sys/net/ipv4/tcp_fastopen") >> setting;
    const bool offered = !setting.empty() && (std::stoi(setting) & 1) != 0;
    CHECK((option_of(client.fd(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT) != 0) == offered);
    CHECK(client.peer_address() == server.local_address());
}

TEST_CASE("With a cookie nothing is sent before the first write, which leaves with the SYN") {
    ringtls::test::pipe_ends report;
    const auto process = ::fork();
    REQUIRE(process >= 0);
    if (process == 0) {
        const bool there = enter_own_network();
        std::string text;
        try {
            text = there ? scenario() : "";
        } catch (const std::exception& failure) {
            text = failure.what();
        }
        static_cast<void>(::write(report.writer.fd(), text.data(), text.size()));
        ::_exit(there ? 0 : 77);
    }
    int status = -1;
    REQUIRE(::waitpid(process, &status, 0) == process);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        return ringtls::test::skip("a network of one's own is not allowed here");
    CHECK(report.reader.take().empty());
    CHECK(WEXITSTATUS(status) == 0);
}
