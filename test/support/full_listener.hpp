// SPDX-License-Identifier: MIT
// A black hole on this machine: an address that neither accepts nor refuses.
#pragma once

#include "../descriptors.hpp"

#include <ringtls/net/listener.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

namespace ringtls::test {

/// A listener that has no room for another connection, so that connecting to it takes forever: the
/// kernel drops the SYNs.
class full_listener {
  public:
    explicit full_listener(event_loop& loop, const address& at = address("127.0.0.1", 0))
        : listener_(listener::bind(loop, at, listen_options().backlog(0))) {
        const auto bound = listener_.local_address();
        for (int i = 0; i < 64 && !full_; ++i) {
            descriptor next(
                ::socket(at.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            static_cast<void>(
                ::connect(next.fd(), bound.raw(), static_cast<socklen_t>(bound.raw_size())));
            pollfd look = {next.fd(), POLLOUT, 0};
            full_ = ::poll(&look, 1, 0) == 0;
            connections_.push_back(std::move(next));
        }
    }
    [[nodiscard]] bool full() const noexcept { return full_; }
    [[nodiscard]] address at() const { return listener_.local_address(); }

  private:
    listener listener_;
    std::vector<descriptor> connections_;
    bool full_ = false;
};

} // namespace ringtls::test
