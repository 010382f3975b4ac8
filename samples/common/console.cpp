// SPDX-License-Identifier: MIT
#include "console.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

namespace sample {
namespace {

/// Reading and writing a file does not wait for anybody.
bool is_file(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

void throw_unless_temporary(const char* name) {
    if (errno != EINTR && errno != EAGAIN)
        throw std::system_error(errno, std::system_category(), name);
}

} // namespace

ringtls::task<std::size_t> read_stdin(ringtls::event_loop& loop, std::span<std::byte> into,
                                      std::stop_token stop) {
    for (;;) {
        co_await loop.poll(STDIN_FILENO, ringtls::poll_events::readable).cancel_on(stop);
        const ssize_t count = ::read(STDIN_FILENO, into.data(), into.size());
        if (count >= 0)
            co_return static_cast<std::size_t>(count);
        throw_unless_temporary("stdin");
    }
}

/// A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking (pipe(7)).
ringtls::task<> write_all(ringtls::event_loop& loop, int fd, const char* name,
                          std::span<const std::byte> from) {
    const bool waits = !is_file(fd);
    const std::size_t most = waits ? PIPE_BUF : SSIZE_MAX;
    while (!from.empty()) {
        if (waits)
            co_await loop.poll(fd, ringtls::poll_events::writable);
        const ssize_t count = ::write(fd, from.data(), std::min(from.size(), most));
        if (count >= 0)
            from = from.subspan(static_cast<std::size_t>(count));
        else
            throw_unless_temporary(name);
    }
}

} // namespace sample
