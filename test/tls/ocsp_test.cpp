// SPDX-License-Identifier: MIT
// Stapled OCSP responses: served from a file or a callback, and required.
#include "../../lib/tls/ocsp.hpp"
#include "../../lib/tls/openssl_handles.hpp"
#include "../../lib/tls/pem_loader.hpp"
#include "../support/visit.hpp"

#include <openssl/bioerr.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>

namespace ringtls {
namespace {

using test::bytes;

using response_handle = detail::unique_handle<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using basic_handle = detail::unique_handle<OCSP_BASICRESP, OCSP_BASICRESP_free>;
using id_handle = detail::unique_handle<OCSP_CERTID, OCSP_CERTID_free>;
using time_handle = detail::unique_handle<ASN1_TIME, ASN1_TIME_free>;

detail::x509_handle certificate(const std::string& name) {
    return std::move(detail::load_certificates(pem::file(test::pki(name + ".pem")), "test")[0]);
}

/// What a responder says.
struct statement {
    std::string about = "server";
    int status = V_OCSP_CERTSTATUS_GOOD;
    std::string signer = "ca";
    long from = -60; ///< in seconds from now
    std::optional<long> until = 3600;
    const EVP_MD* hash = EVP_sha1();
    bool forged = false; ///< one bit of the signature is another
};

time_handle in(long seconds) {
    return time_handle(X509_gmtime_adj(nullptr, seconds));
}

bytes response(const statement& what = {}) {
    const auto subject = certificate(what.about);
    const auto issuer = certificate("ca");
    const auto signer = certificate(what.signer);
    const auto key = detail::load_private_key(pem::file(test::pki(what.signer + ".key")));
    const basic_handle basic(OCSP_BASICRESP_new());
    const id_handle id(OCSP_cert_to_id(what.hash, subject.get(), issuer.get()));
    const auto revoked = in(-3600);
    const auto until = what.until ? in(*what.until) : nullptr;
    REQUIRE(
        OCSP_basic_add1_status(basic.get(), id.get(), what.status, 0,
                               what.status == V_OCSP_CERTSTATUS_REVOKED ? revoked.get() : nullptr,
                               in(what.from).get(), until.get()));
    REQUIRE(OCSP_basic_sign(basic.get(), signer.get(), key.get(), EVP_sha256(), nullptr, 0) == 1);
    if (what.forged)
        OCSP_resp_get0_signature(basic.get())->data[20] ^= 1;
    const response_handle whole(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
    bytes der(static_cast<std::size_t>(i2d_OCSP_RESPONSE(whole.get(), nullptr)));
    auto* at = reinterpret_cast<unsigned char*>(der.data());
    REQUIRE(i2d_OCSP_RESPONSE(whole.get(), &at) > 0);
    return der;
}

client_settings requiring() {
    return test::trusting().require_stapled_ocsp();
}

server_settings stapling(const bytes& der) {
    return test::serving().staple_ocsp([der] { return der; });
}

/// How the handshake of a client that requires a staple ends.
std::optional<error> handshake_with(const server_settings& server,
                                    tls_version version = tls_version::tls_1_3) {
    test::loopback link(0, test::only(requiring(), version), server, true);
    link.loop.spawn(
        [](stream& with) -> task<> { (void)co_await as_result(with.handshake()); }(link.server));
    auto ended = link.loop.run(as_result(test::shake_hands(link.client)));
    return ended ? std::nullopt : std::optional(ended.error());
}

std::string refusal_of(const statement& what) {
    const auto ended = handshake_with(stapling(response(what)));
    if (!ended)
        return "";
    CHECK(ended->code() == errc::ocsp_refused);
    CHECK(ended->subject() == "localhost");
    REQUIRE(ended->alert());
    CHECK(ended->alert()->name() == "bad certificate status response");
    const std::string text = ended->what();
    return text.substr(text.rfind(": ") + 2);
}

} // namespace

TEST_CASE("a good response is accepted, from a callback and from a file") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CHECK(!handshake_with(stapling(response()), version));
        const auto path =
            std::filesystem::temp_directory_path() / ("ringtls-ocsp-" + std::to_string(::getpid()));
        const auto der = response();
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(der.data()),
                   static_cast<std::streamsize>(der.size()));
        const auto from_file = test::serving().staple_ocsp_file(path);
        CHECK(!handshake_with(from_file, version));
        std::filesystem::remove(path);
    }
    CHECK(refusal_of({.hash = EVP_sha256()}).empty());
    CHECK(refusal_of({.signer = "ocsp"}).empty());
}

