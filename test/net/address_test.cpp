// SPDX-License-Identifier: MIT
#include <ringtls/net/address.hpp>

#include <ringtls/base/error.hpp>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

namespace {

using ringtls::address;
using ringtls::errc;
using ringtls::error;

/// Whether the text is refused as an address.
bool refuses(std::string_view text) {
    try {
        static_cast<void>(address::parse(text));
    } catch (const error& refused) {
        return refused.code() == errc::invalid_address;
    }
    return false;
}

} // namespace

TEST_CASE("An IPv4 address and a port are taken apart and put together") {
    const address at("127.0.0.1", 443);
    CHECK(at.family() == address::family::ipv4);
    CHECK(at.host() == "127.0.0.1");
    CHECK(at.port() == 443);
    CHECK(at.to_string() == "127.0.0.1:443");
}

TEST_CASE("An IPv6 address is written with brackets before its port") {
    const address at("::1", 8443);
    CHECK(at.family() == address::family::ipv6);
    CHECK(at.host() == "::1");
    CHECK(at.port() == 8443);
    CHECK(at.to_string() == "[::1]:8443");
}

TEST_CASE("An IPv6 address keeps the interface that it names") {
    const address at("fe80::1%lo", 1);
    sockaddr_in6 raw{};
    std::memcpy(&raw, at.raw(), sizeof raw);
    CHECK(raw.sin6_scope_id != 0);
    CHECK(at.to_string() == "[fe80::1%lo]:1");
    CHECK(address::parse("[fe80::1%lo]:1") == at);
    CHECK(refuses("[fe80::1%no-such-interface]:1"));
}

TEST_CASE("An interface is named by its number too, which is how some are written") {
    const address at("::1%lo", 1); // not link-local: getnameinfo() writes the number
    CHECK(at.to_string() != "[::1]:1");
    CHECK(address::parse(at.to_string()) == at);
    CHECK(address::parse("[fe80::1%12345]:1").host() == "fe80::1%12345");
    for (const auto* const zone : {"", "0", "1x", "-1", "4294967296"}) {
        CAPTURE(zone);
        CHECK(refuses("[fe80::1%" + std::string(zone) + "]:1"));
    }
}

TEST_CASE("What to_string() writes, parse() reads") {
    for (const char* text :
         {"127.0.0.1:0", "0.0.0.0:65535", "[::]:1", "[2001:db8::1]:443", "unix:/run/echo.sock",
          "unix:relative", "unix:@name", "unix:@", "unix:@@", "unix:./@relative"}) {
        CAPTURE(text);
        CHECK(address::parse(text).to_string() == text);
    }
}

TEST_CASE("Text that is no address is refused") {
    for (const char* text : {"",
                             ":",
                             ":80",
                             "127.0.0.1",
                             "127.0.0.1:",
                             "127.0.0.1:65536",
                             "127.0.0.1:-1",
                             "127.0.0.1:+1",
                             "127.0.0.1: 1",
                             "127.0.0.1:1x",
                             "127.0.0.1:0x50",
                             "[127.0.0.1]:1",
                             "::1:80",
                             "[::1]",
                             "[::1]80",
                             "[::1:80",
                             "::1]:80",
                             "[]:80",
                             "[[::1]]:80",
                             "1.2.3:80",
                             "1.2.3.4.5:80",
                             "localhost:80",
                             "example.org:443",
                             "unix:"}) {
        CAPTURE(text);
        CHECK(refuses(text));
    }
}

TEST_CASE("The error names the text that is no address") {
    try {
        static_cast<void>(address::parse("somewhere"));
        FAIL("did not throw");
    } catch (const error& refused) {
        CHECK(refused.subject() == "\"somewhere\"");
    }
}

TEST_CASE("A name is not looked up") {
    CHECK_THROWS_AS(address("localhost", 80), error);
}

TEST_CASE("An address with a zero byte in it is refused") {
    using namespace std::string_view_literals;
    CHECK_THROWS_AS(address("127.0.0.1\0x"sv, 80), error);
    CHECK_THROWS_AS(static_cast<void>(address::unix_path("a\0b"sv)), error);
}

TEST_CASE("A unix path has no port, and is its own host") {
    const auto at = address::unix_path("/tmp/socket");
    CHECK(at.family() == address::family::unix_path);
    CHECK(at.port() == 0);
    CHECK(at.host() == "/tmp/socket");
    CHECK(at.to_string() == "unix:/tmp/socket");
}

TEST_CASE("A unix path has at most 108 bytes") {
    const std::string longest(108, 'p');
    CHECK(address::unix_path(longest).host() == longest);
    CHECK(address::parse("unix:" + longest).to_string() == "unix:" + longest);
    CHECK_THROWS_AS(static_cast<void>(address::unix_path(longest + "p")), error);
    CHECK_THROWS_AS(static_cast<void>(address::unix_path("")), error);
}

