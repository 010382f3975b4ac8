// SPDX-License-Identifier: MIT
// No test here asks the network: names are localhost, or such that no server is asked for them.
#include <ringtls/net/resolver.hpp>

#include "../skip.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/when_all.hpp>

#include <doctest/doctest.h>
#include <netdb.h>

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::errc;
using ringtls::event_loop;
using ringtls::result;
using ringtls::task;
using ringtls::test::started;

using answer = result<std::vector<address>>;

task<answer> look_up(event_loop& loop, std::string host, std::uint16_t port) {
    co_return co_await as_result(ringtls::resolve(loop, host, port));
}

bool knows_localhost() {
    addrinfo* list = nullptr;
    const bool known = ::getaddrinfo("localhost", nullptr, nullptr, &list) == 0;
    if (known)
        ::freeaddrinfo(list);
    return known;
}

constexpr auto no_localhost = "this system does not know localhost";

/// Longer than a host name can be (RFC 1035, section 2.3.4), so that nobody is asked.
const std::string no_name(300, 'x');

} // namespace

TEST_CASE("An IPv4 address in text is answered at once, with the port") {
    event_loop loop;
    std::optional<answer> ended;
    const auto run = [&]() -> started {
        ended.emplace(co_await as_result(ringtls::resolve(loop, "192.0.2.7", 443)));
    };
    const auto whole = run();
    REQUIRE(whole.ended());
    REQUIRE(ended->has_value());
    CHECK(**ended == std::vector{address("192.0.2.7", 443)});
}

TEST_CASE("An IPv6 address in text is answered at once, without brackets") {
    event_loop loop;
    const auto found = loop.run(look_up(loop, "2001:db8::1", 80));
    REQUIRE(found.has_value());
    CHECK(*found == std::vector{address("2001:db8::1", 80)});
    CHECK_FALSE(loop.run(look_up(loop, "", 80)).has_value());
}

TEST_CASE("One family alone is answered if it is asked for") {
    event_loop loop;
    const auto look = [&loop](std::string host, enum address::family only) {
        return loop.run(
            [](event_loop& on, std::string name, enum address::family which) -> task<answer> {
                co_return co_await as_result(ringtls::resolve(on, name, 7, which));
            }(loop, std::move(host), only));
    };
    CHECK(look("192.0.2.7", address::family::ipv4).has_value());
    CHECK(look("2001:db8::1", address::family::ipv6).has_value());
    const auto four = look("2001:db8::1", address::family::ipv4);
    REQUIRE_FALSE(four.has_value());
    CHECK(four.error().code() == std::error_code(EAI_ADDRFAMILY, ringtls::resolver_category()));
    CHECK_FALSE(look("192.0.2.7", address::family::ipv6).has_value());
    CHECK(look("192.0.2.7", address::family::unix_path).error().code() ==
          std::error_code(EAI_FAMILY, ringtls::resolver_category()));
    if (!knows_localhost())
        return ringtls::test::skip(no_localhost);
    const auto local = look("localhost", address::family::ipv4);
    REQUIRE(local.has_value());
    for (const auto& each : *local)
        CHECK(each.family() == address::family::ipv4);
}

TEST_CASE("A name is looked up on another thread, and has at least one address") {
    if (!knows_localhost())
        return ringtls::test::skip(no_localhost);
    event_loop loop;
    const auto found = loop.run(look_up(loop, "localhost", 8443));
    REQUIRE(found.has_value());
    REQUIRE_FALSE(found->empty());
    for (const auto& each : *found) {
        const bool loopback = each.host() == "127.0.0.1" || each.host() == "::1";
        CHECK(loopback);
        CHECK(each.port() == 8443);
    }
}

TEST_CASE("A name that does not exist fails with the resolver's code, and is named") {
    event_loop loop;
    const auto found = loop.run(look_up(loop, no_name, 1));
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().code().category() == ringtls::resolver_category());
    CHECK(found.error().subject() == no_name);
    CHECK(found.error().operation() == "resolve");
}

TEST_CASE("Many names at once are all answered, each with its own port") {
    if (!knows_localhost())
        return ringtls::test::skip(no_localhost);
    event_loop loop;
    std::vector<task<answer>> work;
    for (std::uint16_t port = 1; port <= 100; ++port)
        work.push_back(look_up(loop, "localhost", port));
    const auto all = loop.run(ringtls::when_all(std::move(work)));
    REQUIRE(all.size() == 100);
    std::uint16_t port = 0;
    for (const auto& each : all) {
        ++port;
        REQUIRE(each.has_value());
        CHECK(each->front().port() == port);
    }
}

TEST_CASE("A stop ends a lookup, whether or not its answer is under way") {
    event_loop loop;
    for (int round = 0; round < 50; ++round) {
        std::stop_source source;
        std::optional<answer> ended;
        const auto run = [&]() -> started {
            ended.emplace(co_await as_result(
                ringtls::resolve(loop, no_name, 1).cancel_on(source.get_token())));
        };
        const auto whole = run();
        source.request_stop();
        loop.run();
        REQUIRE(ended.has_value());
        CHECK_FALSE(ended->has_value());
    }
}

TEST_CASE("A frame that is destroyed while its lookup is under way is never resumed") {
    event_loop loop;
    bool resumed = false;
    for (int round = 0; round < 50; ++round) {
        const auto run = [&]() -> started {
            const auto found = co_await as_result(ringtls::resolve(loop, no_name, 1));
            resumed = !found.has_value();
        };
        auto whole = run();
        if (round % 2 == 0)
            loop.run([&]() -> task<> { co_await loop.yield(); }());
        if (!whole.ended())
            whole.destroy();
        else
            resumed = false;
    }
    loop.run();
    CHECK_FALSE(resumed);
}

TEST_CASE("A loop may go while lookups that nobody waits for are under way") {
    int destroyed = 0;
    struct leaver {
        int* count;
        ~leaver() { ++*count; }
    };
    for (int round = 0; round < 20; ++round) {
        event_loop loop;
        const auto forgotten = [&]() -> task<> {
            const leaver here{&destroyed};
            const auto found = co_await as_result(ringtls::resolve(loop, no_name, 1));
            CHECK_FALSE(found.has_value());
        };
        loop.spawn(forgotten());
        loop.run([&]() -> task<> { co_await loop.yield(); }());
    }
    CHECK(destroyed == 20);
}
