// SPDX-License-Identifier: MIT
// The command line of the load generator.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace load {

/// What the server does: for `sink` the load writes, for `source` it reads, for `both` both.
enum class work { echo, sink, source, both, handshake, idle, http };

/// One of the windows of an echo load, which follow each other on the same connections.
struct echo_setting {
    std::size_t size;
    std::size_t active;
};

struct options {
    std::uint16_t port = 0;
    pid_t server = 0; ///< 0: not known, its figures are null
    work kind = work::echo;
    std::string_view kind_name;
    std::size_t connections = 0;
    std::size_t active = 0;           ///< the first so many are busy
    std::size_t size = 0;             ///< bytes of an echo, or of a write
    std::vector<echo_setting> series; ///< of echo, never empty: --size and --active if not given
    double warm = 0.5;
    double seconds = 2;
    std::uint64_t requests = 0; ///< 0: as many as go into the time
    int tls = 0;                ///< as OpenSSL numbers the versions
    bool resume = false;
    bool plain = false;
    std::string allocations; ///< the counter's file, or empty

    /// --work idle --size 0: connections of a server that writes, and is to be blocked in that.
    [[nodiscard]] bool never_reads() const { return kind == work::idle && size == 0; }
};

/// Throws std::invalid_argument with one line of text.
options parse_options(int count, char** arguments);

/// "1.3", "1.2" or "plain".
std::string_view protocol_name(const options& options);

} // namespace load
