// SPDX-License-Identifier: MIT
#include "net/address_quota.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

namespace ringtls {
namespace {

using detail::address_quota;

} // namespace

TEST_CASE("a peer has so many places at once, whatever its port") {
    address_quota quota(2);
    auto one = quota.enter(address("192.0.2.1", 1000));
    auto two = quota.enter(address("192.0.2.1", 1001));
    CHECK(one);
    CHECK(two);
    CHECK(!quota.enter(address("192.0.2.1", 1002)));
    CHECK(quota.enter(address("192.0.2.2", 1000)));
    one.reset();
    const auto moved = std::move(two);
    const auto again = quota.enter(address("192.0.2.1", 1003));
    CHECK(again);
    CHECK(!quota.enter(address("192.0.2.1", 1004)));
}

TEST_CASE("an IPv6 peer is its network, and an IPv4 one in IPv6's form is itself") {
    address_quota quota(1);
    const auto one = quota.enter(address("2001:db8:0:1::1", 1));
    CHECK(one);
    CHECK(!quota.enter(address("2001:db8:0:1:ffff::2", 1)));
    CHECK(quota.enter(address("2001:db8:0:2::1", 1)));
    const auto four = quota.enter(address("::ffff:192.0.2.1", 1));
    CHECK(four);
    CHECK(!quota.enter(address("192.0.2.1", 1)));
    CHECK(quota.enter(address("::ffff:192.0.2.2", 1)));
}

TEST_CASE("unix sockets are not limited") {
    address_quota quota(1);
    std::vector<std::optional<address_quota::place>> held;
    for (int i = 0; i < 3; ++i) {
        held.push_back(quota.enter(address::unix_path("/run/x")));
        CHECK(held.back());
    }
}

} // namespace ringtls
