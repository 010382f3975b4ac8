// SPDX-License-Identifier: MIT
// How times are distributed, in a fixed amount of memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sample {

/// Counts times in buckets that are at most 1/32 wider than what they hold; the longest is exact.
class histogram {
  public:
    using duration = std::chrono::nanoseconds;

    void record(duration time) noexcept {
        const auto value = static_cast<std::uint64_t>(std::max<duration::rep>(time.count(), 0));
        ++buckets_[index_of(value)];
        ++count_;
        longest_ = std::max(longest_, value);
    }

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] duration longest() const noexcept { return duration(longest_); }

    /// A time that this share (0 to 1) of all times does not exceed; 0 if there are none.
    [[nodiscard]] duration percentile(double share) const noexcept {
        const auto rank = static_cast<std::uint64_t>(std::ceil(share * double(count_)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen >= rank && seen > 0)
                return duration(std::min(upper_end(i), longest_));
        }
        return duration(longest_);
    }

  private:
    static constexpr int precision = 5; ///< binary digits kept after the leading one
    static constexpr std::size_t steps = std::size_t(1) << precision;

    /// Below `steps` a bucket each; from there on `steps` buckets for each power of two.
    static std::size_t index_of(std::uint64_t value) noexcept {
        if (value < steps)
            return value;
        const int shift = static_cast<int>(std::bit_width(value)) - 1 - precision;
        return static_cast<std::size_t>(shift) * steps + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t upper_end(std::size_t index) noexcept {
        if (index < 2 * steps)
            return index;
        const std::size_t shift = index / steps - 1;
        return ((index % steps + steps + 1) << shift) - 1;
    }

    std::array<std::uint64_t, steps * (64 - precision + 1)> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t longest_ = 0;
};

} // namespace sample
