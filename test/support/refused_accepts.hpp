// SPDX-License-Identifier: MIT
// accept4(2) as a kernel that refuses. For one source file of a program.
#pragma once

#include <dlfcn.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

namespace ringtls::test {

/// While it lives, accept4(2) does not reach the kernel: it fails with this code.
class refused_accepts {
  public:
    explicit refused_accepts(int code) noexcept { refusal = code; }
    refused_accepts(const refused_accepts&) = delete;
    refused_accepts& operator=(const refused_accepts&) = delete;
    ~refused_accepts() { refusal = 0; }

    static inline int refusal = 0;         ///< 0: none
    static inline std::uint64_t count = 0; ///< calls that were refused, ever
};

} // namespace ringtls::test

/// Takes the C library's place in this program.
extern "C" int accept4(int fd, sockaddr* peer, socklen_t* size, int flags) {
    using ringtls::test::refused_accepts;
    if (refused_accepts::refusal != 0) {
        ++refused_accepts::count;
        errno = refused_accepts::refusal;
        return -1;
    }
    static const auto real = reinterpret_cast<decltype(&accept4)>(::dlsym(RTLD_NEXT, "accept4"));
    return real(fd, peer, size, flags);
}
