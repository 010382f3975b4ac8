// SPDX-License-Identifier: MIT
// Whom a client trusts: refused by default is everything that should be.
#include "../support/shaken.hpp"

#include <ringtls/tls/client_context.hpp>

#include <openssl/x509_vfy.h>

#include <cstring>
#include <optional>

namespace ringtls {
namespace {

/// How a client's handshake with a server of this identity ends; the server's end is ignored.
std::optional<error> handshake_with(const identity& server, const client_settings& settings,
                                    const std::string& name = "localhost") {
    return test::shake(settings, server_settings(server), name).client.failure;
}

std::string refusal_of(const client_settings& settings) {
    const auto refused = test::refusal(settings);
    return refused ? refused->what() : "none";
}

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a certificate of a trusted authority for the right name is accepted") {
    CHECK(!handshake_with(test::named_identity("server"), test::trusting()));
    CHECK(!handshake_with(test::named_identity("server"), test::trusting(), "127.0.0.1"));
    CHECK(!handshake_with(test::named_identity("server"), test::trusting(), "::1"));
    CHECK(!handshake_with(test::named_identity("server"), test::trusting(), "localhost."));
    CHECK(!handshake_with(test::named_identity("rsa"), test::trusting()));
    CHECK(!handshake_with(test::named_identity("wildcard"), test::trusting(), "any.wild.example"));
}

TEST_CASE("refused certificates say why, where in the chain, and whose") {
    struct expectation {
        const char* server;
        const char* name;
        const char* authority;
        long code;
    };
    const expectation cases[] = {
        {"server", "other.example", "ca.pem", X509_V_ERR_HOSTNAME_MISMATCH},
        {"server", "127.0.0.2", "ca.pem", X509_V_ERR_IP_ADDRESS_MISMATCH},
        {"elsewhere", "localhost", "ca.pem", X509_V_ERR_HOSTNAME_MISMATCH},
        {"expired", "localhost", "ca.pem", X509_V_ERR_CERT_HAS_EXPIRED},
        {"server", "localhost", "other-ca.pem", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
        {"client", "localhost", "ca.pem", X509_V_ERR_INVALID_PURPOSE},
        {"wildcard", "part.wild.example.", "other-ca.pem",
         X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
        {"wildcard", "a.b.wild.example", "ca.pem", X509_V_ERR_HOSTNAME_MISMATCH},
    };
    for (const auto& each : cases) {
        CAPTURE(each.server);
        CAPTURE(each.name);
        const auto ended = handshake_with(
            test::named_identity(each.server),
            client_settings().trust(pem::file(test::pki(each.authority))), each.name);
        REQUIRE(ended);
        CHECK(ended->code() == errc::verify_failed);
        CHECK(ended->operation() == "handshake");
        REQUIRE(ended->verification());
        CHECK(ended->verification()->code == each.code);
        CHECK(ended->verification()->depth == 0);
        CHECK(contains(ended->verification()->subject, "CN="));
        CHECK(contains(ended->what(), X509_verify_cert_error_string(each.code)));
        CHECK(contains(std::string(ended->chain()), "certificate verify failed"));
        REQUIRE(ended->alert());
        CHECK(ended->alert()->way == alert::direction::sent);
    }
}

TEST_CASE("without settings, only the system's roots are trusted") {
    const auto ended = handshake_with(test::named_identity("server"), client_settings());
    REQUIRE(ended);
    CHECK(ended->code() == errc::verify_failed);
}

TEST_CASE("a self-signed certificate in memory can be trusted by itself") {
    const std::array<std::string, 2> names = {"demo.example", "192.0.2.7"};
    const auto made = self_signed(names);
    CHECK(!handshake_with(made, client_settings().trust(made.chain), "demo.example"));
    CHECK(!handshake_with(made, client_settings().trust(made.chain), "192.0.2.7"));
    const auto other = handshake_with(made, client_settings().trust(made.chain), "localhost");
    REQUIRE(other);
    CHECK(other->verification()->code == X509_V_ERR_HOSTNAME_MISMATCH);
    const auto expired = self_signed(names, std::chrono::minutes(-5));
    const auto late =
        handshake_with(expired, client_settings().trust(expired.chain), "demo.example");
    REQUIRE(late);
    CHECK(late->verification()->code == X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST_CASE("only a call with danger in its name accepts any certificate, and the verdict is kept") {
    event_loop loop;
    const client_context c(client_settings().danger_accept_any_certificate());
    const server_context s{server_settings(test::named_identity("expired"))};
    test::stream_pair ends(test::connected_pair(loop), c, s);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    CHECK(ends.client.info().verify_code != X509_V_OK);
}

TEST_CASE("a client without a proper name is refused before it connects") {
    event_loop loop;
    const client_context c(test::trusting());
    const std::string long_label(64, 'a');
    for (const std::string& name :
         {std::string(), std::string("."), std::string("a..b"), std::string("with space"),
          std::string("nul\0byte", 8), std::string("*.example"), long_label + ".example",
          std::string(254, 'a'), std::string("127.0.0.1 localhost"), std::string(" ::1"),
          std::string("127.0.0.1\0", 10)}) {
        CAPTURE(name);
        auto sockets = test::connected_pair(loop);
        try {
            const stream made(std::move(sockets.client), c, name);
            FAIL("accepted");
        } catch (const error& refused) {
            CHECK(refused.code() == errc::invalid_name);
        }
    }
}

TEST_CASE("bad PEM is refused with the file's name and OpenSSL's reason") {
    const auto ca = [](const char* file) {
        return refusal_of(client_settings().trust(pem::file(test::pki(file))));
    };
    CHECK(contains(ca("missing.pem"), "missing.pem"));
    CHECK(contains(ca("missing.pem"), "No such file or directory"));
    CHECK(contains(ca("empty.pem"), "empty.pem"));
    CHECK(contains(ca("empty.pem"), "no start line"));
    CHECK(contains(ca("garbage.pem"), "no start line"));
    CHECK(contains(refusal_of(client_settings().trust(pem::text("-----BEGIN CERTIFICATE-----\n"
                                                                "AAAA\n"
                                                                "-----END CERTIFICATE-----\n"))),
                   "PEM in memory"));
    const auto as = [](const char* chain, const char* key) {
        return refusal_of(test::trusting().identify_as(
            identity(pem::file(test::pki(chain)), pem::file(test::pki(key)))));
    };
    CHECK(contains(as("client.pem", "empty.pem"), "private key"));
    CHECK(contains(as("client.pem", "server.pem"), "private key"));
    CHECK(contains(as("client.pem", "server.pem"), "server.pem: cannot read PEM"));
    CHECK(contains(as("client.pem", "encrypted.key"), "it is encrypted"));
    CHECK(contains(as("client.pem", "server.key"), "does not match"));
    CHECK(as("client.pem", "client.key") == "none");
}

TEST_CASE("settings that OpenSSL does not know are refused by name") {
    const auto bad_cipher = refusal_of(client_settings().ciphers("NO-SUCH-CIPHER"));
    CHECK(contains(bad_cipher, "ciphers: NO-SUCH-CIPHER"));
    CHECK(contains(bad_cipher, "no cipher match"));
    CHECK(contains(refusal_of(client_settings().ciphersuites("TLS_NO_SUCH_SUITE")),
                   "ciphersuites: TLS_NO_SUCH_SUITE"));
    CHECK(contains(refusal_of(client_settings().groups("x25519:nosuchgroup")),
                   "groups: nosuchgroup"));
    CHECK(contains(refusal_of(client_settings().alpn({""})), "alpn"));
    CHECK(contains(refusal_of(client_settings().alpn({std::string(256, 'x')})), "alpn"));
}

TEST_CASE("settings take effect") {
    event_loop loop;
    const client_context c(
        test::trusting().ciphersuites("TLS_CHACHA20_POLY1305_SHA256").groups("P-384"));
    const server_context s(test::serving());
    test::stream_pair ends(test::connected_pair(loop), c, s);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    CHECK(ends.client.info().cipher == "TLS_CHACHA20_POLY1305_SHA256");
    CHECK(ends.client.info().group == "secp384r1");
}

} // namespace ringtls
