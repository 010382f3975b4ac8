// SPDX-License-Identifier: MIT
// What every sample's main does: prepare the process, run, turn a failure into one line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sample {

/// Runs the body and returns the process's exit status: the body's own, or 2 after a usage_error
/// and 1 after any other exception, with one line on stderr. SIGPIPE is ignored from here on (a
/// closed pipe is an error of the write), and closed standard descriptors are made to fail.
int run_program(std::string_view name, int argc, char** argv, int (*body)(int, char**));

/// Writes "name: text" to stderr as one line, whole even where several threads write. Control
/// characters, which may be a peer's, become '?'.
void report(std::string_view name, std::string_view text);

/// "example.org:443", "[::1]:443".
std::string host_and_port(std::string_view host, std::uint16_t port);

/// Raises the soft limit of open descriptors to the hard one (setrlimit(2)); returns it.
std::uint64_t raise_descriptor_limit();

} // namespace sample
