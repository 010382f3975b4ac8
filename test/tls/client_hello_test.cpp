// SPDX-License-Identifier: MIT
// What is read from a ClientHello, and JA4 of it as FoxIO's examples have it.
#include "../support/loopback.hpp"
#include "tls/client_hello.hpp"

#include <ringtls/tls/client_hello.hpp>

#include <openssl/ssl.h>

#include <algorithm>
#include <initializer_list>

namespace ringtls {
namespace {

using test::bytes;

bytes of(std::initializer_list<int> values) {
    bytes made;
    for (const int value : values)
        made.push_back(static_cast<std::byte>(value));
    return made;
}

void append(bytes& to, const bytes& more) {
    to.insert(to.end(), more.begin(), more.end());
}

/// Behind its length, of so many bytes.
bytes vector_of(std::size_t length_size, const bytes& content) {
    bytes made;
    for (auto left = length_size; left-- > 0;)
        made.push_back(static_cast<std::byte>(content.size() >> 8 * left));
    append(made, content);
    return made;
}

bytes extension(int type, const bytes& data) {
    auto made = of({type >> 8, type & 255});
    append(made, vector_of(2, data));
    return made;
}

bytes text(std::string_view from) {
    const auto raw = std::as_bytes(std::span(from));
    return {raw.begin(), raw.end()};
}

bytes name_extension(std::string_view name) {
    auto entry = of({0});
    append(entry, vector_of(2, text(name)));
    return extension(0, vector_of(2, entry));
}

/// The message around these extensions; two ciphers.
bytes message(const bytes& extensions) {
    auto body = of({3, 3});
    body.resize(body.size() + 32, std::byte{7});
    append(body, vector_of(1, of({1, 2, 3})));
    append(body, vector_of(2, of({0x13, 0x01, 0xc0, 0x2b})));
    append(body, vector_of(1, of({0})));
    append(body, vector_of(2, extensions));
    auto whole = of({1});
    append(whole, vector_of(3, body));
    return whole;
}

/// The client of the published example, less its GREASE.
client_hello example() {
    client_hello hello;
    hello.legacy_version = 0x0303;
    hello.versions = {0x0304, 0x0303};
    hello.ciphers = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                     0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
    for (const std::uint16_t type :
         {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
          0x002b, 0xff01, 0x000b, 0x000a, 0x0015})
        hello.extensions.push_back({type, {}});
    hello.alpn = {"h2", "http/1.1"};
    hello.signature_algorithms = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601};
    return hello;
}

/// The part of JA4 from there on.
std::string ja4_of_alpn(const std::string& first) {
    auto hello = example();
    hello.alpn = {first};
    return hello.ja4().substr(8, 2);
}

} // namespace

TEST_CASE("JA4 is what the specification's example says") {
    CHECK(example().ja4() == "t13d1516h2_8daaf6152771_e5627efa2ab1");
    auto without = example();
    without.signature_algorithms.clear();
    CHECK(without.ja4() == "t13d1516h2_8daaf6152771_6d807ffa2a79");
}

TEST_CASE("JA4 passes over GREASE wherever it stands") {
    auto hello = example();
    hello.ciphers.insert(hello.ciphers.begin(), 0x3a3a);
    hello.extensions.insert(hello.extensions.begin(), {0xfafa, {}});
    hello.versions.insert(hello.versions.begin(), 0x7a7a);
    hello.signature_algorithms.push_back(0x0a0a);
    hello.alpn.insert(hello.alpn.begin(), "\x1a\x1a");
    CHECK(hello.ja4() == example().ja4());
    hello.ciphers.push_back(0x3a4a); // looks like it only
    CHECK(hello.ja4() != example().ja4());
}

TEST_CASE("JA4 of what is missing, and of too much") {
    const client_hello nothing;
    CHECK(nothing.ja4() == "t00i000000_000000000000_000000000000");
    client_hello old;
    old.legacy_version = old.versions.emplace_back(std::uint16_t{0x0301});
    old.ciphers.assign(120, 0x002f);
    CHECK(old.ja4().starts_with("t10i990000_"));
    client_hello named; // only what its first part tells
    named.legacy_version = 0x0303;
    named.extensions = {{0x0000, {}}, {0x0010, {}}};
    CHECK(named.ja4() == "t12d000200_000000000000_000000000000");
    for (const auto& [version, expected] :
         {std::pair{0x0300, "s3"}, {0x0302, "11"}, {0x0304, "13"}, {0x7f1c, "00"}}) {
        client_hello one;
        one.legacy_version = static_cast<std::uint16_t>(version);
        CHECK(one.ja4().substr(1, 2) == expected);
    }
}

