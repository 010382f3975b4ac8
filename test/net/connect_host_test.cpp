// SPDX-License-Identifier: MIT
// Which addresses are tried, when, and what is left of them; time is moved by hand.
#include <ringtls/net/connect_host.hpp>

#include "../skip.hpp"
#include "../started.hpp"
#include "../support/full_listener.hpp"
#include "../support/plain_sockets.hpp"

#include <net/connect_race.hpp>
#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/listener.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netdb.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::connect_options;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::listener;
using ringtls::loop_clock;
using ringtls::result;
using ringtls::task;
using ringtls::detail::interleaved;
using ringtls::test::full_listener;
using ringtls::test::open_descriptors;
using ringtls::test::started;

using ending = std::optional<result<ringtls::socket>>;

/// The addresses that connect(2) was called with, and when by the scene's clock.
struct call {
    std::string to;
    loop_clock::duration at;
    bool operator==(const call&) const = default;
};
std::vector<call>* calls = nullptr;
const ringtls::manual_clock* watch = nullptr;
loop_clock::time_point start;

/// Whether getaddrinfo(3) stays away with a name's answer; EAI_FAIL is what it brings at last.
std::atomic<bool> names_are_held = false;

std::ostream& operator<<(std::ostream& out, const call& one) {
    return out << one.to << " after " << one.at.count() << " ns";
}

/// A clock that stands still, a loop, a listener, a port that refuses, and a black hole.
struct scene {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    listener listening = listener::bind(loop, address("127.0.0.1", 0));
    address good = listening.local_address();
    full_listener hole{loop, address("0.0.0.0", 0)};
    std::vector<call> made;
    std::size_t descriptors = 0;

    scene() {
        // Nothing is outstanding when the counting begins.
        turn();
        calls = &made;
        watch = &clock;
        start = clock.now();
        descriptors = open_descriptors();
    }
    scene(const scene&) = delete;
    scene& operator=(const scene&) = delete;
    ~scene() { calls = nullptr; }

    /// One of 254 addresses that neither answer nor refuse.
    [[nodiscard]] address silent(int number) const {
        return {"127.0.0." + std::to_string(number), hole.at().port()};
    }
    /// One of 254 addresses that refuse.
    [[nodiscard]] address refusing(int number) const {
        return {"127.0.1." + std::to_string(number), good.port()};
    }

    void turn(int times = 20) {
        for (; times > 0; --times)
            loop.run([](event_loop& on) -> task<> { co_await on.yield(); }(loop));
    }
    void pass(loop_clock::duration time) {
        clock.advance(time);
        turn();
    }
    void until(const ending& got) {
        while (!got)
            turn(1);
    }
    started connect(std::vector<address> to, ending& into, connect_options how = {},
                    std::stop_token stop = {}) {
        into.emplace(co_await as_result(
            ringtls::connect(loop, std::move(to), std::move(how)).cancel_on(std::move(stop))));
    }
    started connect(std::string host, std::uint16_t port, ending& into, connect_options how = {},
                    std::stop_token stop = {}) {
        into.emplace(co_await as_result(
            ringtls::connect(loop, host, port, std::move(how)).cancel_on(std::move(stop))));
    }
    /// Nothing of an attempt is left: no descriptor, and nothing that the loop would wait for.
    void check_clean() {
        loop.run();
        CHECK(open_descriptors() == descriptors);
    }
};

constexpr auto no_hole = "this system's accept queue does not fill up";

std::vector<std::string> texts_of(const std::vector<address>& from) {
    std::vector<std::string> all;
    for (const auto& each : from)
        all.push_back(each.host());
    return all;
}

std::vector<std::string> order_of(const std::vector<std::string>& hosts) {
    std::vector<address> all;
    for (const auto& each : hosts)
        all.emplace_back(each, std::uint16_t(1));
    return texts_of(interleaved(all));
}

} // namespace

/// Take the C library's place in this program.
extern "C" int connect(int fd, const sockaddr* to, socklen_t size) {
    if (calls)
        calls->push_back({address::from(to, size).to_string(), watch->now() - start});
    static const auto real = reinterpret_cast<decltype(&connect)>(::dlsym(RTLD_NEXT, "connect"));
    return real(fd, to, size);
}
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** list) {
    if ((hints->ai_flags & AI_NUMERICHOST) == 0 && std::string_view(name) == "held") {
        names_are_held.wait(true);
        return EAI_FAIL;
    }
    static const auto real =
        reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(name, service, hints, list);
}

TEST_CASE("Addresses are tried in their order, the families in turns") {
    using hosts = std::vector<std::string>;
    CHECK(order_of({"::1", "::2", "::3", "10.0.0.1"}) == hosts{"::1", "10.0.0.1", "::2", "::3"});
    CHECK(order_of({"10.0.0.1", "10.0.0.2", "::1", "::2", "::3"}) ==
          hosts{"10.0.0.1", "::1", "10.0.0.2", "::2", "::3"});
    CHECK(order_of({"::1", "10.0.0.1", "::2", "10.0.0.2"}) ==
          hosts{"::1", "10.0.0.1", "::2", "10.0.0.2"});
    CHECK(order_of({"10.0.0.1", "10.0.0.2"}) == hosts{"10.0.0.1", "10.0.0.2"});
    CHECK(order_of({"::1"}) == hosts{"::1"});
    CHECK(order_of({}) == hosts{});
}

