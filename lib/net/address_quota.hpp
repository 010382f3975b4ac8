// SPDX-License-Identifier: MIT
// So many connections of one peer at once.
#pragma once

#include <ringtls/net/address.hpp>

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace ringtls::detail {

/// Counts by IPv4 address or IPv6 network of 64 bits: who has one IPv6 address has them all. An
/// IPv4 address in IPv6's form counts as what it is.
///
/// Thread rule: any thread. Outlives its places. As large as there are peers with a place.
class address_quota {
  public:
    /// One of a peer's; given back when destroyed.
    class place {
      public:
        place(address_quota& of, std::string peer) noexcept : of_(&of), peer_(std::move(peer)) {}
        place(place&& other) noexcept
            : of_(std::exchange(other.of_, nullptr)), peer_(std::move(other.peer_)) {}
        place& operator=(place&&) = delete;
        ~place() {
            if (of_)
                of_->leave(peer_);
        }

      private:
        address_quota* of_;
        std::string peer_;
    };

    explicit address_quota(std::size_t most) noexcept : most_(most) {}

    /// None if the peer has as many as it may. Unix sockets are not limited.
    [[nodiscard]] std::optional<place> enter(const address& peer);

  private:
    void leave(const std::string& peer) noexcept;

    const std::size_t most_;
    std::mutex mutex_; ///< guards the rest
    std::unordered_map<std::string, std::size_t> counts_;
};

} // namespace ringtls::detail
