// SPDX-License-Identifier: MIT
// A loop where the kernel really refuses io_uring: in a child process with a filter of system
// calls, as containers have one.
#include "../support/loopback.hpp"
#include "../support/refused_system_calls.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace ringtls::test;
using ringtls::event_loop;
using ringtls::event_loop_options;

/// What this call returns, or the text of what it throws, in a child process.
std::string in_child(const std::function<std::string()>& call) {
    std::array<int, 2> ends{};
    check_system(::pipe(ends.data()) == 0);
    const pid_t child = ::fork();
    check_system(child >= 0);
    if (child == 0) {
        ::close(ends[0]);
        std::string told;
        try {
            told = call();
        } catch (const std::exception& thrown) {
            told = std::string("threw: ") + thrown.what();
        }
        const bool written = ::write(ends[1], told.data(), told.size()) >= 0;
        ::_exit(written ? 0 : 1);
    }
    ::close(ends[1]);
    std::string told;
    std::array<char, 1024> buffer;
    for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
        told.append(buffer.data(), static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = -1;
    check_system(::waitpid(child, &status, 0) == child);
    return status == 0 ? told : told + " and failed";
}

ringtls::task<> answer(ringtls::stream& peer, bytes buffer) {
    co_await peer.read_exactly(buffer);
    co_await peer.write(buffer);
    co_await peer.close_write();
}

/// A conversation, and how the loop that carried it waits.
std::string echo() {
    loopback on;
    const auto sent = random_bytes(1'000'000);
    bytes received(sent.size());
    run_all(on.loop, write_all(on.client, sent), read_all(on.client, received),
            answer(on.server, bytes(sent.size())));
    run_all(on.loop, shut_down(on.client));
    return std::string(on.loop.driver()) + (received == sent ? " echoed; " : " did not echo; ") +
           std::string(on.loop.driver_reason());
}

struct refusal {
    std::vector<int> calls;
    int code;
    std::string_view reason;
};

} // namespace

TEST_CASE("Where a filter refuses io_uring, a conversation goes on epoll, and the loop says why") {
    const std::vector<refusal> refusals = {
        {all_of_io_uring, EPERM, "io_uring: io_uring_setup: Operation not permitted"},
        {all_of_io_uring, ENOSYS, "io_uring: io_uring_setup: Function not implemented"},
        {all_of_io_uring, EACCES, "io_uring: io_uring_setup: Permission denied"},
        {{SYS_io_uring_enter}, EPERM, "io_uring: io_uring_enter: Operation not permitted"},
    };
    for (const auto& each : refusals) {
        CAPTURE(each.reason);
        CHECK(in_child([&] {
                  refuse(each.calls, each.code);
                  return echo();
              }) == "epoll echoed; " + std::string(each.reason));
    }
}

TEST_CASE("Without the right to register its descriptor, a ring is used all the same") {
    CHECK(in_child([] {
              refuse({SYS_io_uring_register}, EPERM);
              return echo();
          }) == "io_uring echoed; ");
}

TEST_CASE("An older filter, that does not know epoll_pwait2, does not keep a loop from waiting") {
    CHECK(in_child([] {
              auto calls = all_of_io_uring;
              calls.push_back(SYS_epoll_pwait2);
              refuse(calls, EPERM);
              event_loop loop;
              const auto until = loop.now() + std::chrono::microseconds(1500);
              loop.run([](event_loop& on, ringtls::loop_clock::time_point then) -> ringtls::task<> {
                  co_await on.sleep_until(then);
              }(loop, until));
              return std::string(loop.now() >= until ? "waited" : "hurried");
          }) == "waited");
}

TEST_CASE("io_uring that was asked for and is refused is an error with the kernel's reason") {
    for (const bool by_environment : {false, true}) {
        CAPTURE(by_environment);
        CHECK(in_child([&] {
                  refuse(all_of_io_uring, EPERM);
                  if (by_environment)
                      ::setenv("RINGTLS_DRIVER", "io_uring", 1);
                  const event_loop loop(
                      event_loop_options().driver(by_environment ? "" : "io_uring"));
                  return std::string(loop.driver());
              }) == "threw: io_uring: io_uring_setup: Operation not permitted");
    }
}

TEST_CASE("Where epoll is refused as well, the error tells of both") {
    const auto told = in_child([] {
        auto calls = all_of_io_uring;
        calls.push_back(SYS_epoll_create1);
        refuse(calls, EPERM);
        const event_loop loop;
        return std::string(loop.driver());
    });
    for (const std::string_view part : {"threw: event_loop", "io_uring_setup", "epoll_create1"})
        CHECK(told.find(part) != std::string::npos);
}
