// SPDX-License-Identifier: MIT
// Latencies in logarithmic buckets: three significant digits whatever the magnitude.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace load {

/// Counts nanoseconds. Below 2048 ns each value has its bucket; above, each power of two is cut
/// into 1024, so that a percentile is less than 0.1 percent too low. The maximum is exact.
class histogram {
  public:
    histogram() : buckets_(index(most) + 1) {}

    void record(std::uint64_t nanoseconds) {
        ++buckets_[index(std::min(nanoseconds, most))];
        ++count_;
        max_ = std::max(max_, nanoseconds);
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }

    /// The value that `share` (0 to 1) of those recorded do not exceed; 0 where there are none.
    [[nodiscard]] std::uint64_t percentile(double share) const {
        const auto rank =
            static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen >= rank && seen > 0)
                return value(i);
        }
        return 0;
    }

    void reset() {
        std::ranges::fill(buckets_, 0);
        count_ = max_ = 0;
    }

  private:
    static constexpr std::uint64_t most = (1ULL << 40) - 1; // 18 minutes
    static constexpr int digits = 11;                       // the bits of a value that are kept
    static constexpr std::size_t half = 1U << (digits - 1);

    static constexpr std::size_t index(std::uint64_t nanoseconds) {
        const int shift = std::max(0, static_cast<int>(std::bit_width(nanoseconds)) - digits);
        return static_cast<std::size_t>(shift) * half + (nanoseconds >> shift);
    }

    static constexpr std::uint64_t value(std::size_t index) {
        const std::size_t shift = index < 2 * half ? 0 : index / half - 1;
        return (index - shift * half) << shift;
    }

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace load
