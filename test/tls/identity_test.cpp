// SPDX-License-Identifier: MIT
// Who one is: passphrases, several certificates on one server, certificates that clients may show.
#include "../support/shaken.hpp"

#include <ringtls/tls/pem.hpp>

#include <tls/pem_loader.hpp>
#include <tls/secret_text.hpp>

#include <openssl/ssl.h>

#include <new>
#include <stdexcept>

namespace ringtls {
namespace {

using test::shake;

/// An identity whose key has to be decrypted with what this answers.
identity encrypted(passphrase_callback passphrase, const char* key = "encrypted.key") {
    return {pem::file(test::pki("server.pem")), pem::file(test::pki(key)), std::move(passphrase)};
}

passphrase_callback answering(std::string passphrase) {
    return [passphrase](std::string_view) { return passphrase; };
}

server_settings with_both_kinds() {
    return test::serving().also_identify_as(test::named_identity("rsa"));
}

pem authority() {
    return pem::file(test::pki("ca.pem"));
}

} // namespace

TEST_CASE("an encrypted key is read with the passphrase, asked for once and by name") {
    for (const std::string key : {"encrypted.key", "encrypted-old.key"}) {
        CAPTURE(key);
        int asked = 0;
        const auto passphrase = [&](std::string_view name) {
            ++asked;
            CHECK(name == test::pki(key));
            return std::string("secret");
        };
        const server_settings settings(encrypted(passphrase, key.c_str()));
        CHECK(asked == 0);
        CHECK(!test::refusal(settings));
        CHECK(asked == 1);
        CHECK(!shake(test::trusting(), settings).client.failure);
        CHECK(asked == 2);
    }
}

TEST_CASE(
    "a wrong passphrase, a missing one and one beyond all bounds are told apart from bad PEM") {
    for (const std::string key : {"encrypted.key", "encrypted-old.key"}) {
        CAPTURE(key);
        for (const std::string& wrong :
             {std::string("wrong"), std::string(), std::string(5000, 'x')}) {
            const auto refused =
                test::refusal(server_settings(encrypted(answering(wrong), key.c_str())));
            REQUIRE(refused);
            CHECK(refused->code() == errc::bad_passphrase);
            CHECK(refused->subject() == "private key " + test::pki(key));
        }
        const auto missing = test::refusal(server_settings(encrypted(nullptr, key.c_str())));
        REQUIRE(missing);
        CHECK(missing->code() == errc::bad_passphrase);
        CHECK(std::string(missing->what()).ends_with("it is encrypted"));
    }
    const identity broken(pem::file(test::pki("server.pem")), pem::file(test::pki("garbage.pem")),
                          answering("secret"));
    CHECK(test::refusal(server_settings(broken))->code() == errc::invalid_pem);
}

TEST_CASE("what a passphrase's callback throws comes out, and nobody is asked again") {
    int asked = 0;
    const auto failing = [&asked](std::string_view) -> std::string {
        ++asked;
        throw std::runtime_error("no keyring");
    };
    CHECK_THROWS_WITH_AS((void)server_context(server_settings(encrypted(failing))), "no keyring",
                         std::runtime_error);
    CHECK(asked == 1);
}

TEST_CASE("a key that is not encrypted asks for nothing") {
    const auto never = [](std::string_view) -> std::string { throw std::logic_error("asked"); };
    CHECK(!test::refusal(server_settings(encrypted(never, "server.key"))));
}

TEST_CASE("a secret is wiped when it goes, and so is what it came from") {
    alignas(detail::secret_text) std::array<char, sizeof(detail::secret_text)> storage{};
    auto* const kept = new (storage.data()) detail::secret_text();
    std::string given = "tiny key";
    kept->assign(std::move(given));
    CHECK(kept->text() == "tiny key");
    CHECK(given.find("tiny") == std::string::npos); // NOLINT(bugprone-use-after-move)
    const auto holds = [&storage] {
        return std::string_view(storage.data(), storage.size()).find("tiny key") !=
               std::string_view::npos;
    };
    CHECK(holds());
    kept->~secret_text();
    CHECK(!holds());
}

TEST_CASE("a server with two kinds of keys presents the one that the client can verify") {
    struct expectation {
        tls_version version;
        const char* algorithms;
        const char* kind;
    };
    const expectation cases[] = {
        {tls_version::tls_1_3, "rsa_pss_rsae_sha256", "RSA"},
        {tls_version::tls_1_3, "ecdsa_secp256r1_sha256", "EC"},
        {tls_version::tls_1_2, "rsa_pss_rsae_sha256", "RSA"},
        {tls_version::tls_1_2, "ecdsa_secp256r1_sha256", "EC"},
    };
    for (const auto& each : cases) {
        CAPTURE(std::string(each.algorithms));
        const auto both =
            shake(test::only(test::trusting(), each.version).signature_algorithms(each.algorithms),
                  with_both_kinds());
        REQUIRE(!both.client.failure);
        REQUIRE(both.client.info.peer);
        CHECK(both.client.info.peer->key_type == each.kind);
    }
}

TEST_CASE("each of several certificates has its own chain behind it") {
    const identity deep(pem::file(test::pki("deep-chain.pem")), pem::file(test::pki("deep.key")));
    const auto settings = server_settings(test::named_identity("rsa")).also_identify_as(deep);
    CHECK(!shake(test::trusting(), settings).client.failure);
    const server_context made(settings);
    SSL_CTX* const ctx = made.native_handle();
    std::string chains;
    for (auto found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); found == 1;
         found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
        STACK_OF(X509)* chain = nullptr;
        SSL_CTX_get0_chain_certs(ctx, &chain);
        const auto* const key = X509_get0_pubkey(SSL_CTX_get0_certificate(ctx));
        chains += std::string(EVP_PKEY_get0_type_name(key)) + " " +
                  std::to_string(chain ? sk_X509_num(chain) : 0) + " ";
    }
    CHECK(chains == "RSA 0 EC 1 ");
}

