// SPDX-License-Identifier: MIT
#include "socket_file.hpp"

#include "system_error.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ringtls::detail {
namespace {

void check(int result, const address& at) {
    if (result != 0)
        throw system_failure(errno, "listen", at.to_string());
}

/// All zero where there is no file.
file_facts facts_of(const std::string& path) noexcept {
    file_facts facts{};
    if (::lstat(path.c_str(), &facts) != 0)
        facts = {};
    return facts;
}

[[nodiscard]] bool same(const file_facts& a, const file_facts& b) noexcept {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// What connecting to it meets: ECONNREFUSED if nobody listens, 0 or another code otherwise.
int knock(const address& at) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(fd < 0 ? -1 : 0, at);
    const int result = ::connect(fd, at.raw(), static_cast<socklen_t>(at.raw_size()));
    const int code = result == 0 ? 0 : errno;
    ::close(fd);
    return code;
}

} // namespace

socket_file::socket_file(const address& at) : path_(at.host()) {
    check(::lstat(path_.c_str(), &facts_), at);
}

/// Another's file may have its place by now.
socket_file::~socket_file() {
    if (same(facts_of(path_), facts_))
        ::unlink(path_.c_str());
}

void remove_stale_file(const address& at) {
    const auto path = at.host();
    const auto facts = facts_of(path);
    if (facts.st_ino == 0)
        return;
    if (!S_ISSOCK(facts.st_mode))
        throw system_failure(EADDRINUSE, "listen", at.to_string(), "it is not a socket");
    if (knock(at) != ECONNREFUSED)
        throw system_failure(EADDRINUSE, "listen", at.to_string(), "somebody listens on it");
    if (same(facts_of(path), facts))
        check(::unlink(path.c_str()), at);
}

} // namespace ringtls::detail
