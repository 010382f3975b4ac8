// SPDX-License-Identifier: MIT
// Sockets handed over by another process: this program runs itself as a service manager would.
#include <ringtls/net/activation.hpp>

#include "../descriptors.hpp"
#include "../support/plain_sockets.hpp"

#include <ringtls/net/listener.hpp>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

using ringtls::address;
using ringtls::test::bound_to;
using ringtls::test::descriptor;
using ringtls::test::pipe_ends;

const address anywhere("127.0.0.1", 0);

/// "own" as a LISTEN_PID: the started process's.
using environment = std::vector<std::pair<const char*, std::string>>;

[[noreturn]] void become_service(const std::vector<descriptor>& sockets,
                                 const environment& variables, int report) {
    for (const char* each : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(each);
    for (const auto& [name, value] : variables)
        ::setenv(name, value == "own" ? std::to_string(::getpid()).c_str() : value.c_str(), 1);
    std::vector<int> high;
    high.reserve(sockets.size());
    for (const auto& each : sockets)
        high.push_back(::fcntl(each.fd(), F_DUPFD_CLOEXEC, 100));
    ::dup2(report, STDERR_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
    int next = 3;
    for (const int each : high)
        ::dup2(each, next++);
    ::execl("/proc/self/exe", "service", "--test-case=Service:*", nullptr);
    ::_exit(127);
}

/// What a process that is started with these sockets and variables says of them.
std::string service(const std::vector<descriptor>& sockets, const environment& variables) {
    pipe_ends report;
    const auto process = ::fork();
    REQUIRE(process >= 0);
    if (process == 0)
        become_service(sockets, variables, report.writer.fd());
    report.writer.close();
    REQUIRE(::fcntl(report.reader.fd(), F_SETFL, 0) == 0);
    std::string all;
    for (auto part = report.reader.take(); !part.empty(); part = report.reader.take())
        all += part;
    int status = -1;
    REQUIRE(::waitpid(process, &status, 0) == process);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    return all;
}

std::vector<descriptor> listening(int count) {
    std::vector<descriptor> made;
    for (int i = 0; i < count; ++i)
        made.push_back(bound_to(anywhere, SOCK_STREAM, true));
    return made;
}

std::string refusal(const std::string& subject, const std::string& reason) {
    return "activate: " + subject + ": Invalid argument: " + reason + "\n";
}

} // namespace

/// In a process of its own: tells of the sockets, and takes a connection from each.
TEST_CASE("Service: without the variables there are no sockets") {
    try {
        ringtls::event_loop loop;
        const auto all = ringtls::activated_sockets();
        if (std::getenv("LISTEN_PID") == nullptr)
            CHECK(all.empty());
        for (const auto& each : all) {
            const bool closes = (::fcntl(each.fd, F_GETFD) & FD_CLOEXEC) != 0;
            auto adopted = ringtls::listener::adopt(loop, each.fd);
            const auto peer = loop.run([](ringtls::listener& at) -> ringtls::task<ringtls::socket> {
                co_return co_await at.accept();
            }(adopted));
            std::fprintf(stderr, "%d %s%s %s\n", each.fd, each.name.c_str(),
                         closes ? "" : " stays open", peer.peer_address().to_string().c_str());
        }
    } catch (const ringtls::error& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
    }
}

TEST_CASE("Sockets are handed over in their order, with their names, and accept connections") {
    const auto sockets = listening(2);
    std::vector<std::string> names;
    std::vector<descriptor> clients;
    ringtls::event_loop loop;
    for (const auto& each : sockets) {
        const ringtls::socket looked_at(loop, ::dup(each.fd()));
        const ringtls::socket client(
            loop, ringtls::test::connect_to(looked_at.local_address()).release());
        names.push_back(client.local_address().to_string());
        clients.emplace_back(::dup(client.fd()));
    }
    CHECK(service(sockets,
                  {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "2"}, {"LISTEN_FDNAMES", "web:"}}) ==
          "3 web " + names[0] + "\n4  " + names[1] + "\n");
}

TEST_CASE("Sockets without names are unknown") {
    const auto sockets = listening(1);
    ringtls::event_loop loop;
    const ringtls::socket looked_at(loop, ::dup(sockets[0].fd()));
    const auto client = ringtls::test::connect_to(looked_at.local_address());
    CHECK(service(sockets, {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "1"}})
              .starts_with("3 unknown 127.0.0.1:"));
}

TEST_CASE("There are none without the variables, and none that are another process's") {
    const auto sockets = listening(1);
    for (const environment& each : std::vector<environment>{
             {},
             {{"LISTEN_PID", "own"}},
             {{"LISTEN_FDS", "1"}},
             {{"LISTEN_PID", "1"}, {"LISTEN_FDS", "1"}},
             {{"LISTEN_PID", "1"}, {"LISTEN_FDS", "99999"}, {"LISTEN_FDNAMES", "a:b:c"}},
             {{"LISTEN_PID", "1"}, {"LISTEN_FDS", ""}},
             {{"LISTEN_FDS", "x"}},
             {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "0"}}})
        CHECK(service(sockets, each).empty());
}

TEST_CASE("Variables that are malformed are refused by name") {
    const auto sockets = listening(1);
    for (const char* number : {"", "x", "1x", " 1", "-1", "+1", "0x1", "99999999999999999999"}) {
        CAPTURE(number);
        const auto reason = "not a number: \"" + std::string(number) + "\"";
        CHECK(service(sockets, {{"LISTEN_PID", number}, {"LISTEN_FDS", "1"}}) ==
              refusal("LISTEN_PID", reason));
        CHECK(service(sockets, {{"LISTEN_PID", "own"}, {"LISTEN_FDS", number}}) ==
              refusal("LISTEN_FDS", reason));
    }
    CHECK(service(sockets, {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "1025"}}) ==
          refusal("LISTEN_FDS", "more than 1024"));
    for (const char* names : {"a:b", ":"})
        CHECK(service(sockets,
                      {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "1"}, {"LISTEN_FDNAMES", names}}) ==
              refusal("LISTEN_FDNAMES", "2 names for 1 descriptors"));
}

TEST_CASE("A descriptor that is no listening stream socket is refused, and named") {
    auto sockets = listening(1);
    sockets.push_back(bound_to(anywhere, SOCK_DGRAM));
    const environment two = {{"LISTEN_PID", "own"}, {"LISTEN_FDS", "2"}};
    const std::string not_one =
        "listen: descriptor 4: Invalid argument: not a stream socket that listens\n";
    CHECK(service(sockets, two) == not_one);
    sockets.back() = bound_to(anywhere);
    CHECK(service(sockets, two) == not_one);
    sockets.back() = ringtls::test::make_eventfd();
    CHECK(service(sockets, two) == "listen: descriptor 4: Socket operation on non-socket\n");
}
