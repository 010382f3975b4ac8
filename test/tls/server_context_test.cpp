// SPDX-License-Identifier: MIT
// Who a server is, whom it asks, and what it refuses.
#include "../support/shaken.hpp"

#include <ringtls/tls/server_context.hpp>

#include <openssl/ssl.h>

#include <stdexcept>

namespace ringtls {

using test::shake;

TEST_CASE("a client certificate is required, verified and known to the server") {
    const auto asking = [] {
        return test::serving().require_client_certificate(pem::file(test::pki("ca.pem")));
    };
    SUBCASE("the right one") {
        test::loopback link(0, test::trusting().identify_as(test::named_identity("client")),
                            asking());
        REQUIRE(link.server.info().peer);
        CHECK(link.server.info().peer->subject == "CN=a client");
        CHECK(link.server.info().peer->alternative_names ==
              std::vector<std::string>{"email:client@example.org"});
        CHECK(link.server.info().verify_code == 0);
    }
    SUBCASE("none") {
        const auto ended = shake(test::trusting(), asking());
        REQUIRE(ended.server.failure);
        CHECK(std::string(ended.server.failure->what()).find("peer did not return a certificate") !=
              std::string::npos);
        REQUIRE(ended.client.failure);
        REQUIRE(ended.client.failure->alert());
        CHECK(ended.client.failure->alert()->way == alert::direction::received);
        CHECK(ended.client.failure->alert()->description == SSL_AD_CERTIFICATE_REQUIRED);
    }
    SUBCASE("another authority's") {
        const std::array<std::string, 1> names = {"stranger"};
        const auto ended = shake(test::trusting().identify_as(self_signed(names)), asking());
        REQUIRE(ended.server.failure);
        CHECK(ended.server.failure->code() == errc::verify_failed);
        CHECK(ended.server.failure->verification()->subject == "CN=stranger");
    }
}

TEST_CASE("the server's first protocol that the client offers is chosen") {
    test::loopback link(0, test::trusting().alpn({"a", "b", "c"}),
                        test::serving().alpn({"x", "c", "a"}));
    CHECK(link.client.info().alpn == "c");
    CHECK(link.server.info().alpn == "c");
}

TEST_CASE("a client that offers no protocol of the server's is refused with the alert for it") {
    const auto ended = shake(test::trusting().alpn({"h2"}), test::serving().alpn({"echo"}));
    REQUIRE(ended.server.failure);
    REQUIRE(ended.client.failure);
    REQUIRE(ended.client.failure->alert());
    CHECK(ended.client.failure->alert()->description == SSL_AD_NO_APPLICATION_PROTOCOL);
    CHECK(ended.client.failure->alert()->name() == "no application protocol");
}

TEST_CASE("a client that does not speak of protocols is served by a server that has some") {
    test::loopback link(0, test::trusting(), test::serving().alpn({"echo"}));
    CHECK(link.client.info().alpn.empty());
}

TEST_CASE("the version floor holds on both sides") {
    const auto ended = shake(test::only(test::trusting(), tls_version::tls_1_2),
                             test::serving().minimum_version(tls_version::tls_1_3));
    REQUIRE(ended.server.failure);
    REQUIRE(ended.client.failure);
    CHECK(ended.client.failure->alert()->description == SSL_AD_PROTOCOL_VERSION);
    // Nothing below TLS 1.2, whatever the native context is asked for at its own risk.
    const server_context s(test::serving());
    CHECK(SSL_CTX_get_min_proto_version(s.native_handle()) == TLS1_2_VERSION);
    CHECK((SSL_CTX_get_options(s.native_handle()) & SSL_OP_NO_RENEGOTIATION) != 0);
    CHECK((SSL_CTX_get_options(s.native_handle()) & SSL_OP_NO_COMPRESSION) != 0);
    CHECK((SSL_CTX_get_mode(s.native_handle()) & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) == 0);
}

TEST_CASE("a server's identity is checked when its context is made") {
    const auto refusal = [](const char* chain, const char* key) -> std::string {
        try {
            const server_context made{
                server_settings(identity(pem::file(test::pki(chain)), pem::file(test::pki(key))))};
            return "none";
        } catch (const error& failure) {
            return failure.what();
        }
    };
    CHECK(refusal("server.pem", "rsa.key").find("rsa.key") != std::string::npos);
    CHECK(refusal("server.pem", "rsa.key").find("does not match") != std::string::npos);
    CHECK(refusal("server.pem", "garbage.pem").find("garbage.pem") != std::string::npos);
    CHECK(refusal("nowhere.pem", "server.key").find("nowhere.pem") != std::string::npos);
    CHECK(refusal("server.pem", "encrypted.key").find("encrypted") != std::string::npos);
    CHECK(refusal("server-chain.pem", "server.key") == "none");
}

TEST_CASE("settings passed as a temporary to an awaited call are destroyed once") {
    // GCC 12 destroys aggregates twice there; under AddressSanitizer this would show.
    event_loop loop;
    const auto made = loop.run([]() -> task<int> {
        const auto make = [](server_settings settings, limits by) -> task<int> {
            (void)by;
            co_return static_cast<int>(settings.alpn().size());
        };
        std::stop_source stop;
        const std::vector<std::string> protocols(2, "a protocol of some length");
        co_return co_await make(test::serving().alpn(protocols),
                                limits().cancel_on(stop.get_token()));
    }());
    CHECK(made == 2);
}

} // namespace ringtls
