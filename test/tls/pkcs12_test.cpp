// SPDX-License-Identifier: MIT
// Identities out of PKCS#12 bundles.
#include "../support/shaken.hpp"

#include <ringtls/tls/certificate.hpp>
#include <ringtls/tls/pkcs12.hpp>

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace ringtls {
namespace {

std::string secret(std::string_view /*name*/) {
    return "secret";
}

std::vector<std::uint8_t> content_of(const std::string& name) {
    std::ifstream file(test::pki(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

template<class Read>
std::optional<error> refusal(Read read) {
    try {
        (void)read();
        return std::nullopt;
    } catch (const error& refused) {
        return refused;
    }
}

std::error_code refused_file(const std::string& name, const passphrase_callback& passphrase) {
    const auto refused = refusal([&] { return pkcs12_file(test::pki(name), passphrase); });
    if (!refused)
        return {};
    CHECK(refused->subject() == "PKCS#12 " + test::pki(name));
    return refused->code();
}

} // namespace

TEST_CASE("a bundle is a whole identity, its chain in order and without strangers") {
    const auto self = pkcs12_file(test::pki("deep.p12"), secret);
    std::vector<std::string> subjects;
    for (const auto& each : certificate::from_pem(self.chain))
        subjects.push_back(each.subject);
    CHECK(subjects == std::vector<std::string>{"CN=localhost", "CN=an authority between",
                                               "CN=ringtls test authority"});
    const auto both = test::shake(test::trusting(), server_settings(self));
    CHECK(!both.client.failure);
    REQUIRE(both.client.info.peer);
    CHECK(both.client.info.peer->issuer == "CN=an authority between");
}

TEST_CASE("a bundle in memory is the same, and its passphrase is asked for once") {
    int asked = 0;
    const auto self = pkcs12_data(content_of("deep.p12"), [&asked](std::string_view name) {
        ++asked;
        CHECK(name == "in memory");
        return std::string("secret");
    });
    CHECK(asked == 1);
    CHECK(self.chain.content() == pkcs12_file(test::pki("deep.p12"), secret).chain.content());
    CHECK(self.key.in_memory());
    CHECK(!test::refusal(server_settings(self)));
}

TEST_CASE("no callback stands for an empty passphrase") {
    const auto self = pkcs12_file(test::pki("open.p12"), nullptr);
    const auto both =
        test::shake(test::trusting().identify_as(self),
                    test::serving().require_client_certificate(pem::file(test::pki("ca.pem"))));
    REQUIRE(both.server.info.peer);
    CHECK(both.server.info.peer->subject == "CN=a client");
    CHECK(refused_file("deep.p12", nullptr) == errc::bad_passphrase);
}

TEST_CASE("what is no bundle, or not a whole one, is refused with the file's name") {
    CHECK(refused_file("deep.p12", [](std::string_view) { return std::string("wrong"); }) ==
          errc::bad_passphrase);
    CHECK(refused_file("garbage.pem", secret) == errc::invalid_pem);
    CHECK(refused_file("empty.pem", secret) == errc::invalid_pem);
    CHECK(refused_file("missing.p12", secret) == errc::invalid_pem);
    CHECK(refused_file("keyless.p12", secret) == errc::invalid_pem);
    auto cut = content_of("deep.p12");
    cut.resize(cut.size() / 2);
    const auto refused = refusal([&] { return pkcs12_data(cut, secret); });
    REQUIRE(refused);
    CHECK(refused->code() == errc::invalid_pem);
    CHECK(refused->subject() == "PKCS#12 in memory");
    CHECK(refusal([] { return pkcs12_data({}, secret); })->code() == errc::invalid_pem);
}

TEST_CASE("what the callback throws comes out") {
    const auto failing = [](std::string_view) -> std::string {
        throw std::runtime_error("no keyring");
    };
    CHECK_THROWS_WITH_AS((void)pkcs12_file(test::pki("deep.p12"), failing), "no keyring",
                         std::runtime_error);
}

} // namespace ringtls
