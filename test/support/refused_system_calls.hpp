// SPDX-License-Identifier: MIT
// A filter of system calls, as containers have one (seccomp(2)).
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <vector>

namespace ringtls::test {

inline const std::vector<int> all_of_io_uring = {SYS_io_uring_setup, SYS_io_uring_enter,
                                                 SYS_io_uring_register};

/// Has the kernel answer these system calls of this thread, and of what it starts, with an errno
/// from now on.
inline void refuse(const std::vector<int>& calls, int code) {
    const auto statement = [](std::uint16_t what, std::uint32_t operand) {
        return sock_filter{what, 0, 0, operand};
    };
    const auto answer = static_cast<std::uint32_t>(code) & SECCOMP_RET_DATA;
    std::vector<sock_filter> filter = {
        statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    for (const int call : calls) {
        filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<std::uint32_t>(call)});
        filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer));
    }
    filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        throw std::system_error(errno, std::system_category(), "seccomp");
}

} // namespace ringtls::test
