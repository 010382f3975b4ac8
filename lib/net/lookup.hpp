// SPDX-License-Identifier: MIT
// One question to getaddrinfo(3), shared by who waits for the answer and the thread that asks.
#pragma once

#include <ringtls/base/result.hpp>
#include <ringtls/net/address.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ringtls::detail {

class lookup {
  public:
    struct question {
        std::string host;
        std::uint16_t port;
        std::optional<enum address::family> only; ///< nothing: IPv4 and IPv6
    };
    /// Who is woken, from another thread, when there is an answer.
    struct waiter {
        void* who;
        void (*wake)(void* who) noexcept;
    };

    /// An address in text is answered at once, a name by a thread.
    [[nodiscard]] static std::shared_ptr<lookup> begin(question asked, waiter by);

    [[nodiscard]] bool answered();
    /// Once it is answered.
    [[nodiscard]] result<std::vector<address>> take();
    /// Nobody waits any more: whoever did is not woken from now on.
    void leave() noexcept;

    /// For the thread that asks.
    void answer() noexcept;

    lookup(question asked, waiter by) noexcept : asked_(std::move(asked)), waiter_(by) {}

  private:
    void ask(int flags);

    const question asked_;
    std::mutex mutex_;             ///< guards the rest
    std::optional<waiter> waiter_; ///< nothing: it left
    bool answered_ = false;
    std::error_code failure_;
    std::string reason_;
    std::vector<address> addresses_;
};

} // namespace ringtls::detail
