// SPDX-License-Identifier: MIT
// What the server used, as /proc tells it.
#include "server_stats.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>

namespace load {

namespace {

std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file || text.empty())
        throw std::runtime_error("cannot read " + path.string());
    return text;
}

} // namespace

cpu_usage cpu_of(pid_t process) {
    const auto directory = std::filesystem::path("/proc") / std::to_string(process);
    cpu_usage usage;
    // proc(5): the first figure of schedstat is the time on the CPU, in nanoseconds, a thread.
    for (const auto& thread : std::filesystem::directory_iterator(directory / "task"))
        usage.nanoseconds += std::stoull(contents(thread.path() / "schedstat"));
    // proc(5): utime and stime are fields 14 and 15; the name, field 2, may hold spaces.
    const auto stat = contents(directory / "stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field)
        fields >> skipped;
    fields >> usage.user_ticks >> usage.system_ticks;
    return usage;
}

memory_usage memory_of(pid_t process) {
    std::istringstream lines(
        contents(std::filesystem::path("/proc") / std::to_string(process) / "smaps_rollup"));
    memory_usage usage;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string name;
        std::uint64_t kib = 0;
        words >> name >> kib;
        if (name == "Rss:")
            usage.rss_kib = kib;
        else if (name == "Pss:")
            usage.pss_kib = kib;
        else if (name == "Private_Dirty:")
            usage.private_kib = kib;
    }
    return usage;
}

} // namespace load
