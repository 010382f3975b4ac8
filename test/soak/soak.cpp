// SPDX-License-Identifier: MIT
// Opens, uses, cancels, kills and resets connections at random, many at once on one loop, and
// checks every promise that can be checked from outside. At the end of each round, when all are
// closed, the process must hold what it held at the start.
//
//   soak [--seed N] [--seconds N | --rounds N | --connection SEED]
//
// All of a run follows from its seed but for what the kernel and the other thread do by their own
// time. --connection repeats a single connection, by the seed that a failure names.
#include "../support/loopback.hpp"
#include "encounter.hpp"
#include "resources.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>

namespace ringtls::soak {
namespace {

using namespace std::chrono_literals;
using real_clock = std::chrono::steady_clock;

struct options {
    std::uint64_t seed = (std::uint64_t{std::random_device()()} << 32) | std::random_device()();
    std::chrono::seconds time = 10s;
    std::optional<std::uint64_t> rounds;
    std::optional<std::uint64_t> connection;
};

[[noreturn]] void fail(const std::string& reason) {
    std::printf("%s\nsoak: FAILED\n", reason.c_str());
    std::fflush(stdout);
    std::_Exit(1);
}

/// Two connected sockets by the library's own connect and accept.
task<std::array<int, 2>> open_tcp(event_loop& loop, listener& at) {
    const auto nobody = co_await as_result(at.accept().within(0s));
    if (nobody || nobody.error().code() != errc::timed_out)
        fail("accept() took a connection that nobody made");
    auto client = co_await connect(loop, at.local_address());
    auto server = co_await at.accept();
    co_return std::array<int, 2>{client.release(), server.release()};
}

/// The same by hand, with receive buffers that are small from the start, as they have to be: TCP
/// drops what it has asked for and has no more room for.
std::array<int, 2> open_narrow_tcp(int buffer) {
    const auto make = [&] {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        test::check_system(fd >= 0);
        test::check_system(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) == 0);
        return fd;
    };
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const generic = reinterpret_cast<sockaddr*>(&at);
    const int listening = make();
    test::check_system(::bind(listening, generic, size) == 0 && ::listen(listening, 1) == 0 &&
                       ::getsockname(listening, generic, &size) == 0);
    const int client = make();
    test::check_system(::connect(client, generic, size) == 0);
    const int server = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    test::check_system(server >= 0);
    ::close(listening);
    return {client, server};
}

std::array<int, 2> open_unix() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
        fail(std::string("socketpair: ") + std::strerror(errno));
    return fds;
}

class soak {
  public:
    explicit soak(const options& how) : options_(how), luck_(how.seed) {}

    void run();

  private:
    task<> round(std::size_t connections, std::size_t at_once);
    void one_turn(std::vector<std::unique_ptr<encounter>>& live);
    void look_at_resources();
    void check_counting();
    void check_back_at_start();
    void run_round();
    [[nodiscard]] bool enough() const;

    /// Rounds until OpenSSL, malloc and the loop have what they keep.
    static constexpr std::uint64_t warm_up = 2;
    static constexpr std::size_t most_at_once = 200;
    /// OpenSSL 3.5 makes 33 KiB of things that last when it first needs them, some in later rounds.
    static constexpr std::size_t heap_slack = 48 * 1024;

    options options_;
    dice luck_;
    world world_;
    real_clock::time_point began_ = real_clock::now();
    real_clock::time_point shown_ = began_;
    std::size_t descriptors_at_start_ = 0;
    std::optional<std::size_t> polls_at_start_;
    bool heap_counted_ = heap_is_counted();
    std::size_t heap_at_start_ = 0;
};

test::started wait_for_ever(event_loop& loop, int fd) {
    (void)co_await loop.poll(fd, poll_events::readable);
}

/// The count of polls must go up by those that are made, and down when they are given up; otherwise
/// it would be no witness. They also make the driver's table as big as it will ever be.
void soak::check_counting() {
    constexpr std::size_t many = 8 * most_at_once;
    const auto silent = open_unix();
    const socket waited_for(world_.loop, silent[0]);
    const socket other_end(world_.loop, silent[1]);
    world_.loop.run(test::settle(world_.loop));
    polls_at_start_ = pending_polls();
    if (!polls_at_start_) {
        std::puts("this kernel does not tell of pending polls: not checked");
        return;
    }
    std::vector<test::started> waits(many);
    for (auto& each : waits)
        each = wait_for_ever(world_.loop, waited_for.fd());
    world_.loop.run(test::settle(world_.loop));
    if (pending_polls() != *polls_at_start_ + many)
        fail("pending polls are not counted as they are");
    waits.clear();
    world_.loop.run(test::settle(world_.loop));
    if (pending_polls() != polls_at_start_)
        fail("polls that were given up still wait");
}

