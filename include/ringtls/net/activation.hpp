// SPDX-License-Identifier: MIT
// Listening sockets that a service manager made before it started the program.
#pragma once

#include <string>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// A listening stream socket that was handed over; listener::adopt() makes a listener of it. For
/// several loops, give each a duplicate (dup(2)).
struct activated_socket {
    int fd = -1;
    std::string name; ///< FileDescriptorName= of systemd.socket(5), or "unknown"
};

/// The sockets that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of (sd_listen_fds(3)), at most
/// 1,024, in their order; none if they are not set, or LISTEN_PID is another process. Each is
/// closed on exec from now on.
///
/// The caller owns the descriptors. Another call tells of the same ones, for the environment stays
/// as it is: other processes see that it is not meant for them. Throws error, with the variable or
/// the descriptor as its subject, if the variables are malformed or something is handed over that
/// is not a stream socket that listens, and changes nothing then.
/// Thread rule: reads the environment (getenv(3)), so call it before threads that change it start.
[[nodiscard, gnu::visibility("default")]] std::vector<activated_socket> activated_sockets();

} // namespace ringtls
