// SPDX-License-Identifier: MIT
// Exported keys and channel bindings: the same at both ends, and nowhere else.
#include "../../lib/tls/failure.hpp"
#include "../../lib/tls/openssl_handles.hpp"
#include "../support/visit.hpp"

#include <ringtls/tls/channel_binding.hpp>

#include <openssl/pem.h>

#include <algorithm>
#include <functional>

namespace ringtls {
namespace {

using test::bytes;
using test::loopback;

constexpr const char* label = "EXPERIMENTAL ringtls test";

bytes exported(const stream& from, std::string_view by, std::size_t size = 32,
               std::optional<std::span<const std::byte>> context = std::nullopt) {
    const auto made = from.export_key(by, size, context);
    return {made.bytes().begin(), made.bytes().end()};
}

std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
        return {};
    } catch (const error& refused) {
        return refused.code();
    }
}

std::string pem_of(const std::function<int(BIO*)>& write) {
    const detail::bio_handle memory(BIO_new(BIO_s_mem()));
    REQUIRE(write(memory.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

/// Self-signed for localhost, with a signature of this kind; null: of the key's own.
identity signed_with(const detail::key_handle& key, const EVP_MD* digest) {
    const detail::x509_handle made(X509_new());
    X509* const raw = made.get();
    REQUIRE(X509_set_version(raw, X509_VERSION_3) == 1);
    REQUIRE(X509_gmtime_adj(X509_getm_notBefore(raw), -3600));
    REQUIRE(X509_gmtime_adj(X509_getm_notAfter(raw), 3600));
    REQUIRE(X509_set_pubkey(raw, key.get()) == 1);
    const detail::extension_handle names(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost"));
    REQUIRE(X509_add_ext(raw, names.get(), -1) == 1);
    REQUIRE(X509_sign(raw, key.get(), digest) > 0);
    return {pem::text(pem_of([&](BIO* to) { return PEM_write_bio_X509(to, raw); })),
            pem::text(pem_of([&](BIO* to) {
                return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr,
                                                nullptr);
            }))};
}

/// The certificate's binding at both ends, or why there is none.
bytes end_point_of(const identity& server, std::error_code& refusal) {
    loopback link(0, client_settings().trust(server.chain), server_settings(server));
    bytes at_client;
    bytes at_server;
    constexpr auto type = channel_binding_type::tls_server_end_point;
    refusal = code_of([&] { at_client = link.client.channel_binding(type); });
    CHECK(code_of([&] { at_server = link.server.channel_binding(type); }) == refusal);
    CHECK(at_client == at_server);
    return at_client;
}

} // namespace

TEST_CASE("both ends export the same keys, others for another label, context or connection") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        loopback link(0, test::only(test::trusting(), version), test::serving());
        const auto context = test::random_bytes(10);
        const auto key = exported(link.client, label);
        CHECK(key.size() == 32);
        CHECK(key == exported(link.server, label));
        CHECK(exported(link.client, label, 100, context) ==
              exported(link.server, label, 100, context));
        CHECK(key != exported(link.client, "EXPERIMENTAL another"));
        CHECK(key != exported(link.client, label, 32, context));
        const bool same = key == exported(link.client, label, 32, std::span<const std::byte>());
        CHECK(same == (version == tls_version::tls_1_3));
        loopback other(0, test::only(test::trusting(), version), test::serving());
        CHECK(key != exported(other.client, label));
    }
}

TEST_CASE("tls-exporter is 32 exported bytes of the label that RFC 9266 names") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        loopback link(0, test::only(test::trusting(), version), test::serving());
        const auto binding = link.client.channel_binding(channel_binding_type::tls_exporter);
        CHECK(binding == link.server.channel_binding(channel_binding_type::tls_exporter));
        CHECK(binding ==
              exported(link.client, "EXPORTER-Channel-Binding", 32, std::span<const std::byte>()));
    }
}

TEST_CASE("TLS 1.2 without extended master secret has no tls-exporter") {
    loopback link(0, test::only(test::trusting(), tls_version::tls_1_2), test::serving(), true);
    SSL_set_options(link.server.native_handle(), SSL_OP_NO_EXTENDED_MASTER_SECRET);
    test::run_all(link.loop, test::shake_hands(link.client), test::shake_hands(link.server));
    for (const stream* end : {&link.client, &link.server}) {
        CHECK(code_of([&] { (void)end->channel_binding(channel_binding_type::tls_exporter); }) ==
              errc::not_available);
        CHECK(exported(*end, label).size() == 32);
    }
}

TEST_CASE("tls-server-end-point is the certificate's hash, by its signature's, or SHA-256") {
    std::error_code refusal;
    loopback link;
    const auto sha256 = link.client.info().peer->sha256;
    const auto binding = link.server.channel_binding(channel_binding_type::tls_server_end_point);
    CHECK(std::ranges::equal(std::as_bytes(std::span(sha256)), binding));
    const detail::key_handle ec(EVP_EC_gen("P-256"));
    CHECK(end_point_of(signed_with(ec, EVP_sha384()), refusal).size() == 48);
    CHECK(!refusal);
    const detail::key_handle ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    CHECK(end_point_of(signed_with(ed, nullptr), refusal).empty());
    CHECK(refusal == errc::not_available);
}

TEST_CASE("a hash too weak for a binding is replaced by SHA-256") {
    const detail::key_handle ec(EVP_EC_gen("P-256"));
    event_loop loop;
    const client_context client(client_settings().danger_accept_any_certificate());
    const server_context server(server_settings(signed_with(ec, EVP_sha1())));
    test::stream_pair ends(test::connected_pair(loop), client, server);
    test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
    const auto sha256 = ends.client.info().peer->sha256;
    CHECK(std::ranges::equal(
        std::as_bytes(std::span(sha256)),
        ends.client.channel_binding(channel_binding_type::tls_server_end_point)));
}

TEST_CASE("a resumed connection has the binding of its server's certificate, and keys of its own") {
    const session_cache cache;
    const client_context client(test::trusting().sessions(cache));
    const server_context server(test::serving());
    test::visit_once(client, server);
    event_loop loop;
    std::vector<bytes> unique;
    for (int i = 0; i < 2; ++i) {
        test::stream_pair ends(test::connected_pair(loop), client, server);
        test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        CHECK(ends.client.resumed());
        CHECK(ends.client.channel_binding(channel_binding_type::tls_server_end_point) ==
              ends.server.channel_binding(channel_binding_type::tls_server_end_point));
        unique.push_back(ends.client.channel_binding(channel_binding_type::tls_exporter));
    }
    CHECK(unique[0] != unique[1]);
}

TEST_CASE("before the handshake's end there is nothing to export or to bind to") {
    const loopback link(0, test::trusting(), test::serving(), true);
    CHECK(code_of([&] { (void)link.client.export_key(label, 32); }) == errc::not_available);
    for (const auto type :
         {channel_binding_type::tls_exporter, channel_binding_type::tls_server_end_point})
        CHECK(code_of([&] { (void)link.client.channel_binding(type); }) == errc::not_available);
}

} // namespace ringtls
