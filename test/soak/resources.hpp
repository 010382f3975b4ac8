// SPDX-License-Identifier: MIT
// What the process holds: descriptors, memory, and requests that the kernel has not completed.
#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

namespace ringtls::soak {

/// Entries of /proc/self/fd, the one that lists them among them.
inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Bytes that malloc has given out (mallinfo(3)).
inline std::size_t heap_in_use() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

/// Whether the above sees what is allocated: under sanitizers it does not.
inline bool heap_is_counted() {
    constexpr std::size_t size = 100'000;
    const auto before = heap_in_use();
    const auto block = std::make_unique<char[]>(size);
    return heap_in_use() >= before + size;
}

/// Resident memory (proc(5)).
inline std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t all = 0;
    std::size_t resident = 0;
    statm >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Polls that wait in the process's io_urings: the lines below "PollList:" in their fdinfo. Nothing
/// if the kernel does not tell. The ring's own thread must ask, for the kernel tells only while no
/// other is inside.
inline std::optional<std::size_t> pending_polls() {
    std::optional<std::size_t> count;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        if (std::filesystem::read_symlink(each, gone) != "anon_inode:[io_uring]")
            continue;
        std::ifstream info("/proc/self/fdinfo/" + each.path().filename().string());
        std::string line;
        while (std::getline(info, line) && line != "PollList:") {
        }
        if (!info)
            continue;
        count = count.value_or(0);
        while (std::getline(info, line) && line.starts_with("  op="))
            ++*count;
    }
    return count;
}

} // namespace ringtls::soak
