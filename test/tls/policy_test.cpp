// SPDX-License-Identifier: MIT
// Versions, ciphers, groups and signature algorithms: what takes effect, and what is refused.
#include "../skip.hpp"
#include "../support/shaken.hpp"

#include <ringtls/tls/settings.hpp>

#include <openssl/ssl.h>

namespace ringtls {
namespace {

using test::shake;

/// What is refused, "setting: name"; or "none".
template<class Settings>
std::string refused(const Settings& settings) {
    const auto why = test::refusal(settings);
    if (!why)
        return "none";
    CHECK(why->code() == errc::invalid_setting);
    return std::string(why->operation()) + ": " + std::string(why->subject());
}
std::string refused_ciphers(const std::string& list) {
    return refused(client_settings().ciphers(list));
}

/// The ciphers of TLS 1.2 that a context has, each with a colon behind it.
template<class Context>
std::string ciphers_of(const Context& context) {
    std::string all;
    const auto* const list = SSL_CTX_get_ciphers(context.native_handle());
    for (int i = 0; i < sk_SSL_CIPHER_num(list); ++i) {
        const std::string name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i));
        if (!name.starts_with("TLS_"))
            all += name + ":";
    }
    return all;
}

int level_of(const client_context& context) {
    return SSL_CTX_get_security_level(context.native_handle());
}

} // namespace

TEST_CASE("the one unknown name in a list is refused by name, wherever it stands") {
    CHECK(refused_ciphers("HIGH:NOSUCH:!aNULL") == "ciphers: NOSUCH");
    CHECK(refused_ciphers("NOSUCH") == "ciphers: NOSUCH");
    CHECK(refused_ciphers("ECDHE+NOSUCH:HIGH") == "ciphers: NOSUCH");
    CHECK(refused_ciphers("HIGH,AES NOSUCH") == "ciphers: NOSUCH");
    CHECK(refused_ciphers("HIGH:aes") == "ciphers: aes");
    CHECK(refused(client_settings().ciphersuites("TLS_AES_128_GCM_SHA256:TLS_NO_SUCH")) ==
          "ciphersuites: TLS_NO_SUCH");
    CHECK(refused(client_settings().ciphersuites("TLS_NO_SUCH:TLS_AES_128_GCM_SHA256")) ==
          "ciphersuites: TLS_NO_SUCH");
    CHECK(refused(test::serving().groups("P-256:nosuch:X25519")) == "groups: nosuch");
    CHECK(refused(test::serving().signature_algorithms("ECDSA+SHA256:nosuch")) ==
          "signature algorithms: nosuch");
}

TEST_CASE("a misspelt exclusion is refused: it would exclude nothing") {
    CHECK(refused_ciphers("ALL:!aNUL") == "ciphers: aNUL");
    CHECK(refused_ciphers("ALL:-SHA2") == "ciphers: SHA2");
    CHECK(refused_ciphers("ALL:+SHA2") == "ciphers: SHA2");
    CHECK(refused_ciphers("HIGH:!") == "ciphers: !");
    CHECK(refused_ciphers("HIGH:*") == "ciphers: *");
}

TEST_CASE("what OpenSSL's manual has in cipher lists is accepted") {
    for (const char* list :
         {"DEFAULT", "DEFAULT:!SHA1", "HIGH:!aNULL:!MD5:!RC4:!3DES:!DES:!EXPORT:!LOW:!SSLv2",
          "ECDHE+AESGCM:DHE+AESGCM:@STRENGTH", "ALL:-AES128 +kRSA", "HIGH@STRENGTH", "SUITEB128",
          "ECDHE-RSA-AES128-GCM-SHA256", "ALL:COMPLEMENTOFALL:!eNULL", "HIGH:"}) {
        CAPTURE(list);
        CHECK(refused_ciphers(list) == "none");
    }
}

TEST_CASE("what counts at the beginning of a cipher list only is refused elsewhere") {
    CHECK(refused_ciphers("AES128:DEFAULT") == "ciphers: DEFAULT");
    CHECK(refused_ciphers("DEFAULTS") == "ciphers: DEFAULTS");
    CHECK(refused_ciphers("AES128:SUITEB128") == "ciphers: SUITEB128");
    CHECK(refused_ciphers("SUITEB128:AES128") == "ciphers: SUITEB128");
}

TEST_CASE("lists of known names that are wrong as a whole are refused as a whole") {
    CHECK(refused_ciphers("RC4") == "ciphers: RC4");
    CHECK(refused(client_settings().groups("?nosuch")) == "groups: ?nosuch");
}

TEST_CASE("the security level falls only by a call with danger in its name") {
    const client_context usual;
    const auto level = level_of(usual);
    REQUIRE(level > 0); // as Debian has it
    CHECK(refused_ciphers("ALL:@SECLEVEL=0") == "ciphers: @SECLEVEL=0");
    CHECK(refused_ciphers("DEFAULT@SECLEVEL=0") == "ciphers: @SECLEVEL=0");
    CHECK(refused_ciphers("ALL:@SECLEVEL=9") == "ciphers: @SECLEVEL=9");
    CHECK(refused_ciphers("ALL:@SECLEVEL=") == "ciphers: @SECLEVEL=");
    CHECK(refused_ciphers("ALL:@NOSUCH") == "ciphers: @NOSUCH");
    CHECK(level_of(client_context(client_settings().ciphers("ALL:@SECLEVEL=4"))) == 4);
    CHECK(level_of(client_context(client_settings().danger_security_level(0))) == 0);
    CHECK(refused(client_settings().danger_security_level(6)) == "security level: 6");
    CHECK(level_of(client_context(
              client_settings().danger_security_level(0).ciphers("ALL:@SECLEVEL=0"))) == 0);
}

