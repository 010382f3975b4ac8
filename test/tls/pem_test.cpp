// SPDX-License-Identifier: MIT
#include <ringtls/tls/pem.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

namespace ringtls {

TEST_CASE("a file is named by its path, text in memory as such") {
    CHECK(pem::file("/etc/cert.pem").name() == "/etc/cert.pem");
    CHECK(!pem::file("/etc/cert.pem").in_memory());
    CHECK(pem::text("secret").name() == "PEM in memory");
    CHECK(pem::text("secret").content() == "secret");
}

TEST_CASE("moving leaves no secret behind, copying keeps both") {
    auto secret = pem::text("short");
    const auto copy = secret;
    const auto moved = std::move(secret);
    CHECK(moved.content() == "short");
    CHECK(copy.content() == "short");
    CHECK(secret.content().empty()); // NOLINT(bugprone-use-after-move): that is the question
}

TEST_CASE("text in memory is wiped when it goes") {
    const char* where = nullptr;
    alignas(pem) std::byte storage[sizeof(pem)];
    auto* const secret = new (storage) pem(pem::text("tiny key"));
    where = secret->content().data(); // a short string lives inside the object
    REQUIRE(static_cast<const void*>(where) >= static_cast<const void*>(storage));
    REQUIRE(static_cast<const void*>(where) < static_cast<const void*>(storage + sizeof(pem)));
    const auto offset = reinterpret_cast<const std::byte*>(where) - storage;
    secret->~pem();
    CHECK(std::string(reinterpret_cast<const char*>(storage) + offset, 8) != "tiny key");
}

} // namespace ringtls
