// SPDX-License-Identifier: MIT
// Host names to addresses, off the loop's thread.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringtls::detail {
class lookup;
}

namespace [[gnu::visibility("default")]] ringtls {

/// Looks a name up. Completes with at least one address, in getaddrinfo(3)'s order.
class [[nodiscard]] resolve_operation final
    : public basic_operation<resolve_operation, std::vector<address>> {
  public:
    resolve_operation(event_loop& loop, std::string_view host, std::uint16_t port,
                      std::optional<enum address::family> only);
    ~resolve_operation();
    [[nodiscard]] std::vector<address> take_value() noexcept { return std::move(addresses_); }

  private:
    wait_for attempt() override;
    void withdraw() noexcept override;

    std::string host_;
    std::uint16_t port_;
    std::optional<enum address::family> only_;
    std::shared_ptr<detail::lookup> lookup_;
    std::vector<address> addresses_;
};

/// The addresses of a host for TCP connections to this port (getaddrinfo(3)): of both families, or
/// of one only.
///
/// An IP address in text is answered at once. A name is looked up on one of at most 8 threads of
/// the process, for which at most 1,024 others wait; one more fails with EAI_AGAIN. A cancelled
/// lookup leaves its thread to finish alone, and drops its answer; one that waits is never made.
/// Fails with a code of resolver_category(), or for EAI_SYSTEM the system's, and the host as the
/// error's subject.
[[nodiscard]] inline resolve_operation resolve(event_loop& loop, std::string_view host,
                                               std::uint16_t port,
                                               std::optional<enum address::family> only = {}) {
    return {loop, host, port, only};
}

} // namespace ringtls
