// SPDX-License-Identifier: MIT
// Listening on a path: the file, whose it is, and who removes it.
#include <ringtls/net/listener.hpp>

#include "../support/plain_sockets.hpp"
#include "../support/scratch.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

namespace {

using ringtls::address;
using ringtls::error;
using ringtls::event_loop;
using ringtls::listen_options;
using ringtls::listener;
using ringtls::task;
using ringtls::test::bound_to;
using ringtls::test::connect_to;
using ringtls::test::scratch;

/// A path for a socket in a directory of its own, and a loop.
struct scene {
    scratch directory;
    std::string path = directory.path("socket");
    address at = address::unix_path(path);
    event_loop loop;

    [[nodiscard]] bool there() const { return ::access(path.c_str(), F_OK) == 0; }
    [[nodiscard]] unsigned mode() const {
        struct stat facts{};
        REQUIRE(::stat(path.c_str(), &facts) == 0);
        return facts.st_mode & 07777U;
    }
    /// Why the path is refused; empty: it is not.
    std::string refusal(const listen_options& options) {
        try {
            static_cast<void>(listener::bind(loop, at, options));
        } catch (const error& refused) {
            CHECK(refused.operation() == "listen");
            CHECK(refused.subject() == at.to_string());
            return refused.what();
        }
        return {};
    }
    std::string in_use(const std::string& why = {}) const {
        return "listen: " + at.to_string() + ": Address already in use" + why;
    }
};

const auto stale_removed = listen_options().remove_stale();

bool refuses_chmod = false;

} // namespace

/// Takes the C library's place in this program.
extern "C" int chmod(const char* path, mode_t mode) noexcept {
    if (refuses_chmod) {
        errno = EPERM;
        return -1;
    }
    static const auto real = reinterpret_cast<decltype(&chmod)>(::dlsym(RTLD_NEXT, "chmod"));
    return real(path, mode);
}

TEST_CASE("A listener listens on a unix path") {
    scene s;
    auto listening = listener::bind(s.loop, s.at);
    CHECK(listening.local_address() == s.at);
    const auto client = connect_to(s.at);
    const auto accepted = s.loop.run([](listener& from) -> task<ringtls::socket> {
        co_return co_await from.accept();
    }(listening));
    CHECK(accepted.local_address() == s.at);
}

TEST_CASE("A listener listens on an abstract name, of which no file is left") {
    event_loop loop;
    const auto at = address::unix_abstract("ringtls-test-" + std::to_string(::getpid()));
    for (int round = 0; round < 2; ++round) {
        auto listening = listener::bind(loop, at, listen_options().mode(0600).remove_stale());
        CHECK(listening.local_address() == at);
        const auto client = connect_to(at);
        const auto accepted = loop.run([](listener& from) -> task<ringtls::socket> {
            co_return co_await from.accept();
        }(listening));
        CHECK(accepted.local_address() == at);
        CHECK(accepted.peer_address().host().empty());
        CHECK_FALSE(std::filesystem::exists(at.host()));
        try {
            static_cast<void>(listener::bind(loop, at, stale_removed));
            FAIL("did not throw");
        } catch (const error& refused) {
            CHECK(refused.code() == std::errc::address_in_use);
        }
    }
}

TEST_CASE("A listener without a name is given an abstract one by the kernel") {
    event_loop loop;
    const sockaddr unnamed = {AF_UNIX, {}};
    const auto listening = listener::bind(loop, address::from(&unnamed, sizeof unnamed.sa_family));
    CHECK(listening.local_address().is_abstract());
    static_cast<void>(connect_to(listening.local_address()));
}

TEST_CASE("A unix path in a directory that is not there is refused, and named") {
    event_loop loop;
    const auto at = address::unix_path("/no-such-directory/socket");
    try {
        static_cast<void>(listener::bind(loop, at));
        FAIL("did not throw");
    } catch (const error& refused) {
        CHECK(refused.code() == std::errc::no_such_file_or_directory);
        CHECK(refused.subject() == at.to_string());
    }
}

