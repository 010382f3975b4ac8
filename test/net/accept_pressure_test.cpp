// SPDX-License-Identifier: MIT
// A listener without descriptors or memory for what waits in its queue.
#include <ringtls/net/listener.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"
#include "../support/plain_sockets.hpp"
#include "../support/refused_accepts.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

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
using ringtls::test::connect_to;
using ringtls::test::descriptor;
using ringtls::test::refused_accepts;
using ringtls::test::started;

const address anywhere("127.0.0.1", 0);

using accepted = std::optional<result<ringtls::socket>>;

/// A loop on a clock that stands still, and a listener with one connection in its queue.
struct scene {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    std::vector<std::string> told;
    std::optional<listener> listening;
    descriptor client;
    std::uint64_t calls_before = refused_accepts::count;

    explicit scene(listen_options options = {}) {
        options.on_pressure([this](const error& why) { told.emplace_back(why.what()); });
        listening.emplace(listener::bind(loop, anywhere, options));
        client = connect_to(listening->local_address());
    }

    [[nodiscard]] std::uint64_t calls() const { return refused_accepts::count - calls_before; }

    void turn(int times = 20) {
        for (; times > 0; --times)
            loop.run([](event_loop& on) -> task<> { co_await on.yield(); }(loop));
    }
    void pass(ringtls::loop_clock::duration time) {
        clock.advance(time);
        turn();
    }
    started accept(accepted& into, std::stop_token stop = {}) {
        into.emplace(co_await as_result(listening->accept().cancel_on(stop)));
    }
};

} // namespace

TEST_CASE("Short of descriptors or memory, accept() pauses 10 ms, twice as long each time, 1 s at "
          "most, and then takes the connection") {
    for (const int code : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        CAPTURE(code);
        scene s;
        accepted got;
        started waiting;
        {
            const refused_accepts refusing(code);
            waiting = s.accept(got);
            s.turn(100);
            CHECK(s.calls() == 1);
            std::uint64_t calls = 1;
            for (const auto pause : {10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms, 1000ms}) {
                s.pass(pause - 1ns);
                CHECK(s.calls() == calls);
                s.pass(1ns);
                CHECK(s.calls() == ++calls);
            }
            CHECK_FALSE(got.has_value());
        }
        s.pass(1s - 1ns);
        CHECK_FALSE(got.has_value());
        s.pass(1ns);
        REQUIRE(got.has_value());
        CHECK(got->has_value());
    }
}

TEST_CASE("A pause that follows a success is a short one again") {
    scene s;
    for (int episode = 0; episode < 2; ++episode) {
        accepted got;
        started waiting;
        {
            const refused_accepts refusing(EMFILE);
            waiting = s.accept(got);
            s.pass(10ms);
            s.pass(20ms);
        }
        s.pass(40ms);
        REQUIRE(got.has_value());
        CHECK(s.calls() == 3U * static_cast<unsigned>(episode + 1));
        s.client = connect_to(s.listening->local_address());
    }
}

TEST_CASE("The application hears of pressure once an episode, and can ask") {
    scene s;
    CHECK_FALSE(s.listening->pressure().present);
    const auto at = s.listening->local_address().to_string();
    for (std::uint64_t episode = 1; episode <= 2; ++episode) {
        accepted got;
        started waiting;
        {
            const refused_accepts refusing(EMFILE);
            waiting = s.accept(got);
            CHECK(s.told.size() == episode - 1); // not from inside accept()
            s.pass(10ms);
            s.pass(20ms);
            CHECK(s.told.size() == episode);
            CHECK(s.told.back() == "accept: " + at + ": Too many open files");
            CHECK(s.listening->pressure().present);
            CHECK(s.listening->pressure().episodes == episode);
            CHECK(s.listening->pressure().refusals == 3 * episode);
        }
        s.pass(40ms);
        REQUIRE(got.has_value());
        CHECK_FALSE(s.listening->pressure().present);
        CHECK(s.told.size() == episode);
        s.client = connect_to(s.listening->local_address());
    }
}

TEST_CASE("An empty queue ends an episode, for the kernel had a descriptor") {
    scene s;
    accepted got;
    {
        const refused_accepts refusing(EMFILE);
        auto waiting = s.accept(got);
        waiting.destroy();
    }
    CHECK(s.listening->pressure().present);
    {
        const refused_accepts refusing(EAGAIN);
        s.clock.advance(10ms);
        auto waiting = s.accept(got);
        CHECK_FALSE(s.listening->pressure().present);
    }
}

TEST_CASE("The handler may destroy the listener that it is told of") {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    std::optional<listener> listening;
    started waiting;
    listening.emplace(
        listener::bind(loop, anywhere, listen_options().on_pressure([&](const error&) {
            waiting.destroy();
            listening.reset();
        })));
    const auto client = connect_to(listening->local_address());
    const refused_accepts refusing(EMFILE);
    waiting = [](listener& at) -> started { co_await at.accept(); }(*listening);
    loop.run();
    CHECK_FALSE(listening.has_value());
}

TEST_CASE("A stop, a deadline and a destroyed frame end a pause, and whoever calls next is in it") {
    scene s;
    const refused_accepts refusing(ENFILE);
    accepted stopped;
    std::stop_source stop;
    const auto first = s.accept(stopped, stop.get_token());
    stop.request_stop();
    s.turn();
    REQUIRE(stopped.has_value());
    CHECK(stopped->error().code() == errc::canceled);

    std::optional<result<ringtls::socket>> late;
    const auto second = [](scene& in, accepted& into) -> started {
        into.emplace(co_await as_result(in.listening->accept().within(5ms)));
    }(s, late);
    s.turn();
    CHECK_FALSE(late.has_value());
    s.pass(5ms);
    REQUIRE(late.has_value());
    CHECK(late->error().code() == errc::timed_out);

    accepted never;
    auto third = s.accept(never);
    third.destroy();
    CHECK(s.calls() == 1);

    accepted fourth;
    const auto last = s.accept(fourth);
    s.pass(5ms);
    CHECK(s.calls() == 2);
    CHECK_FALSE(never.has_value());
    CHECK_FALSE(fourth.has_value());
}

TEST_CASE("Several accept() calls share one pause") {
    scene s;
    const refused_accepts refusing(EMFILE);
    std::vector<accepted> got(5);
    std::vector<started> waiting;
    for (auto& each : got)
        waiting.push_back(s.accept(each));
    s.turn();
    CHECK(s.calls() == 1);
    s.pass(10ms);
    CHECK(s.calls() == 2);
    s.pass(20ms);
    CHECK(s.calls() == 3);
}

TEST_CASE("A process at its limit of descriptors keeps its place in the queue") {
    scene s;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const auto turns_before = s.loop.counters().completions;
    accepted got;
    started waiting;
    {
        const descriptor lowest(::dup(0));
        rlimit none = before;
        none.rlim_cur = static_cast<rlim_t>(lowest.fd());
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
        waiting = s.accept(got);
        s.pass(10ms);
        s.pass(20ms);
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    }
    CHECK_FALSE(got.has_value());
    CHECK(s.listening->pressure().refusals == 3);
    CHECK(s.loop.counters().completions - turns_before <= 1); // the wake-up that told of it
    s.pass(40ms);
    REQUIRE(got.has_value());
    REQUIRE(got->has_value());
    s.client.put("still there");
    const descriptor other(::dup((*got)->fd()));
    CHECK(other.take() == "still there");
}
