// SPDX-License-Identifier: MIT
#include <ringtls/net/activation.hpp>

#include "listener_state.hpp"
#include "system_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace ringtls {
namespace {

constexpr int first_fd = 3;
constexpr std::uint64_t most_sockets = 1024;

[[noreturn]] void refuse(const char* variable, std::string reason) {
    throw detail::system_failure(EINVAL, "activate", variable, std::move(reason));
}

/// A variable that is a number; nothing if it is not set.
std::optional<std::uint64_t> number_in(const char* variable) {
    const char* const text = std::getenv(variable); // NOLINT(concurrency-mt-unsafe)
    if (!text)
        return std::nullopt;
    const std::string_view whole(text);
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(whole.begin(), whole.end(), number);
    if (failure != std::errc() || end != whole.end())
        refuse(variable, "not a number: \"" + std::string(whole) + "\"");
    return number;
}

/// How many there are, if they are this process's.
std::uint64_t count() {
    const auto process = number_in("LISTEN_PID");
    if (!process || *process != static_cast<std::uint64_t>(::getpid()))
        return 0; // and what else there is, is meant for another
    const auto sockets = number_in("LISTEN_FDS");
    if (sockets && *sockets > most_sockets)
        refuse("LISTEN_FDS", "more than " + std::to_string(most_sockets));
    return sockets.value_or(0);
}

std::vector<std::string> names_of(std::uint64_t sockets) {
    const char* const text = std::getenv("LISTEN_FDNAMES"); // NOLINT(concurrency-mt-unsafe)
    if (!text)
        return {sockets, "unknown"};
    std::vector<std::string> names;
    std::string_view rest(text);
    for (auto colon = rest.find(':'); colon != std::string_view::npos; colon = rest.find(':')) {
        names.emplace_back(rest.substr(0, colon));
        rest.remove_prefix(colon + 1);
    }
    names.emplace_back(rest);
    if (names.size() != sockets)
        refuse("LISTEN_FDNAMES", std::to_string(names.size()) + " names for " +
                                     std::to_string(sockets) + " descriptors");
    return names;
}

} // namespace

std::vector<activated_socket> activated_sockets() {
    const auto sockets = count();
    if (sockets == 0)
        return {};
    std::vector<activated_socket> all;
    int fd = first_fd;
    for (auto& name : names_of(sockets)) {
        detail::require_listening(fd, "descriptor " + std::to_string(fd));
        all.push_back({fd++, std::move(name)});
    }
    for (const auto& each : all)
        if (::fcntl(each.fd, F_SETFD, FD_CLOEXEC) != 0)
            throw detail::system_failure(errno, "activate",
                                         "descriptor " + std::to_string(each.fd));
    return all;
}

} // namespace ringtls
