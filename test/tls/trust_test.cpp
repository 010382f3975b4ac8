// SPDX-License-Identifier: MIT
// Whose certificates are accepted: authorities, revocation, pins, depth, purpose and names.
#include "../support/shaken.hpp"

#include <ringtls/tls/certificate.hpp>
#include <ringtls/tls/trust.hpp>

#include <openssl/evp.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ringtls {
namespace {

using test::shake;
using test::trusting;

pem file(const std::string& name) {
    return pem::file(test::pki(name));
}

identity deep() {
    return {file("deep-chain.pem"), file("deep.key")};
}

certificate first_in(const std::string& name) {
    return certificate::from_pem(file(name)).front();
}

/// How a client with these settings takes a server of this identity.
std::optional<error> outcome(const client_settings& settings, const identity& server,
                             const std::string& name = "localhost") {
    return shake(settings, server_settings(server), name).client.failure;
}
std::optional<error> outcome(const client_settings& settings, const std::string& server = "server",
                             const std::string& name = "localhost") {
    return outcome(settings, test::named_identity(server), name);
}

/// X509_V_OK: accepted.
long code_of_verdict(const std::optional<error>& failure) {
    if (!failure)
        return X509_V_OK;
    REQUIRE(failure->verification());
    CHECK(failure->code() == errc::verify_failed);
    return failure->verification()->code;
}

std::string base64(const sha256_digest& digest) {
    std::array<unsigned char, 45> text{};
    const int size = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
    return {text.begin(), text.begin() + size};
}

/// A directory of its own, gone with the test.
class scratch_directory {
  public:
    scratch_directory() { test::check_system(mkdtemp(path_.data()) != nullptr); }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() { std::filesystem::remove_all(path_); }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    void write(const std::string& name, const std::string& content) const {
        std::ofstream(path_ + "/" + name) << content;
    }

  private:
    std::string path_ = std::filesystem::temp_directory_path() / "ringtls-trust-XXXXXX";
};

/// What OpenSSL takes for the system's roots, for as long as this lives (openssl-env(7)).
class other_system_roots {
  public:
    explicit other_system_roots(const std::string& file) {
        test::check_system(setenv("SSL_CERT_FILE", file.c_str(), 1) == 0);
    }
    other_system_roots(const other_system_roots&) = delete;
    other_system_roots& operator=(const other_system_roots&) = delete;
    ~other_system_roots() { unsetenv("SSL_CERT_FILE"); }
};

} // namespace

// ---- authorities ----