TEST_CASE(
    "a second certificate with the same kind of key is refused, for it would take the place") {
    const auto refused =
        test::refusal(with_both_kinds().also_identify_as(test::named_identity("elsewhere")));
    REQUIRE(refused);
    CHECK(refused->code() == errc::invalid_setting);
    CHECK(refused->subject() == "certificate " + test::pki("elsewhere.pem"));
    CHECK(std::string(refused->what()).find("EC") != std::string::npos);
    CHECK(!test::refusal(with_both_kinds()));
}

TEST_CASE("a requested client certificate may be missing, but not a stranger's") {
    const auto asking = test::serving().request_client_certificate(authority());
    const auto none = shake(test::trusting(), asking);
    CHECK(!none.client.failure);
    CHECK(!none.server.failure);
    CHECK(!none.server.info.peer);
    const auto known = shake(test::trusting().identify_as(test::named_identity("client")), asking);
    REQUIRE(known.server.info.peer);
    CHECK(known.server.info.peer->subject == "CN=a client");
    const std::array<std::string, 1> names = {"stranger"};
    const auto stranger = shake(test::trusting().identify_as(self_signed(names)), asking);
    REQUIRE(stranger.server.failure);
    CHECK(stranger.server.failure->code() == errc::verify_failed);
    REQUIRE(stranger.client.failure);
}

TEST_CASE("required stays required, in whichever order both are asked for") {
    for (const auto& settings : {test::serving()
                                     .request_client_certificate(authority())
                                     .require_client_certificate(authority()),
                                 test::serving()
                                     .require_client_certificate(authority())
                                     .request_client_certificate(authority())}) {
        CHECK(settings.client_certificates() == client_certificate::required);
        CHECK(shake(test::trusting(), settings).server.failure);
    }
    CHECK(test::serving().client_certificates() == client_certificate::not_asked);
}

} // namespace ringtls