TEST_CASE("An address that answers is the only one that is tried") {
    scene s;
    ending got;
    const auto whole = s.connect({s.good, s.silent(1)}, got);
    s.until(got);
    REQUIRE(got->has_value());
    CHECK((*got)->peer_address() == s.good);
    CHECK(s.made == std::vector<call>{{s.good.to_string(), 0ns}});
    got.reset();
    s.check_clean();
}

TEST_CASE("An address that does not answer is alone for the attempt delay, and no longer") {
    scene s;
    if (!s.hole.full())
        return ringtls::test::skip(no_hole);
    for (const auto delay : {10ms, 250ms, 2000ms}) {
        s.made.clear();
        start = s.clock.now();
        ending got;
        const auto how =
            delay == 250ms ? connect_options() : connect_options().attempt_delay(delay);
        const auto whole = s.connect({s.silent(1), s.silent(2), s.good}, got, how);
        s.pass(delay - 1ns);
        CHECK(s.made == std::vector<call>{{s.silent(1).to_string(), 0ns}});
        s.pass(1ns);
        CHECK(s.made.size() == 2);
        CHECK(s.made.back() == call{s.silent(2).to_string(), delay});
        CHECK(open_descriptors() == s.descriptors + 2);
        s.pass(delay);
        s.until(got);
        CHECK(s.made.size() == 3);
        CHECK(s.made.back() == call{s.good.to_string(), 2 * delay});
        REQUIRE(got->has_value());
        CHECK((*got)->peer_address() == s.good);
        CHECK(open_descriptors() == s.descriptors + 1);
        got.reset();
        s.check_clean();
    }
}

TEST_CASE("An address that refuses makes the next one due at once") {
    scene s;
    ending got;
    const auto whole = s.connect({s.refusing(1), s.refusing(2), s.good}, got);
    s.until(got);
    REQUIRE(got->has_value());
    CHECK(s.made == std::vector<call>{{s.refusing(1).to_string(), 0ns},
                                      {s.refusing(2).to_string(), 0ns},
                                      {s.good.to_string(), 0ns}});
    got.reset();
    s.check_clean();
}

TEST_CASE("So does one that is tried beside another, and the delay counts anew") {
    scene s;
    if (!s.hole.full())
        return ringtls::test::skip(no_hole);
    ending got;
    const auto whole = s.connect({s.silent(1), s.refusing(1), s.silent(2), s.silent(3)}, got);
    s.pass(100ms);
    s.pass(150ms);
    CHECK(s.made == std::vector<call>{{s.silent(1).to_string(), 0ns},
                                      {s.refusing(1).to_string(), 250ms},
                                      {s.silent(2).to_string(), 250ms}});
    s.pass(250ms - 1ns);
    CHECK(s.made.size() == 3);
    s.pass(1ns);
    CHECK(s.made.size() == 4);
    CHECK(s.made.back() == call{s.silent(3).to_string(), 500ms});
    CHECK_FALSE(got.has_value());
}

TEST_CASE(
    "If none takes the connection, the first one's error is told, and the others' beside it") {
    scene s;
    ending got;
    const auto gone = address::unix_path("/no-such-directory/socket");
    const auto whole = s.connect({s.refusing(1), gone, s.refusing(2)}, got);
    s.until(got);
    REQUIRE_FALSE(got->has_value());
    const auto& failure = got->error();
    CHECK(failure.code() == std::errc::connection_refused);
    CHECK(failure.operation() == "connect");
    CHECK(failure.subject() == s.refusing(1).to_string());
    CHECK(failure.what() == "connect: " + s.refusing(1).to_string() +
                                ": Connection refused: also tried " + gone.to_string() +
                                ": No such file or directory; " + s.refusing(2).to_string() +
                                ": Connection refused");
    s.check_clean();
}

TEST_CASE("64 addresses are tried at most, and what is told of them is bounded") {
    scene s;
    std::vector<address> many;
    for (int i = 1; i <= 100; ++i)
        many.push_back(s.refusing(i));
    ending got;
    const auto whole = s.connect(many, got);
    s.until(got);
    REQUIRE_FALSE(got->has_value());
    CHECK(s.made.size() == 64);
    const std::string text = got->error().what();
    CHECK(text.size() < 800);
    CHECK(text.ends_with("; ..."));
    s.check_clean();
}