TEST_CASE("An abstract name has no path, and any bytes, at most 107 of them") {
    using namespace std::string_view_literals;
    for (const auto name : {"name"sv, ""sv, "a\0b"sv, "\0"sv, "@"sv, "/run/x"sv, "\n"sv}) {
        const auto at = address::unix_abstract(name);
        CHECK(at.family() == address::family::unix_path);
        CHECK(at.is_abstract());
        CHECK(at.port() == 0);
        CHECK(at.host() == "@" + std::string(name));
        CHECK(at.to_string() == "unix:@" + std::string(name));
        CHECK(address::parse(at.to_string()) == at);
        CHECK(address::from(at.raw(), at.raw_size()) == at);
        CHECK(at.raw_size() == sizeof(sa_family_t) + 1 + name.size());
    }
    CHECK(address::unix_abstract("a\0"sv) != address::unix_abstract("a"));
    CHECK(address::unix_abstract("a") != address::unix_path("a"));
    const std::string longest(107, 'n');
    CHECK(address::unix_abstract(longest).host() == "@" + longest);
    CHECK_THROWS_AS(static_cast<void>(address::unix_abstract(longest + "n")), error);
    CHECK(refuses("unix:@" + longest + "n"));
}

TEST_CASE("A path that begins with @ is told from an abstract name, however long it is") {
    for (const std::size_t size : {1, 107, 108}) {
        const std::string path(size, '@');
        const auto at = address::unix_path(path);
        CHECK_FALSE(at.is_abstract());
        CHECK(at.to_string() == "unix:./" + path);
        CHECK(address::parse(at.to_string()) == at);
        CHECK(address::unix_path(at.host()) == at);
    }
    CHECK(refuses("unix:./@" + std::string(108, 'p')));
    CHECK(address::unix_path("././@").host() == "././@");
}

TEST_CASE("The kernel knows the abstract names that this makes") {
    using namespace std::string_view_literals;
    for (const auto tail : {""sv, "\0x"sv}) {
        const auto at = address::unix_abstract("ringtls-test-" + std::to_string(::getpid()) +
                                               std::string(tail));
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(::bind(fd, at.raw(), static_cast<socklen_t>(at.raw_size())) == 0);
        sockaddr_storage raw{};
        socklen_t known = sizeof raw;
        REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &known) == 0);
        CHECK(address::from(reinterpret_cast<const sockaddr*>(&raw), known) == at);
        ::close(fd);
    }
}

TEST_CASE("The kernel's form of an address is read and given back") {
    for (const auto& at :
         {address("192.0.2.1", 80), address("2001:db8::7", 443), address::unix_path("/a/b")}) {
        const auto again = address::from(at.raw(), at.raw_size());
        CHECK(again == at);
        CHECK(again.to_string() == at.to_string());
    }
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(7);
    raw.sin_addr.s_addr = htonl(0x0a000001);
    CHECK(address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw).to_string() ==
          "10.0.0.1:7");
}

TEST_CASE("What is beyond an address in the kernel's form is not of it") {
    sockaddr_storage room{};
    std::memset(&room, 0xff, sizeof room);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&room);
    for (const auto& at :
         {address("192.0.2.1", 80), address("2001:db8::7", 443), address::unix_path("/a/b")}) {
        std::memcpy(&room, at.raw(), at.raw_size());
        const bool is_path = at.family() == address::family::unix_path;
        const auto again =
            address::from(generic, is_path ? sizeof(sockaddr_un) : sizeof(sockaddr_storage));
        CHECK(again == at);
        CHECK(again.raw_size() == at.raw_size());
    }
    sockaddr_in padded{};
    std::memset(&padded, 0xff, sizeof padded);
    std::memcpy(&padded, address("192.0.2.1", 80).raw(), offsetof(sockaddr_in, sin_zero));
    CHECK(address::from(reinterpret_cast<const sockaddr*>(&padded), sizeof padded) ==
          address("192.0.2.1", 80));
}

TEST_CASE("The longest unix path is the same when the kernel gives it back") {
    auto directory = (std::filesystem::temp_directory_path() / "ringtls-XXXXXX").string();
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    for (const std::size_t size : {107, 108}) {
        const auto path = directory + "/" + std::string(size - directory.size() - 1, 'p');
        const auto at = address::unix_path(path);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(::bind(fd, at.raw(), static_cast<socklen_t>(at.raw_size())) == 0);
        sockaddr_storage raw{};
        socklen_t known = sizeof raw;
        REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &known) == 0);
        CHECK(address::from(reinterpret_cast<const sockaddr*>(&raw), known) == at);
        ::close(fd);
    }
    std::filesystem::remove_all(directory);
}

TEST_CASE("A unix socket without a name has an empty path") {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    const auto at =
        address::from(reinterpret_cast<const sockaddr*>(&raw), offsetof(sockaddr_un, sun_path));
    CHECK(at.family() == address::family::unix_path);
    CHECK(at.host().empty());
    CHECK_FALSE(at.is_abstract());
}

TEST_CASE("The kernel's form of another family, or cut short, is refused") {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    const auto* const generic = reinterpret_cast<const sockaddr*>(&raw);
    CHECK_THROWS_AS(static_cast<void>(address::from(generic, sizeof raw - 1)), error);
    CHECK_THROWS_AS(static_cast<void>(address::from(generic, 0)), error);
    CHECK_THROWS_AS(static_cast<void>(address::from(generic, 1000)), error);
    raw.sin_family = AF_NETLINK;
    CHECK_THROWS_AS(static_cast<void>(address::from(generic, sizeof raw)), error);
}

TEST_CASE("Addresses are equal if family, host and port are") {
    CHECK(address("127.0.0.1", 1) == address::parse("127.0.0.1:1"));
    CHECK(address("127.0.0.1", 1) != address("127.0.0.1", 2));
    CHECK(address("127.0.0.1", 1) != address("127.0.0.2", 1));
    CHECK(address("::1", 1) != address("127.0.0.1", 1));
    CHECK(address::unix_path("a") != address::unix_path("ab"));
}
