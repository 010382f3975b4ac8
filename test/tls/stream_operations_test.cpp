// SPDX-License-Identifier: MIT
// What the awaiters are: immovable, awaitable anywhere, and the same call at every retry. The last
// is not taken from our own code's word: SSL_write_ex is replaced here by one that records.
#include "../support/loopback.hpp"

#include <ringtls/tls/stream_operations.hpp>

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <type_traits>

using namespace std::chrono_literals;

namespace {

/// A call as it reached OpenSSL.
struct write_call {
    const SSL* ssl;
    const void* data;
    std::size_t size;
    int answer;
};

std::vector<write_call>* recorded = nullptr;

} // namespace

/// Takes the place of libssl's for this whole program.
extern "C" int SSL_write_ex(SSL* ssl, const void* data, std::size_t size, std::size_t* written) {
    using function = int (*)(SSL*, const void*, std::size_t, std::size_t*);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "SSL_write_ex"));
    const int answer = real(ssl, data, size, written);
    if (recorded)
        recorded->push_back({ssl, data, size, answer});
    return answer;
}

namespace ringtls {
namespace {

using test::bytes;
using test::loopback;

template<class Operation>
constexpr bool stays_put =
    !std::is_copy_constructible_v<Operation> && !std::is_move_constructible_v<Operation> &&
    !std::is_copy_assignable_v<Operation> && !std::is_move_assignable_v<Operation>;

static_assert(stays_put<handshake_operation>);
static_assert(stays_put<read_operation>);
static_assert(stays_put<read_exactly_operation>);
static_assert(stays_put<readable_operation>);
static_assert(stays_put<write_operation>);
static_assert(stays_put<close_write_operation>);
static_assert(stays_put<shutdown_operation>);
static_assert(stays_put<key_update_operation>);
static_assert(std::is_trivially_copyable_v<limited<read_operation>>);

/// A coroutine type that knows nothing of the library: starts at once, ends unobserved.
struct foreign {
    struct promise_type {
        foreign get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
};

foreign serve_once(stream& peer, std::string& got) {
    co_await peer.handshake();
    std::array<std::byte, 64> buffer;
    const auto count = co_await peer.read(buffer).within(5s);
    got.assign(reinterpret_cast<const char*>(buffer.data()), count);
    const auto written = co_await as_result(peer.write(got));
    CHECK(written);
    co_await peer.shutdown();
}

} // namespace

TEST_CASE("a write that waits hundreds of times repeats the same call, address and length") {
    loopback link(1);
    const auto data = test::random_bytes(4 << 20);
    std::vector<write_call> calls;
    recorded = &calls;
    bytes got(data.size());
    test::run_all(link.loop, test::write_all(link.client, data),
                  [](loopback& on, bytes& into) -> task<> {
                      // Reads little at a time, so that the writer is woken for little.
                      for (std::size_t at = 0; at < into.size();) {
                          const auto part = std::min<std::size_t>(4096, into.size() - at);
                          co_await on.server.read_exactly(std::span(into).subspan(at, part));
                          at += part;
                      }
                  }(link, got));
    recorded = nullptr;
    CHECK(got == data);

    std::size_t retries = 0;
    std::size_t expected = 0; // bytes accepted so far
    const write_call* refused = nullptr;
    for (const auto& call : calls) {
        REQUIRE(call.ssl == link.client.native_handle());
        CHECK(call.data == data.data() + expected);
        CHECK(call.size == std::min<std::size_t>(SSL3_RT_MAX_PLAIN_LENGTH, data.size() - expected));
        if (refused) {
            ++retries;
            CHECK(call.data == refused->data);
            CHECK(call.size == refused->size);
        }
        refused = call.answer == 1 ? nullptr : &call;
        if (call.answer == 1)
            expected += call.size;
    }
    MESSAGE("retries of SSL_write_ex: " << retries);
    CHECK(retries >= 200);
    CHECK(expected == data.size());
    CHECK(link.client.counters().write_waits >= 200);
    CHECK(link.client.counters().spills == 0);
}

TEST_CASE("OpenSSL itself refuses a retry from another address: bad write retry") {
    loopback link(1);
    SSL* const ssl = link.client.native_handle();
    auto data = test::random_bytes(16384);
    std::size_t written = 0;
    int answer = 1;
    while (answer == 1)
        answer = SSL_write_ex(ssl, data.data(), data.size(), &written);
    REQUIRE(SSL_get_error(ssl, answer) == SSL_ERROR_WANT_WRITE);
    const auto moved = data;
    ERR_clear_error();
    answer = SSL_write_ex(ssl, moved.data(), moved.size(), &written);
    CHECK(SSL_get_error(ssl, answer) == SSL_ERROR_SSL);
    CHECK(ERR_GET_REASON(ERR_peek_error()) == SSL_R_BAD_WRITE_RETRY);
    ERR_clear_error();
}

TEST_CASE("operations are awaited in a coroutine type that the library does not know") {
    loopback link(0, test::trusting(), test::serving(), true);
    std::string got;
    serve_once(link.server, got);
    link.loop.run([](stream& client) -> task<> {
        co_await client.write("from afar");
        std::array<std::byte, 9> back;
        co_await client.read_exactly(back);
        co_await client.shutdown();
    }(link.client));
    link.loop.run();
    CHECK(got == "from afar");
}

TEST_CASE("modifiers combine, and the first to strike decides") {
    loopback link;
    link.loop.run([](loopback& on) -> task<> {
        std::array<std::byte, 8> buffer;
        std::stop_source stop;
        on.loop.post([&on] { on.clock.advance(2s); });
        const auto late = co_await as_result(
            on.client.read(buffer).within(1s).cancel_on(stop.get_token()).within(1h));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
        on.loop.post([&stop] { stop.request_stop(); });
        const auto stopped = co_await as_result(
            on.client.read(buffer).cancel_on(stop.get_token()).until(on.clock.now() + 1h));
        REQUIRE(!stopped);
        CHECK(stopped.error().code() == errc::canceled);
        // Already stopped: not even tried.
        co_await on.server.write("unread");
        const auto untried = co_await as_result(on.client.read(buffer).cancel_on(stop.get_token()));
        REQUIRE(!untried);
        CHECK(untried.error().code() == errc::canceled);
        CHECK(co_await on.client.read(buffer) == 6);
    }(link));
}

TEST_CASE("a stop requested from another thread cancels a read and a write") {
    loopback link(1);
    const auto data = test::random_bytes(1'000'000);
    std::stop_source stop;
    std::thread other;
    link.loop.spawn([](stream& from, std::stop_token token) -> task<> {
        std::array<std::byte, 8> buffer;
        const auto ended = co_await as_result(from.read(buffer).cancel_on(token));
        REQUIRE(!ended);
        CHECK(ended.error().code() == errc::canceled);
    }(link.client, stop.get_token()));
    link.loop.spawn([](stream& to, const bytes& all, std::stop_token token) -> task<> {
        const auto ended = co_await as_result(to.write(all).cancel_on(token));
        REQUIRE(!ended);
        CHECK(ended.error().code() == errc::canceled);
        CHECK(ended.error().bytes() > 0);
    }(link.client, data, stop.get_token()));
    link.loop.run(test::settle(link.loop));
    other = std::thread([&stop] { stop.request_stop(); });
    link.loop.run();
    other.join();
}

} // namespace ringtls