TEST_CASE("without a response there is no connection, whyever there is none") {
    const auto none = "the server stapled no OCSP response";
    for (const auto& server :
         {test::serving(), stapling({}),
          test::serving().staple_ocsp([]() -> bytes { throw std::runtime_error("responder"); })}) {
        for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
            const auto ended = handshake_with(server, version);
            REQUIRE(ended);
            CHECK(ended->code() == errc::ocsp_refused);
            CHECK(std::string(ended->what()).ends_with(none));
        }
    }
}

TEST_CASE("what callbacks leave in OpenSSL's error queue fails no handshake") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        int asked = 0;
        auto settings = test::serving();
        settings.staple_ocsp([&asked] {
            ++asked;
            ERR_raise(ERR_LIB_OCSP, OCSP_R_STATUS_EXPIRED);
            return bytes();
        });
        settings.danger_log_keys([](std::string_view) { ERR_raise(ERR_LIB_BIO, BIO_R_IN_USE); });
        test::loopback link(0, test::only(test::trusting(), version), settings, true);
        REQUIRE(SSL_set_tlsext_status_type(link.client.native_handle(), TLSEXT_STATUSTYPE_ocsp));
        CHECK_NOTHROW(test::run_all(link.loop, test::shake_hands(link.client),
                                    test::shake_hands(link.server)));
        CHECK(asked == 1);
        // Not every handshake would show it: OpenSSL may clear the queue before it is looked at.
        ERR_clear_error();
        CHECK(detail::staple(link.server.native_handle(), settings.ocsp_source()) ==
              SSL_TLSEXT_ERR_NOACK);
        CHECK(ERR_peek_error() == 0);
    }
}

TEST_CASE("responses that do not say that this certificate is good now are refused") {
    CHECK(refusal_of({.status = V_OCSP_CERTSTATUS_REVOKED}) == "the certificate is revoked");
    CHECK(refusal_of({.status = V_OCSP_CERTSTATUS_UNKNOWN}) ==
          "the responder does not know the certificate");
    CHECK(refusal_of({.about = "rsa"}) == "the OCSP response is about another certificate");
    const auto expired = "the OCSP response has expired, or is not valid yet";
    CHECK(refusal_of({.from = -7200, .until = -3600}) == expired);
    CHECK(refusal_of({.from = 3600, .until = 7200}) == expired);
    CHECK(refusal_of({.until = std::nullopt}) == expired);
    const auto unsigned_by_issuer = "the OCSP response is not signed by the certificate's issuer";
    for (const char* signer : {"server", "client", "rsa"})
        CHECK(refusal_of({.signer = signer}) == unsigned_by_issuer);
    CHECK(refusal_of({.forged = true}) == unsigned_by_issuer);
    const auto garbage = handshake_with(stapling(bytes(100)));
    REQUIRE(garbage);
    CHECK(garbage->code() == errc::ocsp_refused);
}

TEST_CASE("clients that ask for no staple get none") {
    bool asked = false;
    test::loopback link(0, test::trusting(), test::serving().staple_ocsp([&asked]() -> bytes {
        asked = true;
        return {};
    }));
    CHECK(!asked);
}

TEST_CASE("a resumed session counts as it was accepted, and only under the same demand") {
    const client_context strict(requiring());
    const client_context plain(test::trusting());
    const auto keys = ticket_keys();
    const server_context good(stapling(response()).seal_tickets_with(keys));
    const server_context silent(test::serving().seal_tickets_with(keys));
    const auto made = *test::visit_once(strict, good).session;
    CHECK(test::visit_with(made, strict, silent).resumed);
    const auto unchecked = *test::visit_once(plain, good).session;
    CHECK_THROWS_AS(test::visit_with(unchecked, strict, good), error);
}

TEST_CASE("a file that holds no response is refused with its name") {
    for (const auto& path : {test::pki("server.pem"), std::string("/no/such/file")}) {
        try {
            const server_context made(test::serving().staple_ocsp_file(path));
            FAIL("accepted");
        } catch (const error& refused) {
            CHECK(refused.code() == errc::invalid_setting);
            CHECK(refused.subject().ends_with(path));
        }
    }
}

} // namespace ringtls
