// SPDX-License-Identifier: MIT
// Certificates as values: what is read of them, and that they keep their bytes.
#include "../support/loopback.hpp"

#include <ringtls/tls/certificate.hpp>

#include <tls/certificate_reader.hpp>

#include <openssl/pem.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace ringtls {
namespace {

std::string content_of(const std::string& name) {
    std::ifstream file(test::pki(name));
    return {std::istreambuf_iterator<char>(file), {}};
}

certificate first_in(const std::string& name) {
    return certificate::from_pem(pem::file(test::pki(name))).front();
}

std::error_code refusal_of(std::span<const std::uint8_t> encoded) {
    try {
        (void)certificate::from_der(encoded);
        return {};
    } catch (const error& refused) {
        return refused.code();
    }
}

/// The digest that OpenSSL computes of the key alone, written by its own hand.
sha256_digest digest_of_key(const std::string& name) {
    const detail::bio_handle file(BIO_new_file(test::pki(name).c_str(), "r"));
    const detail::key_handle key(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
    const detail::bio_handle encoded(BIO_new(BIO_s_mem()));
    REQUIRE(i2d_PUBKEY_bio(encoded.get(), key.get()) == 1);
    const auto bytes = detail::text_in(encoded);
    sha256_digest digest{};
    REQUIRE(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) ==
            1);
    return digest;
}

} // namespace

TEST_CASE("a certificate tells its serial number and the kind of its key") {
    const auto elliptic = first_in("server.pem");
    CHECK(elliptic.key_type == "EC");
    CHECK(elliptic.key_bits == 256);
    const auto rsa = first_in("rsa.pem");
    CHECK(rsa.key_type == "RSA");
    CHECK(rsa.key_bits == 2048);
    const detail::bio_handle file(BIO_new_file(test::pki("rsa.pem").c_str(), "r"));
    const detail::x509_handle raw(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
    const detail::bio_handle number(BIO_new(BIO_s_mem()));
    REQUIRE(i2a_ASN1_INTEGER(number.get(), X509_get0_serialNumber(raw.get())) > 0);
    CHECK(rsa.serial == detail::text_in(number));
    CHECK(rsa.serial != elliptic.serial);
}

TEST_CASE("the public key's SHA-256 is of the key with its kind, whoever certified it") {
    for (const std::string name : {"server", "rsa"}) {
        const auto read = first_in(name + ".pem");
        CHECK(read.key_sha256 == digest_of_key(name + ".key"));
        CHECK(read.key_sha256 != read.sha256);
    }
    certificate some;
    some.key_sha256[0] = 0xa1;
    CHECK(some.key_fingerprint().starts_with("A1:00:"));
    CHECK(some.fingerprint().starts_with("00:00:"));
}

TEST_CASE("PEM and DER come out as they went in") {
    const auto chain = certificate::from_pem(pem::file(test::pki("server-chain.pem")));
    REQUIRE(chain.size() == 2);
    CHECK(chain[0].subject == "CN=localhost");
    CHECK(chain[1].subject == chain[0].issuer);
    CHECK(chain[0].to_pem() == content_of("server.pem"));
    CHECK(certificate::from_der(chain[0].der) == chain[0]);
    CHECK(certificate::from_pem(pem::text(chain[1].to_pem())).front() == chain[1]);
    CHECK(chain[0] != chain[1]);
}

TEST_CASE("what is no certificate, or more than one, is refused") {
    auto encoded = first_in("server.pem").der;
    CHECK(!refusal_of(encoded));
    encoded.push_back(0);
    CHECK(refusal_of(encoded) == errc::invalid_pem);
    encoded.resize(encoded.size() - 2);
    CHECK(refusal_of(encoded) == errc::invalid_pem);
    CHECK(refusal_of({}) == errc::invalid_pem);
    CHECK_THROWS_AS((void)first_in("garbage.pem"), error);
}

TEST_CASE("a key of a kind that nobody knows has no name, and a digest all the same") {
    auto encoded = first_in("server.pem").der;
    // id-ecPublicKey, 1.2.840.10045.2.1, becomes 1.2.840.10045.2.127.
    const std::array<std::uint8_t, 9> kind = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    const auto at = std::search(encoded.begin(), encoded.end(), kind.begin(), kind.end());
    REQUIRE(at != encoded.end());
    at[8] = 0x7f;
    const auto read = certificate::from_der(encoded);
    CHECK(read.key_type.empty());
    CHECK(read.key_bits == 0);
    CHECK(read.key_sha256 != sha256_digest{});
    CHECK(read.key_sha256 != digest_of_key("server.key"));
}

} // namespace ringtls
