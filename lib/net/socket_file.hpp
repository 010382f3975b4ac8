// SPDX-License-Identifier: MIT
// The file that a unix socket's address is.
#pragma once

#include <ringtls/net/address.hpp>

#include <sys/stat.h>

#include <string>

namespace ringtls::detail {

using file_facts = struct ::stat;

/// Removes a socket's file when it goes, if it still is the one that was there at first.
class socket_file {
  public:
    /// Throws error with the system's code.
    explicit socket_file(const address& at);
    socket_file(const socket_file&) = delete;
    socket_file& operator=(const socket_file&) = delete;
    ~socket_file();

  private:
    std::string path_;
    file_facts facts_{};
};

/// Removes a socket's file that nobody listens on; nothing if there is no file. Throws error with
/// EADDRINUSE, and says why, if it is something else.
void remove_stale_file(const address& at);

} // namespace ringtls::detail