TEST_CASE("the authorities of a directory are trusted, whatever else is in it") {
    const auto settings = client_settings().trust_directory(test::pki("trusted"));
    CHECK(!settings.system_roots());
    CHECK(code_of_verdict(outcome(settings)) == X509_V_OK);
    const scratch_directory strangers;
    strangers.write("one.pem", first_in("other-ca.pem").to_pem());
    CHECK(code_of_verdict(outcome(client_settings().trust_directory(strangers.path()))) ==
          X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    strangers.write(".hidden", first_in("ca.pem").to_pem());
    CHECK(outcome(client_settings().trust_directory(strangers.path())));
    strangers.write("two", first_in("ca.pem").to_pem());
    CHECK(!outcome(client_settings().trust_directory(strangers.path())));
}

TEST_CASE("a directory is read when the context is made, and never again") {
    const scratch_directory directory;
    directory.write("ca.pem", first_in("ca.pem").to_pem());
    test::loopback link(0, client_settings().trust_directory(directory.path()), test::serving(),
                        true);
    std::filesystem::remove(directory.path() + "/ca.pem");
    test::run_all(link.loop, test::shake_hands(link.client), test::shake_hands(link.server));
    CHECK(link.client.info().verify_code == X509_V_OK);
}

TEST_CASE("a directory that is missing, empty or holds a broken certificate is refused by name") {
    const auto refused = [](const std::string& path) {
        const auto why = test::refusal(client_settings().trust_directory(path));
        REQUIRE(why);
        return *why;
    };
    const auto missing = refused(test::pki("nowhere"));
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    CHECK(missing.subject() == "CA directory " + test::pki("nowhere"));
    const scratch_directory directory;
    directory.write("README", "nothing here");
    CHECK(refused(directory.path()).code() == errc::invalid_pem);
    CHECK(refused(directory.path()).subject() == "CA directory " + directory.path());
    directory.write("good.pem", first_in("ca.pem").to_pem());
    CHECK(!test::refusal(client_settings().trust_directory(directory.path())));
    directory.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CHECK(refused(directory.path()).subject() == "CA " + directory.path() + "/broken.pem");
}

TEST_CASE("the authorities in a file, a directory and memory add up") {
    const auto settings = client_settings()
                              .trust(file("other-ca.pem"))
                              .trust(pem::text(first_in("client.pem").to_pem()))
                              .trust_directory(test::pki("trusted"));
    CHECK(code_of_verdict(outcome(settings)) == X509_V_OK);
}

TEST_CASE("the system's roots are trusted if they are asked for, or nobody else is") {
    const other_system_roots roots(test::pki("ca.pem"));
    CHECK(code_of_verdict(outcome(client_settings())) == X509_V_OK);
    const auto own = client_settings().trust(file("other-ca.pem"));
    CHECK(code_of_verdict(outcome(own)) == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    auto both = own;
    both.trust_system_roots();
    CHECK(code_of_verdict(outcome(both)) == X509_V_OK);
    const auto as_client = trusting().identify_as(test::named_identity("client"));
    CHECK(!shake(as_client, test::serving().trust_system_roots().require_client_certificate())
               .server.failure);
    CHECK(shake(as_client, test::serving().require_client_certificate(file("other-ca.pem")))
              .server.failure);
}

TEST_CASE(
    "who is trusted need not be a root, but cannot vouch for others without being an authority") {
    const auto leaf = test::named_identity("deep");
    CHECK(code_of_verdict(outcome(trusting(), leaf)) ==
          X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    CHECK(code_of_verdict(outcome(client_settings().trust(file("between.pem")), leaf)) ==
          X509_V_OK);
    CHECK(code_of_verdict(outcome(client_settings().trust(file("deep.pem")), leaf)) == X509_V_OK);
    CHECK(code_of_verdict(outcome(client_settings().trust(file("between.pem")))) ==
          X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    const identity posing(file("impostor-chain.pem"), file("impostor.key"));
    for (const std::string authority : {"server.pem", "ca.pem"})
        CHECK(code_of_verdict(outcome(client_settings().trust(file(authority)), posing)) ==
              X509_V_ERR_INVALID_CA);
}

// ---- revocation ----

TEST_CASE(
    "a revoked certificate is refused, and one that its authority's list does not name is not") {
    const auto settings = trusting().check_revocation(file("crl.pem"));
    CHECK(code_of_verdict(outcome(settings)) == X509_V_OK);
    CHECK(code_of_verdict(outcome(settings, "revoked")) == X509_V_ERR_CERT_REVOKED);
    CHECK(code_of_verdict(outcome(trusting(), "revoked")) == X509_V_OK);
}

TEST_CASE("nobody is accepted on a list that ended, nor without the list of each authority") {
    CHECK(code_of_verdict(outcome(trusting().check_revocation(file("stale-crl.pem")))) ==
          X509_V_ERR_CRL_HAS_EXPIRED);
    CHECK(code_of_verdict(outcome(trusting().check_revocation(file("between-crl.pem")))) ==
          X509_V_ERR_UNABLE_TO_GET_CRL);
    CHECK(code_of_verdict(outcome(trusting().check_revocation(file("between-crl.pem")), deep())) ==
          X509_V_ERR_UNABLE_TO_GET_CRL);
    CHECK(
        code_of_verdict(outcome(
            trusting().check_revocation(file("crl.pem")).check_revocation(file("between-crl.pem")),
            deep())) == X509_V_OK);
    CHECK(code_of_verdict(outcome(
              trusting().check_revocation(file("between-crl.pem"), revocation_scope::peer_only),
              deep())) == X509_V_OK);
    CHECK(code_of_verdict(outcome(
              trusting().check_revocation(file("crl.pem"), revocation_scope::peer_only), deep())) ==
          X509_V_ERR_UNABLE_TO_GET_CRL);
}

TEST_CASE("a file without revocation lists is refused by name") {
    const auto refused = test::refusal(trusting().check_revocation(file("ca.pem")));
    REQUIRE(refused);
    CHECK(refused->code() == errc::invalid_pem);
    CHECK(refused->subject() == "CRL " + test::pki("ca.pem"));
}

TEST_CASE("a server looks its clients up, too") {
    const auto asking =
        test::serving().require_client_certificate(file("ca.pem")).danger_accept_any_purpose();
    const auto as_revoked = trusting().identify_as(test::named_identity("revoked"));
    CHECK(!shake(as_revoked, asking).server.failure);
    auto careful = asking;
    careful.check_revocation(file("crl.pem"));
    CHECK(code_of_verdict(shake(as_revoked, careful).server.failure) == X509_V_ERR_CERT_REVOKED);
    CHECK(!shake(trusting().identify_as(test::named_identity("client")), careful).server.failure);
}

// ---- pins ----

TEST_CASE("a pinned certificate or key is accepted, in each way to write the pin") {
    const auto own = first_in("server.pem");
    auto bare = own.fingerprint();
    std::erase(bare, ':');
    for (const auto& pin : {own.fingerprint(), bare, base64(own.sha256)}) {
        CAPTURE(pin);
        CHECK(!outcome(trusting().pin_certificate(pin)));
        CHECK(outcome(trusting().pin_certificate(pin), "rsa"));
    }
    for (const auto& pin : {own.key_fingerprint(), base64(own.key_sha256)}) {
        CAPTURE(pin);
        CHECK(!outcome(trusting().pin_public_key(pin)));
        CHECK(outcome(trusting().pin_public_key(pin), "rsa"));
    }
}

TEST_CASE("a certificate that is none of those pinned is refused as such") {
    const auto other = first_in("rsa.pem");
    const auto authority = first_in("ca.pem");
    for (const auto& settings :
         {trusting().pin_certificate(other.fingerprint()),
          trusting().pin_public_key(other.key_fingerprint()),
          trusting().pin_certificate(first_in("server.pem").key_fingerprint()),
          trusting().pin_public_key(first_in("server.pem").fingerprint()),
          trusting().pin_certificate(authority.fingerprint()),
          trusting().pin_public_key(authority.key_fingerprint())}) {
        const auto ended = outcome(settings);
        REQUIRE(ended);
        CHECK(ended->code() == errc::pin_mismatch);
        REQUIRE(ended->verification());
        CHECK(ended->verification()->depth == 0);
        CHECK(ended->verification()->subject == "CN=localhost");
        CHECK(ended->alert()->way == alert::direction::sent);
        CHECK(std::string(ended->what()) ==
              "handshake: localhost: certificate is not pinned: CN=localhost");
    }
}

TEST_CASE("one pin of several is enough") {
    CHECK(!outcome(trusting()
                       .pin_certificate(first_in("rsa.pem").fingerprint())
                       .pin_public_key(first_in("server.pem").key_fingerprint())));
}

TEST_CASE("a pin does not stand in for the chain, the time or the name") {
    const auto pinned = [](const std::string& name) {
        return trusting().pin_certificate(first_in(name + ".pem").fingerprint());
    };
    CHECK(code_of_verdict(outcome(pinned("expired"), "expired")) == X509_V_ERR_CERT_HAS_EXPIRED);
    CHECK(code_of_verdict(outcome(pinned("elsewhere"), "elsewhere")) ==
          X509_V_ERR_HOSTNAME_MISMATCH);
    CHECK(code_of_verdict(outcome(client_settings()
                                      .trust(file("other-ca.pem"))
                                      .pin_certificate(first_in("server.pem").fingerprint()))) ==
          X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

TEST_CASE("where any certificate is accepted a pin still holds, and alone") {
    const auto expired = first_in("expired.pem");
    const auto alone =
        client_settings().danger_accept_any_certificate().pin_certificate(expired.fingerprint());
    const auto accepted =
        shake(alone, server_settings(test::named_identity("expired")), "other.example");
    CHECK(!accepted.client.failure);
    CHECK(accepted.client.info.verify_code != X509_V_OK);
    const auto refused = outcome(alone, "server");
    REQUIRE(refused);
    CHECK(refused->code() == errc::pin_mismatch);
    // Nor does somebody else's chain with the pinned certificate in it.
    const identity posing(pem::text(first_in("server.pem").to_pem() + expired.to_pem()),
                          file("server.key"));
    CHECK(outcome(alone, posing)->code() == errc::pin_mismatch);
}

TEST_CASE("a server can pin its clients") {
    const auto asking = test::serving().require_client_certificate(file("ca.pem"));
    const auto as_client = trusting().identify_as(test::named_identity("client"));
    auto right = asking;
    right.pin_public_key(first_in("client.pem").key_fingerprint());
    CHECK(!shake(as_client, right).server.failure);
    auto wrong = asking;
    wrong.pin_public_key(first_in("server.pem").key_fingerprint());
    const auto refused = shake(as_client, wrong);
    REQUIRE(refused.server.failure);
    CHECK(refused.server.failure->code() == errc::pin_mismatch);
    CHECK(refused.client.failure);
}

TEST_CASE("what is no SHA-256 is refused as a pin, by its text") {
    const auto good = first_in("server.pem").fingerprint();
    for (const std::string& text :
         {std::string(), std::string("AB:CD"), good + ":00", good + "x", good.substr(1),
          std::string(64, 'g'), std::string(43, 'A') + "*", std::string(43, 'A') + "A",
          std::string(42, 'A') + "==", std::string(44, ' '), std::string(64, '0') + '\0'}) {
        CAPTURE(text);
        for (const auto& settings :
             {trusting().pin_certificate(text), trusting().pin_public_key(text)}) {
            const auto refused = test::refusal(settings);
            REQUIRE(refused);
            CHECK(refused->code() == errc::invalid_setting);
            CHECK(refused->subject() == text);
        }
    }
}

// ---- depth, purpose, names ----

TEST_CASE("a chain is refused that is longer than allowed") {
    CHECK(code_of_verdict(outcome(trusting(), deep())) == X509_V_OK);
    CHECK(code_of_verdict(outcome(trusting().verify_depth(1), deep())) == X509_V_OK);
    CHECK(code_of_verdict(outcome(trusting().verify_depth(0), deep())) ==
          X509_V_ERR_CERT_CHAIN_TOO_LONG);
    CHECK(code_of_verdict(outcome(trusting().verify_depth(0))) == X509_V_OK);
    CHECK(code_of_verdict(outcome(trusting().verify_depth(4000000000U), deep())) == X509_V_OK);
}

TEST_CASE("a certificate for another purpose is accepted only by a call with danger in its name") {
    const auto any_name = trusting().danger_accept_any_name();
    CHECK(code_of_verdict(outcome(any_name, "client")) == X509_V_ERR_INVALID_PURPOSE);
    auto any_purpose = any_name;
    any_purpose.danger_accept_any_purpose();
    CHECK(code_of_verdict(outcome(any_purpose, "client")) == X509_V_OK);
    const auto asking = test::serving().require_client_certificate(file("ca.pem"));
    const auto as_server = trusting().identify_as(test::named_identity("server"));
    CHECK(code_of_verdict(shake(as_server, asking).server.failure) == X509_V_ERR_INVALID_PURPOSE);
}

TEST_CASE("names are those of the alternative names alone, in ASCII, and addresses are none") {
    const std::string book_shop = "xn--bcher-kva.example";
    CHECK(code_of_verdict(outcome(trusting(), "international", book_shop)) == X509_V_OK);
    CHECK(code_of_verdict(outcome(trusting(), "international", "XN--BCHER-KVA.example.")) ==
          X509_V_OK);
    CHECK(code_of_verdict(outcome(trusting(), "international", "xn--bcher-kvb.example")) ==
          X509_V_ERR_HOSTNAME_MISMATCH);
    CHECK(code_of_verdict(outcome(trusting(), "subject-only")) == X509_V_ERR_HOSTNAME_MISMATCH);
    CHECK(code_of_verdict(outcome(trusting(), "address-as-name", "127.0.0.1")) ==
          X509_V_ERR_IP_ADDRESS_MISMATCH);
    CHECK(code_of_verdict(outcome(trusting(), "server", "::ffff:127.0.0.1")) ==
          X509_V_ERR_IP_ADDRESS_MISMATCH);
    CHECK(code_of_verdict(outcome(trusting(), "server", "0:0:0:0:0:0:0:1")) == X509_V_OK);
}

TEST_CASE("a wildcard is a whole label, and the only one") {
    CHECK(code_of_verdict(outcome(trusting(), "wildcard", "any.wild.example.")) == X509_V_OK);
    for (const std::string name : {"wild.example", "a.b.wild.example", "any.wilder.example"}) {
        CAPTURE(name);
        CHECK(code_of_verdict(outcome(trusting(), "wildcard", name)) ==
              X509_V_ERR_HOSTNAME_MISMATCH);
    }
    // The one that matches pa*.wild.example only if part of a label may be wild.
    const std::array<std::string, 1> partial = {"pa*.wild.example"};
    const auto made = self_signed(partial);
    CHECK(code_of_verdict(outcome(client_settings().trust(made.chain), made,
                                  "part.wild.example")) == X509_V_ERR_HOSTNAME_MISMATCH);
}

TEST_CASE("an international name that is not in ASCII is refused with what to do") {
    const auto refused = [] {
        try {
            (void)outcome(trusting(), "international",
                          "b\xc3\xbc"
                          "cher.example");
            return std::string("none");
        } catch (const error& why) {
            CHECK(why.code() == errc::invalid_name);
            return std::string(why.what());
        }
    }();
    CHECK(refused.find("xn--") != std::string::npos);
}

TEST_CASE("the name goes unchecked only by a call with danger in its name, and is still sent") {
    const auto settings = trusting().danger_accept_any_name();
    const auto both =
        shake(settings, server_settings(test::named_identity("elsewhere")), "localhost");
    CHECK(!both.client.failure);
    CHECK(both.server.info.server_name == "localhost");
    CHECK(code_of_verdict(outcome(settings, "elsewhere", "127.0.0.1")) == X509_V_OK);
    CHECK(code_of_verdict(outcome(settings, "expired")) == X509_V_ERR_CERT_HAS_EXPIRED);
    CHECK_THROWS_AS((void)outcome(settings, "elsewhere", "not a name"), error);
}

// ---- servers ----

TEST_CASE("a server that asks for certificates says whom it trusts, and the other way round") {
    for (const auto& settings :
         {test::serving().require_client_certificate(),
          test::serving().request_client_certificate(), test::serving().trust(file("ca.pem")),
          test::serving().trust_directory(test::pki("trusted")),
          test::serving().trust_system_roots(), test::serving().check_revocation(file("crl.pem")),
          test::serving().pin_certificate(first_in("client.pem").fingerprint())}) {
        const auto refused = test::refusal(settings);
        REQUIRE(refused);
        CHECK(refused->code() == errc::invalid_setting);
        CHECK(refused->operation() == "client certificate");
    }
    const auto as_client = trusting().identify_as(test::named_identity("client"));
    const auto both =
        shake(as_client,
              test::serving().trust_directory(test::pki("trusted")).require_client_certificate());
    REQUIRE(both.server.info.peer);
    CHECK(both.server.info.peer->subject == "CN=a client");
}

} // namespace ringtls