task<> soak::round(std::size_t connections, std::size_t at_once) {
    const contexts with;
    auto at = listener::bind(world_.loop, address("127.0.0.1", 0));
    std::vector<std::unique_ptr<encounter>> live;
    while (connections > 0 || !live.empty()) {
        for (auto most = luck_.size(7); connections > 0 && live.size() < at_once && most > 0;
             --most) {
            const auto seed = options_.connection.value_or(luck_.roll());
            dice by(seed);
            auto fds = by.one_in(2) ? open_unix() : std::array{-1, -1};
            if (fds[0] < 0 && by.one_in(2))
                fds = open_narrow_tcp(1 << (12 + by.below(5)));
            if (fds[0] < 0)
                fds = co_await open_tcp(world_.loop, at);
            live.push_back(std::make_unique<encounter>(world_, with, seed, fds));
            --connections;
        }
        world_.count.most_at_once = std::max(world_.count.most_at_once, live.size());
        co_await world_.loop.yield();
        one_turn(live);
    }
}

void soak::one_turn(std::vector<std::unique_ptr<encounter>>& live) {
    world_.clock.advance(1ms);
    for (const auto& each : live) {
        each->turn();
        if (each->over())
            each->conclude();
    }
    std::erase_if(live, [](const auto& each) { return each->over(); });
    if (world_.loop.counters().turns % 512 == 0)
        look_at_resources();
}

void soak::look_at_resources() {
    auto& count = world_.count;
    count.most_descriptors = std::max(count.most_descriptors, open_descriptors());
    count.most_heap = std::max(count.most_heap, heap_in_use());
    count.most_polls = std::max(count.most_polls, pending_polls().value_or(0));
    if (real_clock::now() - shown_ < 10s || ::isatty(STDERR_FILENO) == 0)
        return;
    shown_ = real_clock::now();
    std::fprintf(stderr, "soak: %lld s, %llu connections, %zu MiB resident\n",
                 static_cast<long long>((shown_ - began_) / 1s),
                 static_cast<unsigned long long>(count.connections), resident_bytes() >> 20);
}

void soak::check_back_at_start() {
    const auto descriptors = open_descriptors();
    if (descriptors != descriptors_at_start_)
        fail(std::to_string(descriptors) + " descriptors are open instead of " +
             std::to_string(descriptors_at_start_));
    const auto polls = pending_polls();
    if (polls != polls_at_start_)
        fail(std::to_string(polls.value_or(0)) + " polls are pending instead of " +
             std::to_string(polls_at_start_.value_or(0)));
    if (world_.count.rounds < warm_up || !heap_counted_)
        return;
    const auto heap = heap_in_use();
    if (world_.count.rounds == warm_up)
        heap_at_start_ = heap;
    if (heap > heap_at_start_ + heap_slack)
        fail(std::to_string(heap) + " bytes of heap are in use instead of " +
             std::to_string(heap_at_start_));
}

void soak::run_round() {
    const bool warm = world_.count.rounds >= warm_up;
    const auto at_once = warm ? 1 + luck_.below(most_at_once) : most_at_once;
    const auto connections = options_.connection ? 1 : at_once + luck_.below(most_at_once);
    world_.loop.run(round(connections, at_once));
    ++world_.count.rounds;
    check_back_at_start();
}

bool soak::enough() const {
    if (options_.connection)
        return world_.count.rounds == 1;
    if (options_.rounds)
        return world_.count.rounds >= *options_.rounds;
    return real_clock::now() - began_ >= options_.time;
}

void soak::run() {
    std::printf("seed: %llu\n", static_cast<unsigned long long>(options_.seed));
    std::fflush(stdout);
    check_counting();
    descriptors_at_start_ = open_descriptors();
    if (!heap_counted_)
        std::puts("malloc does not count here: heap not checked");
    while (!enough())
        run_round();
    world_.count.print();
    std::printf("at the end: %zu descriptors, %zu KiB of heap, %zu polls, as at the start; "
                "%zu MiB resident\n",
                open_descriptors(), heap_in_use() / 1024, pending_polls().value_or(0),
                resident_bytes() >> 20);
    std::printf("time: %lld s\n", static_cast<long long>((real_clock::now() - began_) / 1s));
    std::puts("soak: ok");
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size()) {
        std::fprintf(stderr, "soak: not a number: %.*s\n", static_cast<int>(text.size()),
                     text.data());
        std::exit(2);
    }
    return value;
}

options options_of(std::span<char*> words) {
    options made;
    for (std::size_t i = 1; i < words.size(); i += 2) {
        const std::string_view name = words[i];
        if (i + 1 == words.size()) {
            std::fprintf(stderr, "soak: %s: a number is missing\n", words[i]);
            std::exit(2);
        }
        const auto value = number_of(words[i + 1]);
        if (name == "--seed") {
            made.seed = value;
        } else if (name == "--seconds") {
            made.time = std::chrono::seconds(value);
        } else if (name == "--rounds") {
            made.rounds = value;
        } else if (name == "--connection") {
            made.connection = value;
        } else {
            std::fprintf(stderr, "soak: unknown option: %s\n", words[i]);
            std::exit(2);
        }
    }
    return made;
}

} // namespace
} // namespace ringtls::soak

int main(int count, char** words) {
    const auto how = ringtls::soak::options_of({words, static_cast<std::size_t>(count)});
    ringtls::soak::soak(how).run();
}
