// SPDX-License-Identifier: MIT
// What the library costs by itself: both ends on one thread, over a socketpair, in rounds.
#include <ringtls/ringtls.hpp>

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace {

using ringtls::task;
using bytes = std::vector<std::byte>;

constexpr int rounds = 5;

struct ends {
    ringtls::stream client;
    ringtls::stream server;
};

/// User and system time of this process.
double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

task<> echo(ringtls::stream& peer) {
    bytes buffer(16384);
    while (const auto count = co_await peer.read(buffer))
        co_await peer.write(std::span(buffer).first(count));
}

task<> ask(ringtls::stream& peer, std::size_t size, int times) {
    const bytes request(size);
    bytes answer(size);
    for (int i = 0; i < times; ++i) {
        co_await peer.write(request);
        co_await peer.read_exactly(answer);
    }
}

task<> send(ringtls::stream& peer, std::size_t size, int times) {
    const bytes data(size);
    for (int i = 0; i < times; ++i)
        co_await peer.write(data);
}

task<> receive(ringtls::stream& peer, std::size_t total) {
    bytes buffer(65536);
    while (total > 0)
        total -= co_await peer.read(buffer);
}

task<> shake_hands(ringtls::stream& with) {
    co_await with.handshake();
}

double median(std::array<double, rounds> figures) {
    std::ranges::sort(figures);
    return figures[rounds / 2];
}

void bench_echo(ringtls::event_loop& loop, ends& on, std::size_t size) {
    constexpr int times = 20'000;
    std::array<double, rounds> cpu{};
    std::uint64_t calls = 0;
    for (auto& figure : cpu) {
        const auto streams = on.client.counters();
        const auto enters = loop.counters().enters;
        const double before = cpu_seconds();
        loop.run(ask(on.client, size, times));
        figure = (cpu_seconds() - before) / times * 1e6;
        const auto after = on.client.counters();
        calls = after.receives - streams.receives + after.sends - streams.sends +
                loop.counters().enters - enters;
    }
    std::printf(
        "echo %5zu B: %6.2f us CPU for both ends, %.2f system calls of the client and loop\n", size,
        median(cpu), static_cast<double>(calls) / times);
}

void bench_bulk(ringtls::event_loop& loop, ends& on, std::size_t size) {
    constexpr std::size_t total = 512UL << 20;
    std::array<double, rounds> cpu{};
    for (auto& figure : cpu) {
        const double before = cpu_seconds();
        loop.run(ringtls::when_all(send(on.client, size, static_cast<int>(total / size)),
                                   receive(on.server, total)));
        figure = (cpu_seconds() - before) * 1e9 / static_cast<double>(total);
    }
    std::printf("bulk %7zu B a write: %.3f CPU seconds a GB for both ends\n", size, median(cpu));
}

ends connect(ringtls::event_loop& loop) {
    const std::array<std::string, 1> names = {"localhost"};
    const auto self = ringtls::self_signed(names);
    const ringtls::server_context server{ringtls::server_settings(self)};
    const ringtls::client_context client(ringtls::client_settings().trust(self.chain));
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
        throw std::system_error(errno, std::system_category(), "socketpair");
    ends made{ringtls::stream(ringtls::socket(loop, fds[0]), client, "localhost"),
              ringtls::stream(ringtls::socket(loop, fds[1]), server)};
    loop.run(ringtls::when_all(shake_hands(made.client), shake_hands(made.server)));
    return made;
}

} // namespace

int main() {
    ringtls::event_loop loop;
    std::printf("ringtls %s, driver %s, medians of %d rounds\n",
                std::string(ringtls::version).c_str(), std::string(loop.driver()).c_str(), rounds);
    {
        auto on = connect(loop);
        for (const std::size_t size : {1024UL, 16384UL, 65536UL, 1048576UL})
            bench_bulk(loop, on, size);
    }
    auto on = connect(loop);
    loop.spawn(echo(on.server));
    for (const std::size_t size : {64UL, 1024UL, 16384UL})
        bench_echo(loop, on, size);
    loop.run([](ringtls::stream& client) -> task<> { co_await client.close_write(); }(on.client));
    loop.run();
}