TEST_CASE("JA4 shows protocols that are no text in hexadecimal") {
    CHECK(ja4_of_alpn("http/1.1") == "h1");
    CHECK(ja4_of_alpn("x") == "xx");
    CHECK(ja4_of_alpn("") == "00");
    CHECK(ja4_of_alpn("\xab") == "ab");
    CHECK(ja4_of_alpn("\xab\xcd") == "ad");
    CHECK(ja4_of_alpn("0\xab") == "3b");
    CHECK(ja4_of_alpn("01\xab\xcd") == "3d");
    CHECK(ja4_of_alpn("0\xab\xcd"
                      "1") == "01");
}

TEST_CASE("a ClientHello is read to its end") {
    auto extensions = name_extension("Www.Example");
    append(extensions, extension(0x4469, text("unknown")));
    append(extensions, extension(16, vector_of(2, of({2, 'h', '2', 1, 'x'}))));
    append(extensions, extension(43, vector_of(1, of({0x0a, 0x0a, 3, 4, 3, 3}))));
    append(extensions, extension(10, vector_of(2, of({0, 29}))));
    append(extensions, extension(13, vector_of(2, of({4, 3, 8, 4}))));
    const auto hello = detail::read_client_hello(message(extensions));
    REQUIRE(hello);
    CHECK(hello->legacy_version == 0x0303);
    CHECK(hello->random[31] == std::byte{7});
    CHECK(hello->session_id == of({1, 2, 3}));
    CHECK(hello->ciphers == std::vector<std::uint16_t>{0x1301, 0xc02b});
    CHECK(hello->server_name == "Www.Example");
    CHECK(hello->alpn == std::vector<std::string>{"h2", "x"});
    CHECK(hello->versions == std::vector<std::uint16_t>{0x0a0a, 0x0304, 0x0303});
    CHECK(hello->groups == std::vector<std::uint16_t>{29});
    CHECK(hello->signature_algorithms == std::vector<std::uint16_t>{0x0403, 0x0804});
    REQUIRE(hello->extensions.size() == 6);
    CHECK(hello->extensions[1].type == 0x4469);
    CHECK(hello->extensions[1].data == text("unknown"));
}

TEST_CASE("a ClientHello that is cut short anywhere, or goes on, is none") {
    const auto whole = message(name_extension("localhost"));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        CHECK(!detail::read_client_hello(std::span(whole).first(size)));
    }
    auto longer = whole;
    longer.push_back(std::byte{});
    CHECK(!detail::read_client_hello(longer));
    auto other = whole;
    other[0] = std::byte{2};
    CHECK(!detail::read_client_hello(other));
    for (const int size : {1, 3}) { // of an extension's data, which has two bytes
        auto extensions = extension(0x1234, of({5, 6}));
        extensions[3] = static_cast<std::byte>(size);
        CHECK(!detail::read_client_hello(message(extensions)));
    }
    // Every length in it wrong by one, both ways: read or not, within its bounds.
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const int by : {1, 255}) {
            auto changed = whole;
            changed[at] = static_cast<std::byte>(std::to_integer<int>(changed[at]) + by);
            static_cast<void>(detail::read_client_hello(changed));
        }
    }
}

TEST_CASE("an extension that cannot be read says nothing, and is there") {
    const auto name_of = [](const bytes& data) {
        const auto hello = detail::read_client_hello(message(extension(0, data)));
        REQUIRE(hello);
        REQUIRE(hello->extensions.size() == 1);
        return hello->server_name;
    };
    CHECK(name_of({}).empty());
    CHECK(name_of(of({0, 4, 0, 0, 1, 'a'})) == "a");
    CHECK(name_of(of({0, 4, 1, 0, 1, 'a'})).empty());      // not a host name
    CHECK(name_of(of({0, 4, 0, 0, 2, 'a'})).empty());      // too long
    CHECK(name_of(of({0, 4, 0, 0, 1, 0})).empty());        // NUL
    CHECK(name_of(of({0, 4, 0, 0, 1, 'a', 'b'})).empty()); // more behind it
    const auto hello = detail::read_client_hello(message(extension(43, of({3, 3, 4, 3}))));
    REQUIRE(hello);
    CHECK(hello->versions == std::vector<std::uint16_t>{0x0303}); // half a number: the legacy one
}

TEST_CASE("a server knows its clients' JA4 if it is told to") {
    for (const auto& how : test::variants) {
        test::loopback link(how, 0, test::trusting().alpn({"h2"}),
                            test::serving().fingerprint_clients());
        const auto ja4 = link.server.info().ja4;
        CHECK(ja4.size() == 36);
        CHECK(ja4.starts_with(how.version == tls_version::tls_1_3 ? "t13d" : "t12d"));
        CHECK(ja4.substr(8, 2) == "h2");
        CHECK(link.client.info().ja4.empty());
        test::loopback plain(how);
        CHECK(plain.server.info().ja4.empty());
    }
}

} // namespace ringtls
