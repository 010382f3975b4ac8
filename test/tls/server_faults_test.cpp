// SPDX-License-Identifier: MIT
// A server without memory, for each allocation on its thread once: that costs a connection at most,
// and the next one is served.
#include "../support/failing_memory.hpp"
#include "../support/loopback.hpp"

#include <ringtls/tls/server.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace {
std::atomic<int> bad_closes = 0;
}

/// Takes the place of the C library's in this program.
extern "C" int close(int fd) {
    const auto result = static_cast<int>(::syscall(SYS_close, fd));
    bad_closes += result != 0 && errno == EBADF ? 1 : 0;
    return result;
}

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::allocating;
using test::allocating_with_new;
using test::fault;

constexpr int counts_only = 0;

task<> echo_once(stream peer) {
    std::array<std::byte, 64> buffer;
    const auto count = co_await peer.read(buffer);
    co_await peer.write(std::span(buffer).first(count));
    co_await peer.shutdown();
}

const auto anywhere = server_options().listen({"127.0.0.1", 0});

/// A client whose thread always has memory.
class caller {
  public:
    explicit caller(const server& to) : to_(to.local_address()) {}

    /// True if it was answered.
    bool call() {
        return loop_.run([](caller& self) -> task<bool> {
            try {
                auto connecting = connect(self.loop_, self.to_);
                auto made = co_await connecting.within(30s);
                stream with(std::move(made), self.trust_, "localhost");
                co_await with.write("hello").within(30s);
                std::array<std::byte, 5> answer{};
                co_await with.read_exactly(answer).within(30s);
                co_await with.shutdown().within(30s);
                co_return true;
            } catch (const error& failure) {
                CHECK(failure.code() != errc::timed_out);
                co_return false;
            }
        }(*this));
    }

  private:
    event_loop loop_;
    client_context trust_{test::trusting()};
    address to_;
};

class memory_of_this_thread {
  public:
    memory_of_this_thread() noexcept { test::is_struck = false; }
    memory_of_this_thread(const memory_of_this_thread&) = delete;
    memory_of_this_thread& operator=(const memory_of_this_thread&) = delete;
    ~memory_of_this_thread() { test::is_struck = true; }
};

/// Runs a server on a thread of its own, and stops it at the end.
class running {
  public:
    explicit running(server& one) : one_(one), thread_([this] { run(); }) {}
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() { join(); }

    void join() {
        one_.stop();
        if (thread_.joinable())
            thread_.join();
    }
    /// After join(): what run() threw.
    [[nodiscard]] const std::exception_ptr& thrown() const noexcept { return thrown_; }

  private:
    void run() noexcept {
        try {
            one_.run();
        } catch (...) {
            thrown_ = std::current_exception();
        }
    }

    server& one_;
    std::exception_ptr thrown_;
    std::jthread thread_;
};

bool is_lack_of_memory(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const error& failure) {
        return failure.code() == std::errc::not_enough_memory;
    } catch (...) {
        return false;
    }
}

struct kind {
    const char* name;
    fault* which;
};
constexpr std::array kinds = {kind{"OpenSSL's", &allocating}, kind{"ours", &allocating_with_new}};

} // namespace

TEST_CASE("each allocation of a connection's life can fail, and costs that connection at most") {
    REQUIRE(test::hooked);
    const memory_of_this_thread safe;
    std::atomic<int> told = 0;
    auto how = anywhere;
    how.on_failure([&told](const connection_failure&) { ++told; });
    server one(server_context(test::serving()), echo_once, how);
    running on_its_thread(one);
    caller client(one);
    REQUIRE(client.call()); // what is loaded but once
    for (const auto& each : kinds) {
        each.which->arm(counts_only);
        REQUIRE(client.call());
        const int count = each.which->disarm();
        int lost = 0;
        for (int at = 1; at <= count; at += RINGTLS_TEST_STRIDE) {
            CAPTURE(each.name);
            CAPTURE(at);
            each.which->arm(at);
            lost += client.call() ? 0 : 1;
            each.which->disarm();
            CHECK(client.call());
        }
        CHECK(lost > 0);
        MESSAGE(std::string(each.name)
                << ": " << count << " allocations, " << lost << " connections lost");
    }
    on_its_thread.join();
    CHECK(!on_its_thread.thrown());
    const auto seen = one.counters();
    CHECK(seen.open == 0);
    CHECK(told >= static_cast<int>(seen.failed_handshakes + seen.failed_handlers));
}

TEST_CASE("each allocation of a server's making can fail, and closes nothing twice") {
    const memory_of_this_thread safe;
    event_loop maker;
    const auto handed_over = listener::bind(maker, {"127.0.0.1", 0});
    auto how = anywhere;
    how.listen(handed_over.fd()).threads(2);
    const auto make = [&how, context = server_context(test::serving())] {
        test::is_struck = true;
        bool made = true;
        try {
            const server one(context, echo_once, how);
        } catch (const std::exception&) {
            made = false;
        }
        test::is_struck = false;
        return made;
    };
    bad_closes = 0;
    allocating_with_new.arm(counts_only);
    REQUIRE(make());
    const int count = allocating_with_new.disarm();
    for (int at = 1; at <= count; ++at) {
        CAPTURE(at);
        allocating_with_new.arm(at);
        static_cast<void>(make());
        allocating_with_new.disarm();
        CHECK(bad_closes == 0);
    }
    MESSAGE(count << " allocations");
}

TEST_CASE("each allocation of a server's start and end can fail, which run() throws if it must") {
    const memory_of_this_thread safe;
    struct outcome {
        int allocations = 1;
        int threw = 0;
        std::uint64_t accepted = 0;
    };
    const auto sweep = [](bool has_queue) {
        outcome all;
        for (int at = counts_only; at <= all.allocations; ++at) {
            CAPTURE(at);
            auto how = anywhere;
            server one(server_context(test::serving()), echo_once, how.grace(0s));
            event_loop loop;
            std::vector<socket> queue;
            for (int i = 0; has_queue && i < 3; ++i)
                queue.push_back(loop.run([](event_loop& on, address to) -> task<socket> {
                    co_return co_await connect(on, to);
                }(loop, one.local_address())));
            one.stop();
            allocating_with_new.arm(at);
            running on_its_thread(one);
            on_its_thread.join();
            const int made = allocating_with_new.disarm();
            if (at == counts_only)
                all.allocations = made;
            if (on_its_thread.thrown()) {
                ++all.threw;
                CHECK(is_lack_of_memory(on_its_thread.thrown()));
            }
            CHECK(one.counters().open == 0);
            all.accepted += one.counters().accepted;
        }
        return all;
    };
    const auto empty = sweep(false);
    const auto queue = sweep(true);
    // What takes a queue's connections costs one of them at most, and run() nothing.
    CHECK(queue.allocations > empty.allocations);
    CHECK(queue.threw <= empty.threw);
    const auto runs = static_cast<std::uint64_t>(queue.allocations + 1 - queue.threw);
    CHECK(queue.accepted >= 3 * runs);
    MESSAGE(empty.allocations << " and " << queue.allocations << " allocations, " << empty.threw
                              << " and " << queue.threw << " runs that threw");
}

} // namespace ringtls
