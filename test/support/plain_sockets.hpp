// SPDX-License-Identifier: MIT
// What tests of net/ do with sockets by plain system calls.
#pragma once

#include "../descriptors.hpp"

#include <ringtls/net/address.hpp>

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <cstddef>
#include <filesystem>

namespace ringtls::test {

/// A blocking connection.
inline descriptor connect_to(const address& at) {
    descriptor made(::socket(at.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(made.fd(), at.raw(), static_cast<socklen_t>(at.raw_size())) == 0);
    return made;
}

/// A socket that has this address, and listens if it is told to.
inline descriptor bound_to(const address& at, int type = SOCK_STREAM, bool listens = false) {
    descriptor made(::socket(at.raw()->sa_family, type | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(made.fd(), at.raw(), static_cast<socklen_t>(at.raw_size())) == 0);
    if (listens)
        REQUIRE(::listen(made.fd(), 16) == 0);
    return made;
}

inline int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
    return value;
}

/// How many descriptors this process has.
inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

} // namespace ringtls::test
