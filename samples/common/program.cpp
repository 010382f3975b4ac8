// SPDX-License-Identifier: MIT
#include "program.hpp"

#include "command_line.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <system_error>

namespace sample {
namespace {

/// A standard descriptor that was closed is opened the wrong way round: no socket takes its
/// number, and its use fails.
void occupy_standard_descriptors() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

bool is_control(char byte) {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
}

} // namespace

int run_program(std::string_view name, int argc, char** argv, int (*body)(int, char**)) {
    occupy_standard_descriptors();
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return body(argc, argv);
    } catch (const usage_error& wrong) {
        report(name, std::string(wrong.what()) + " (see --help)");
        return 2;
    } catch (const std::exception& failure) {
        report(name, failure.what());
        return 1;
    }
}

void report(std::string_view name, std::string_view text) {
    std::string line(name);
    line.append(": ").append(text);
    std::replace_if(line.begin(), line.end(), is_control, '?');
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string host_and_port(std::string_view host, std::uint16_t port) {
    const bool ipv6 = host.find(':') != std::string_view::npos;
    std::string text(host);
    if (ipv6)
        text = "[" + text + "]";
    return text + ":" + std::to_string(port);
}

std::uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        throw std::system_error(errno, std::system_category(), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        throw std::system_error(errno, std::system_category(), "setrlimit");
    return limit.rlim_cur;
}

} // namespace sample
