// SPDX-License-Identifier: MIT
// A driver without a loop: entries to arm, and a record of what it hands out.
#pragma once

#include "loop/driver.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ringtls::test {

struct entry final : detail::loop_entry {
    int completions = 0;
    short last = 0;
    void on(cause /*why*/, short /*events*/) override {}
};

/// Counts what completes, and does what a test asks for in between.
class recorder final : public detail::completion_sink {
  public:
    std::vector<detail::loop_entry*> order;
    std::function<void(entry&)> then = [](entry&) {};

    void completed(detail::loop_entry& which, short events) override {
        auto& known = static_cast<entry&>(which);
        ++known.completions;
        known.last = events;
        order.push_back(&which);
        then(known);
    }
};

/// A driver and what it hands out.
struct bench {
    std::unique_ptr<detail::driver> on;
    recorder sink;

    explicit bench(std::unique_ptr<detail::driver> driver = detail::make_io_uring_driver())
        : on(std::move(driver)) {}

    void look() { on->wait(std::chrono::nanoseconds::zero(), &sink); }
    /// Waits without a time-out.
    void wait() { on->wait(std::nullopt, &sink); }
    /// Only submits.
    void submit() { on->wait(std::nullopt, nullptr); }
    /// Looks until so many have completed, or for a while in vain.
    void look_for(std::size_t completions) {
        for (int i = 0; i < 10'000 && sink.order.size() < completions; ++i)
            look();
    }
    [[nodiscard]] event_loop_counters counters() const {
        event_loop_counters counted;
        on->count(counted);
        return counted;
    }
};

[[nodiscard]] inline std::uint32_t slot_of(detail::driver::token token) {
    return static_cast<std::uint32_t>(token);
}

} // namespace ringtls::test
