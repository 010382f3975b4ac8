// SPDX-License-Identifier: MIT
// What was negotiated, and with whom.
#include "../support/loopback.hpp"

#include <ringtls/tls/connection_info.hpp>

#include <tls/certificate_reader.hpp>

#include <openssl/ssl.h>

namespace ringtls {

using namespace std::chrono_literals;
using test::loopback;

TEST_CASE("both ends know what was negotiated") {
    loopback link(0, test::trusting().alpn({"other", "echo"}), test::serving().alpn({"echo"}));
    const auto client = link.client.info();
    CHECK(client.protocol == "TLSv1.3");
    CHECK(client.cipher == "TLS_AES_256_GCM_SHA384");
    const bool first_choice = client.group == "x25519" || client.group == "X25519MLKEM768";
    CHECK(first_choice); // of OpenSSL 3.0, or of 3.5
    CHECK(client.alpn == "echo");
    CHECK(client.server_name == "localhost");
    CHECK(client.verify_code == 0);
    CHECK(client.verify_result == "ok");
    CHECK(!client.resumed);
    const auto server = link.server.info();
    CHECK(server.protocol == client.protocol);
    CHECK(server.cipher == client.cipher);
    CHECK(server.group == client.group);
    CHECK(server.server_name == "localhost");
    CHECK(server.alpn == "echo");
    CHECK(!server.peer);
}

TEST_CASE("the peer's certificate is known by its names, its time and its fingerprint") {
    loopback link;
    const auto peer = link.client.info().peer;
    REQUIRE(peer);
    CHECK(peer->subject == "CN=localhost");
    CHECK(peer->issuer == "CN=ringtls test authority");
    CHECK(peer->alternative_names ==
          std::vector<std::string>{"DNS:localhost", "IP:127.0.0.1", "IP:::1"});
    // As make_pki.sh asked for.
    const std::chrono::sys_days begin = std::chrono::year(2020) / 1 / 1;
    const std::chrono::sys_days end = std::chrono::year(2099) / 12 / 31;
    CHECK(peer->not_before == begin);
    CHECK(peer->not_after == end + 23h + 59min + 59s);
    std::array<unsigned char, 32> digest{};
    unsigned int size = 0;
    REQUIRE(X509_digest(SSL_get0_peer_certificate(link.client.native_handle()), EVP_sha256(),
                        digest.data(), &size) == 1);
    CHECK(peer->sha256 == digest);
}

TEST_CASE("a certificate that is not to expire is valid until the clock ends") {
    const detail::x509_handle made(X509_new());
    const detail::key_handle key(EVP_EC_gen("P-256"));
    X509* const raw = made.get();
    REQUIRE(ASN1_TIME_set_string(X509_getm_notBefore(raw), "00010101000000Z") == 1);
    REQUIRE(ASN1_TIME_set_string(X509_getm_notAfter(raw), "99991231235959Z") == 1);
    REQUIRE(X509_set_pubkey(raw, key.get()) == 1);
    REQUIRE(X509_sign(raw, key.get(), EVP_sha256()) > 0);
    const auto read = detail::read_certificate(*raw);
    using clock = std::chrono::system_clock;
    CHECK(clock::time_point::max() - read.not_after < 1s);
    CHECK(read.not_before - clock::time_point::min() < 1s);
}

TEST_CASE("a fingerprint is pairs of hexadecimal digits with colons between") {
    certificate some;
    some.sha256[0] = 0x0f;
    some.sha256[31] = 0xa0;
    const auto text = some.fingerprint();
    CHECK(text.size() == 95);
    CHECK(text.starts_with("0F:00:"));
    CHECK(text.ends_with(":A0"));
}

TEST_CASE("nothing is known before the handshake") {
    loopback link(0, test::trusting(), test::serving(), true);
    CHECK(link.client.info().protocol.empty());
    CHECK(link.client.info().cipher.empty());
    CHECK(!link.client.info().peer);
}

TEST_CASE("it is known too if the first read or write performed the handshake") {
    loopback link(0, test::trusting(), test::serving(), true);
    std::array<std::byte, 4> got{};
    test::run_all(link.loop, test::write_all(link.client, std::as_bytes(std::span("text", 4))),
                  test::read_all(link.server, got));
    for (const stream* end : {&link.client, &link.server})
        CHECK(end->info().protocol == "TLSv1.3");
}

TEST_CASE("TLS 1.2 without a group in its key exchange has none") {
    loopback link(0,
                  test::only(test::trusting(), tls_version::tls_1_2).ciphers("AES128-GCM-SHA256"),
                  test::only(server_settings(test::named_identity("rsa")), tls_version::tls_1_2));
    CHECK(link.client.info().cipher == "AES128-GCM-SHA256");
    CHECK(link.client.info().group.empty());
}

} // namespace ringtls