TEST_CASE("A listener removes its file when it goes, and only then") {
    scene s;
    {
        auto first = listener::bind(s.loop, s.at);
        const auto moved = std::move(first);
        CHECK(s.there());
    }
    CHECK_FALSE(s.there());
}

TEST_CASE("A listener leaves a file that is no longer its own") {
    scene s;
    std::optional<listener> old(listener::bind(s.loop, s.at));
    REQUIRE(::rename(s.path.c_str(), s.directory.path("old").c_str()) == 0);
    const auto young = bound_to(s.at);
    old.reset();
    CHECK(s.there());
}

TEST_CASE("Permissions that are none are refused before there is a file") {
    scene s;
    CHECK(s.refusal(listen_options().mode(01777)) ==
          "listen: " + s.at.to_string() + ": Invalid argument: permissions beyond 0777");
    CHECK_FALSE(s.there());
}

TEST_CASE("A listener that fails after it made its file removes it") {
    scene s;
    refuses_chmod = true;
    CHECK(s.refusal(listen_options().mode(0600)) ==
          "listen: " + s.at.to_string() + ": Operation not permitted");
    refuses_chmod = false;
    CHECK_FALSE(s.there());
}

TEST_CASE("A stale file is refused unless it is to be removed") {
    scene s;
    static_cast<void>(bound_to(s.at));
    REQUIRE(s.there());
    CHECK(s.refusal({}) == s.in_use());
    REQUIRE(s.there());
    const auto listening = listener::bind(s.loop, s.at, stale_removed);
    static_cast<void>(connect_to(s.at));
}

TEST_CASE("A socket that somebody listens on is not stale") {
    scene s;
    const auto other = bound_to(s.at, SOCK_STREAM, true);
    CHECK(s.refusal(stale_removed) == s.in_use(": somebody listens on it"));
    static_cast<void>(connect_to(s.at));
}

TEST_CASE("Neither is one whose queue is full, nor one of another kind") {
    scene s;
    {
        const auto busy = bound_to(s.at);
        REQUIRE(::listen(busy.fd(), 0) == 0);
        const auto first = connect_to(s.at);
        CHECK(s.refusal(stale_removed) == s.in_use(": somebody listens on it"));
    }
    REQUIRE(::unlink(s.path.c_str()) == 0);
    const auto datagrams = bound_to(s.at, SOCK_DGRAM);
    CHECK(s.refusal(stale_removed) == s.in_use(": somebody listens on it"));
    CHECK(s.there());
}

TEST_CASE("What is not a socket is never removed") {
    scene s;
    s.directory.put("socket", "precious");
    CHECK(s.refusal(stale_removed) == s.in_use(": it is not a socket"));
    CHECK(std::filesystem::file_size(s.path) == 8);
    REQUIRE(::unlink(s.path.c_str()) == 0);
    const auto stale = s.directory.path("stale");
    static_cast<void>(bound_to(address::unix_path(stale)));
    REQUIRE(::symlink(stale.c_str(), s.path.c_str()) == 0);
    CHECK(s.refusal(stale_removed) == s.in_use(": it is not a socket"));
    CHECK(std::filesystem::is_symlink(s.path));
    CHECK(std::filesystem::exists(stale));
}

TEST_CASE("The file's permissions are those asked for, whatever the umask, or the umask's") {
    scene s;
    const auto before = ::umask(027);
    for (const unsigned mode : {0600U, 0666U, 0777U, 0U}) {
        CAPTURE(mode);
        const auto listening = listener::bind(s.loop, s.at, listen_options().mode(mode));
        CHECK(s.mode() == mode);
    }
    const auto listening = listener::bind(s.loop, s.at);
    CHECK(s.mode() == 0750);
    ::umask(before);
}
