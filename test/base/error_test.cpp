// SPDX-License-Identifier: MIT
#include <ringtls/base/error.hpp>

#include <doctest/doctest.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <type_traits>

namespace {

using ringtls::errc;
using ringtls::error;

std::shared_ptr<ringtls::error_details> details() {
    return std::make_shared<ringtls::error_details>();
}

} // namespace

TEST_CASE("Each errc has a text of its own") {
    const auto last = static_cast<int>(errc::bad_proxy_header);
    std::set<std::string> texts;
    for (int code = 1; code <= last; ++code)
        texts.insert(make_error_code(static_cast<errc>(code)).message());
    CHECK(texts.size() == static_cast<std::size_t>(last));
    CHECK(texts.count("unknown error") == 0);
    CHECK(make_error_code(static_cast<errc>(last + 1)).message() == "unknown error");
}

TEST_CASE("An errc becomes an error_code of the library's category") {
    const std::error_code code = errc::truncated;
    CHECK(code == errc::truncated);
    CHECK(code.category() == ringtls::ringtls_category());
    CHECK(std::string_view(code.category().name()) == "ringtls");
}

TEST_CASE("An errc equals the std::errc of the same meaning") {
    CHECK(make_error_code(errc::timed_out) == std::errc::timed_out);
    CHECK(make_error_code(errc::canceled) == std::errc::operation_canceled);
    CHECK(make_error_code(errc::busy) == std::errc::device_or_resource_busy);
}

TEST_CASE("An errc without a std::errc of its meaning equals none by its number") {
    CHECK(make_error_code(errc::truncated) != std::errc::operation_not_permitted);
    CHECK(make_error_code(errc::truncated) != make_error_code(std::errc::operation_not_permitted));
}

TEST_CASE("OpenSSL's codes have OpenSSL's texts") {
    REQUIRE(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr) == 1);
    const auto packed = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_UNEXPECTED_EOF_WHILE_READING);
    const std::error_code code(static_cast<int>(packed), ringtls::openssl_category());
    CHECK(code.message() == ERR_reason_error_string(packed));
    CHECK(code.message() == "unexpected eof while reading");
    CHECK(std::string_view(code.category().name()) == "openssl");
}

TEST_CASE("A system error that OpenSSL packed has the system's text") {
    const unsigned long packed = ERR_SYSTEM_FLAG | ECONNRESET;
    const std::error_code code(static_cast<int>(packed), ringtls::openssl_category());
    CHECK(code.message() == std::system_category().message(ECONNRESET));
}

TEST_CASE("An OpenSSL code without a reason has a text all the same") {
    const auto packed = ERR_PACK(ERR_LIB_USER, 0, 99);
    const std::error_code code(static_cast<int>(packed), ringtls::openssl_category());
    CHECK(code.message().find("99") != std::string::npos);
}

TEST_CASE("The resolver's codes have getaddrinfo's texts") {
    const std::error_code code(EAI_NONAME, ringtls::resolver_category());
    CHECK(code.message() == gai_strerror(EAI_NONAME));
    CHECK(std::string_view(code.category().name()) == "resolver");
}

TEST_CASE("what() is operation, subject, code and reason on one line") {
    auto more = details();
    more->subject = "example.org";
    more->reason = "self-signed certificate at depth 0";
    const error failure(errc::verify_failed, "handshake", more);
    CHECK(std::string_view(failure.what()) ==
          "handshake: example.org: certificate verify failed: self-signed certificate at depth 0");
}

TEST_CASE("what() leaves out what is not known") {
    CHECK(std::string_view(error(errc::timed_out, "read").what()) == "read: timed out");
    CHECK(std::string_view(error(errc::timed_out, "").what()) == "timed out");
}

TEST_CASE("An error without details has none to show") {
    const error failure(errc::canceled, "write", nullptr, 7);
    CHECK(failure.code() == errc::canceled);
    CHECK(failure.operation() == "write");
    CHECK(failure.bytes() == 7);
    CHECK(failure.subject().empty());
    CHECK(failure.chain().empty());
    CHECK_FALSE(failure.verification().has_value());
    CHECK_FALSE(failure.alert().has_value());
    CHECK(failure.details() == nullptr);
}

TEST_CASE("An error shows the details that it was given") {
    auto more = details();
    more->subject = "server.pem";
    more->chain = "error:0A000086";
    more->verification = ringtls::verification{X509_V_ERR_CERT_HAS_EXPIRED, 1, "CN=old"};
    more->alert = ringtls::alert{ringtls::alert::direction::sent, 48};
    const error failure(errc::verify_failed, "handshake", more);
    CHECK(failure.subject() == "server.pem");
    CHECK(failure.chain() == "error:0A000086");
    REQUIRE(failure.verification().has_value());
    CHECK(failure.verification()->depth == 1);
    CHECK(failure.verification()->subject == "CN=old");
    REQUIRE(failure.alert().has_value());
    CHECK(failure.alert()->way == ringtls::alert::direction::sent);
    CHECK(failure.details() == more);
}

TEST_CASE("A verification has OpenSSL's reason") {
    const ringtls::verification refused{X509_V_ERR_CERT_HAS_EXPIRED, 0, ""};
    CHECK(refused.reason() == "certificate has expired");
}

TEST_CASE("An alert has OpenSSL's name") {
    CHECK(ringtls::alert{ringtls::alert::direction::received, 48}.name() == "unknown CA");
}

TEST_CASE("Copies of an error share its text, which outlives the original") {
    static_assert(std::is_nothrow_copy_constructible_v<error>);
    static_assert(std::is_nothrow_copy_assignable_v<error>);
    auto original = std::make_unique<error>(errc::busy, "read");
    const error copy = *original;
    CHECK(static_cast<const void*>(copy.what()) == original->what());
    original.reset();
    CHECK(std::string_view(copy.what()).starts_with("read: "));
}

TEST_CASE("An error is caught as std::system_error, with its code and text") {
    try {
        throw error({ECONNREFUSED, std::system_category()}, "connect");
    } catch (const std::system_error& caught) {
        CHECK(caught.code() == std::errc::connection_refused);
        CHECK(std::string_view(caught.what()).starts_with("connect: "));
    }
}
