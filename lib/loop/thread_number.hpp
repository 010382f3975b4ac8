// SPDX-License-Identifier: MIT
// Which thread this is.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringtls::detail {

/// Of this thread and no other, ever; not 0. (A std::thread::id, and a thread's number at the
/// kernel, may come again as soon as their thread has ended.)
inline std::uint64_t this_thread_number() noexcept {
    static std::atomic<std::uint64_t> last = 0;
    thread_local const std::uint64_t number = ++last;
    return number;
}

} // namespace ringtls::detail