TEST_CASE("groups: the first that both have is used and reported, optional ones are left out") {
    const auto both =
        shake(test::trusting().groups("?nosuch:P-384:?X25519"), test::serving().groups("P-384"));
    CHECK(both.client.info.group == "secp384r1");
    CHECK(both.server.info.group == "secp384r1");
    const auto second = shake(test::trusting().groups("?X25519"), test::serving());
    CHECK(second.client.info.group == "x25519");
    const auto none = shake(test::trusting().groups("P-384"), test::serving().groups("X25519"));
    REQUIRE(none.client.failure);
    CHECK(none.client.failure->alert()->description == SSL_AD_HANDSHAKE_FAILURE);
}

TEST_CASE("the post-quantum group is used where OpenSSL has it") {
    if (test::refusal(client_settings().groups("X25519MLKEM768")))
        return test::skip("this OpenSSL has no X25519MLKEM768");
    for (const auto which : {tls_preset::modern, tls_preset::intermediate}) {
        const auto both = shake(test::trusting().preset(which), test::serving().preset(which));
        CHECK(both.client.info.group == "X25519MLKEM768");
        CHECK(both.server.info.group == "X25519MLKEM768");
    }
}

TEST_CASE("signature algorithms bind both sides") {
    const auto rsa = server_settings(test::named_identity("rsa"));
    test::loopback link(0, test::trusting().signature_algorithms("rsa_pss_rsae_sha384"), rsa);
    int digest = 0;
    REQUIRE(SSL_get_peer_signature_nid(link.client.native_handle(), &digest) == 1);
    CHECK(digest == NID_sha384);
    const auto none = shake(test::trusting().signature_algorithms("ECDSA+SHA256"), rsa);
    REQUIRE(none.server.failure);
    CHECK(none.server.failure->alert()->description == SSL_AD_HANDSHAKE_FAILURE);
}

TEST_CASE("the modern preset is TLS 1.3 alone") {
    const auto both = shake(test::trusting().preset(tls_preset::modern),
                            test::serving().preset(tls_preset::modern));
    CHECK(both.client.info.protocol == "TLSv1.3");
    const auto old = shake(test::only(test::trusting(), tls_version::tls_1_2),
                           test::serving().preset(tls_preset::modern));
    REQUIRE(old.client.failure);
    CHECK(old.client.failure->alert()->description == SSL_AD_PROTOCOL_VERSION);
}

TEST_CASE("the intermediate preset has six ciphers in TLS 1.2, all with forward secrecy") {
    const server_context made(test::serving().preset(tls_preset::intermediate));
    CHECK(ciphers_of(made) == "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:");
    const auto old = shake(test::only(test::trusting(), tls_version::tls_1_2),
                           test::serving().preset(tls_preset::intermediate));
    CHECK(old.client.info.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256");
    const auto weak = shake(
        test::only(test::trusting(), tls_version::tls_1_2).ciphers("ECDHE-ECDSA-AES128-SHA256"),
        test::serving().preset(tls_preset::intermediate));
    REQUIRE(weak.client.failure);
    CHECK(weak.client.failure->alert()->description == SSL_AD_HANDSHAKE_FAILURE);
}

TEST_CASE("what is set after a preset changes it") {
    const auto settings =
        test::serving().maximum_version(tls_version::tls_1_2).preset(tls_preset::modern);
    CHECK(!settings.maximum_version());
    auto changed = settings;
    changed.minimum_version(tls_version::tls_1_2).groups("P-256");
    CHECK(changed.minimum_version() == tls_version::tls_1_2);
    CHECK(changed.groups() == "P-256");
    CHECK(changed.ciphersuites() == settings.ciphersuites());
}

TEST_CASE("the server's order of ciphers decides, but for a client that prefers ChaCha20") {
    const auto cipher = [](const std::string& suites, const std::string& ciphers,
                           tls_version version) {
        auto client = test::only(test::trusting(), version);
        client.ciphersuites(suites).ciphers(ciphers);
        auto server = test::only(test::serving(), version);
        server
            .ciphersuites("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:"
                          "TLS_CHACHA20_POLY1305_SHA256")
            .ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
                     "ECDHE-ECDSA-CHACHA20-POLY1305");
        return test::shake(client, server).client.info.cipher;
    };
    const std::string aes = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
    const std::string aes_1_2 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    CHECK(cipher(aes, aes_1_2, tls_version::tls_1_3) == "TLS_AES_256_GCM_SHA384");
    CHECK(cipher(aes, aes_1_2, tls_version::tls_1_2) == "ECDHE-ECDSA-AES256-GCM-SHA384");
    CHECK(cipher("TLS_CHACHA20_POLY1305_SHA256:" + aes, aes_1_2, tls_version::tls_1_3) ==
          "TLS_CHACHA20_POLY1305_SHA256");
    CHECK(cipher(aes, "ECDHE-ECDSA-CHACHA20-POLY1305:" + aes_1_2, tls_version::tls_1_2) ==
          "ECDHE-ECDSA-CHACHA20-POLY1305");
}

} // namespace ringtls
