// SPDX-License-Identifier: MIT
// What the settings of both sides default to, and that they chain.
#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>
#include <ringtls/tls/settings.hpp>

#include <ringtls/base/error.hpp>

#include <doctest/doctest.h>

namespace ringtls {

TEST_CASE("the defaults are the safe ones") {
    const client_settings client;
    CHECK(client.minimum_version() == tls_version::tls_1_2);
    CHECK(!client.maximum_version());
    CHECK(!client.renegotiation());
    CHECK(client.system_roots());
    CHECK(!client.accepts_any_certificate());
    CHECK(!client.own_identity());
    const server_settings server(identity(pem::file("a"), pem::file("b")));
    CHECK(server.minimum_version() == tls_version::tls_1_2);
    CHECK(!server.renegotiation());
    CHECK(server.client_authorities().empty());
    CHECK(server.tickets() == 2);
}

TEST_CASE("authorities of one's own take the place of the system's, unless both are asked for") {
    CHECK(!client_settings().trust(pem::file("ca.pem")).system_roots());
    CHECK(client_settings().trust(pem::file("ca.pem")).trust_system_roots().system_roots());
    CHECK(client_settings().trust(pem::file("a")).trust(pem::file("b")).trusted().size() == 2);
}

TEST_CASE("settings chain and keep what they were given") {
    auto settings = client_settings()
                        .minimum_version(tls_version::tls_1_3)
                        .maximum_version(tls_version::tls_1_3)
                        .alpn({"a", "b"})
                        .ciphers("x")
                        .ciphersuites("y")
                        .groups("z");
    CHECK(settings.minimum_version() == tls_version::tls_1_3);
    CHECK(settings.maximum_version() == tls_version::tls_1_3);
    CHECK(settings.alpn().size() == 2);
    CHECK(settings.ciphers() == "x");
    CHECK(settings.ciphersuites() == "y");
    CHECK(settings.groups() == "z");
}

TEST_CASE("a ceiling below the floor is refused") {
    auto settings = client_settings()
                        .minimum_version(tls_version::tls_1_3)
                        .maximum_version(tls_version::tls_1_2);
    try {
        const client_context made(settings);
        FAIL("accepted");
    } catch (const error& refused) {
        CHECK(refused.code() == errc::invalid_setting);
        CHECK(refused.operation() == "maximum version");
    }
}

} // namespace ringtls
