// SPDX-License-Identifier: MIT
// The time in which is measured: the clock, and what the load and the server used in it.
#pragma once

#include "json.hpp"
#include "options.hpp"
#include "server_stats.hpp"

#include <cstdint>
#include <optional>

namespace load {

/// CLOCK_MONOTONIC in nanoseconds.
std::uint64_t now();

inline std::uint64_t nanoseconds(double seconds) {
    return static_cast<std::uint64_t>(seconds * 1e9);
}

/// The counter that the preloaded bench/allocations.c keeps in a file, mapped.
class allocation_counter {
  public:
    /// An empty name: no counter.
    explicit allocation_counter(const std::string& file);
    allocation_counter(const allocation_counter&) = delete;
    allocation_counter& operator=(const allocation_counter&) = delete;
    ~allocation_counter();

    [[nodiscard]] std::optional<std::uint64_t> value() const;

  private:
    void* mapped_ = nullptr;
};

/// Opens when it is made.
class window {
  public:
    window(const options& options, const allocation_counter& counter);

    [[nodiscard]] std::uint64_t opened() const { return opened_; }
    void close();

    // After close():
    [[nodiscard]] double seconds() const;
    /// The load's share of a core, the server's times, memory and allocations.
    void report(json_object& to) const;
    [[nodiscard]] std::optional<double> server_cpu() const;

  private:
    const options& options_;
    const allocation_counter& counter_;
    std::optional<cpu_usage> server_before_;
    std::optional<cpu_usage> server_after_;
    std::optional<std::uint64_t> allocations_before_;
    std::optional<std::uint64_t> allocations_after_;
    std::uint64_t load_cpu_ = 0; // when open: at the beginning; when closed: the difference
    std::uint64_t opened_ = 0;
    std::uint64_t closed_ = 0;
};

} // namespace load