TEST_CASE("A deadline ends all attempts at once") {
    scene s;
    if (!s.hole.full())
        return ringtls::test::skip(no_hole);
    ending got;
    const auto whole = [](scene& in, ending& into) -> started {
        std::vector<address> to = {in.silent(1), in.silent(2), in.silent(3), in.silent(4)};
        into.emplace(co_await as_result(ringtls::connect(in.loop, std::move(to)).within(600ms)));
    }(s, got);
    s.pass(250ms);
    s.pass(250ms);
    CHECK(s.made.size() == 3);
    CHECK(open_descriptors() == s.descriptors + 3);
    s.pass(100ms - 1ns);
    CHECK_FALSE(got.has_value());
    s.pass(1ns);
    REQUIRE(got.has_value());
    CHECK(got->error().code() == errc::timed_out);
    CHECK(got->error().operation() == "connect");
    s.check_clean();
    CHECK(s.made.size() == 3);
}

TEST_CASE("A stop, and a frame's destruction, end it in each phase, and leave nothing") {
    scene s;
    if (!s.hole.full())
        return ringtls::test::skip(no_hole);
    for (int phase = 0; phase < 4; ++phase) {
        for (const bool destroy : {false, true}) {
            CAPTURE(phase);
            CAPTURE(destroy);
            s.made.clear();
            names_are_held = true;
            std::stop_source stop;
            ending got;
            auto whole = phase == 0 ? s.connect("held", 1, got, {}, stop.get_token())
                                    : s.connect({s.silent(1), s.silent(2), s.silent(3)}, got, {},
                                                stop.get_token());
            s.turn();
            for (int i = 1; i < phase; ++i)
                s.pass(250ms);
            CHECK_FALSE(got.has_value());
            CHECK(s.made.size() == static_cast<std::size_t>(phase));
            if (destroy)
                whole.destroy();
            else
                stop.request_stop();
            s.turn();
            CHECK(got.has_value() == !destroy);
            if (got)
                CHECK(got->error().code() == errc::canceled);
            s.check_clean();
            names_are_held = false;
            names_are_held.notify_all();
            s.pass(10s);
            CHECK(s.made.size() == static_cast<std::size_t>(phase));
        }
    }
}

TEST_CASE("A frame that is destroyed before the kernel was asked leaves no poll behind") {
    scene s;
    for (int round = 0; round < 10; ++round) {
        ending got;
        auto whole = s.connect({s.good}, got);
        CHECK_FALSE(got.has_value());
        whole.destroy();
        const auto polls = s.loop.counters().polls;
        const auto completions = s.loop.counters().completions;
        s.turn();
        CHECK(s.loop.counters().completions == completions);
        CHECK(s.loop.counters().polls == polls);
        s.check_clean();
    }
}

TEST_CASE("A host's address in text is connected to, and a host that is none is resolve's error") {
    scene s;
    ending got;
    const auto whole = s.connect("127.0.0.1", s.good.port(), got);
    s.until(got);
    REQUIRE(got->has_value());
    got.reset();
    const auto second = s.connect("held", 1, got);
    s.until(got);
    REQUIRE_FALSE(got->has_value());
    CHECK(got->error().operation() == "resolve");
    CHECK(got->error().subject() == "held");
    CHECK(got->error().code() == std::error_code(EAI_FAIL, ringtls::resolver_category()));
    s.check_clean();
}

TEST_CASE("A source address chooses the family of a host's addresses") {
    scene s;
    ending got;
    const auto six =
        s.connect("127.0.0.1", s.good.port(), got, connect_options().source(address("::1", 0)));
    s.until(got);
    REQUIRE_FALSE(got->has_value());
    CHECK(got->error().operation() == "resolve");
    got.reset();
    const auto four = s.connect("127.0.0.1", s.good.port(), got,
                                connect_options().source(address("127.0.0.9", 0)));
    s.until(got);
    REQUIRE(got->has_value());
    CHECK((*got)->local_address().host() == "127.0.0.9");
}

TEST_CASE("A source address leaves out known addresses of another family") {
    scene s;
    ending got;
    const auto four = s.connect({address("::1", s.good.port()), s.good}, got,
                                connect_options().source(address("127.0.0.9", 0)));
    s.until(got);
    REQUIRE(got->has_value());
    CHECK((*got)->local_address().host() == "127.0.0.9");
    got.reset();
    const auto none = s.connect({address("::1", s.good.port())}, got,
                                connect_options().source(address("127.0.0.9", 0)));
    REQUIRE(none.ended());
    REQUIRE_FALSE(got->has_value());
    CHECK(std::string(got->error().what()) ==
          "connect: Invalid argument: no address of the source's family");
}

TEST_CASE("No address, and a delay out of bounds, are refused by name") {
    scene s;
    const auto refusal = [&s](std::vector<address> to, const connect_options& how) {
        ending got;
        const auto whole = s.connect(std::move(to), got, how);
        REQUIRE(whole.ended());
        REQUIRE_FALSE(got->has_value());
        CHECK(got->error().code() == std::errc::invalid_argument);
        return std::string(got->error().what());
    };
    CHECK(refusal({}, {}) == "connect: Invalid argument: no address to connect to");
    for (const auto bad : {0ns, 10ms - 1ns, 2s + 1ns, -1ns})
        CHECK(refusal({s.good}, connect_options().attempt_delay(bad)) ==
              "connect: Invalid argument: attempt delay");
    CHECK(s.made.empty());
}
