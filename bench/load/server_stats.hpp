// SPDX-License-Identifier: MIT
// What the server used, as /proc tells it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace load {

/// CPU time since the process began. The scheduler's nanoseconds are exact but do not tell user
/// from system; the ticks do, and give the shares.
struct cpu_usage {
    std::uint64_t nanoseconds = 0;
    std::uint64_t user_ticks = 0;
    std::uint64_t system_ticks = 0;
};

struct memory_usage {
    std::uint64_t rss_kib = 0;
    std::uint64_t pss_kib = 0;
    std::uint64_t private_kib = 0; ///< Private_Dirty
};

/// Both throw std::runtime_error when the process is gone.
cpu_usage cpu_of(pid_t process);
memory_usage memory_of(pid_t process);

} // namespace load
