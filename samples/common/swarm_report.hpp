// SPDX-License-Identifier: MIT
// What echo_swarm counts, and how it tells.
#pragma once

#include "histogram.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace sample {

class swarm_report {
  public:
    /// What is asked for: so many connections, and messages on each.
    swarm_report(std::size_t connections, std::uint64_t messages)
        : connections_(connections), messages_(connections * messages) {}

    std::size_t connected = 0;             ///< all of them held at once before the first message
    std::chrono::nanoseconds connecting{}; ///< from the first connection to the last
    std::chrono::nanoseconds echoing{};    ///< from the first message to the last close
    histogram latency;                     ///< one entry a message that came back whole
    std::uint64_t bytes = 0;               ///< that came back
    std::map<std::string, std::size_t> failures; ///< connections that failed, by reason

    [[nodiscard]] bool succeeded() const {
        return failures.empty() && connected == connections_ && latency.count() == messages_;
    }
    /// One line for when it did not succeed.
    [[nodiscard]] std::string what_failed() const;

    /// To stdout. Throw std::system_error if it cannot be written to.
    void print_text() const;
    void print_json() const;
    /// One line on a terminal's stderr, which the next one overwrites.
    void print_progress() const;
    static void clear_progress();

  private:
    [[nodiscard]] std::size_t failed() const;

    std::size_t connections_;
    std::uint64_t messages_;
};

} // namespace sample
