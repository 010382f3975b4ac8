// SPDX-License-Identifier: MIT
#include "../support/loopback.hpp"

#include <ringtls/tls/self_signed.hpp>

namespace ringtls {

TEST_CASE("a self-signed certificate has the names it was given and the time it was given") {
    const std::array<std::string, 3> names = {"localhost", "127.0.0.1", "::1"};
    const auto made = self_signed(names, std::chrono::hours(2));
    test::loopback link(0, client_settings().trust(made.chain), server_settings(made));
    const auto peer = link.client.info().peer;
    REQUIRE(peer);
    CHECK(peer->subject == "CN=localhost");
    CHECK(peer->issuer == peer->subject);
    CHECK(peer->alternative_names ==
          std::vector<std::string>{"DNS:localhost", "IP:127.0.0.1", "IP:::1"});
    CHECK(peer->not_after - peer->not_before == std::chrono::hours(3));
}

TEST_CASE("the certificate's text holds no private key") {
    const std::array<std::string, 1> names = {"localhost"};
    const auto made = self_signed(names);
    CHECK(made.chain.content().find("PRIVATE KEY") == std::string::npos);
    CHECK(made.key.content().find("BEGIN PRIVATE KEY") != std::string::npos);
}

TEST_CASE("no two are alike") {
    const std::array<std::string, 1> names = {"localhost"};
    CHECK(self_signed(names).chain.content() != self_signed(names).chain.content());
}

TEST_CASE("without names, or with an empty one, there is no certificate") {
    CHECK_THROWS_AS((void)self_signed({}), error);
    const std::array<std::string, 1> empty = {""};
    CHECK_THROWS_AS((void)self_signed(empty), error);
}

} // namespace ringtls
