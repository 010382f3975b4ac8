// SPDX-License-Identifier: MIT
// Random numbers that follow from a seed, on every machine the same.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ringtls::soak {

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class dice {
  public:
    explicit dice(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t roll() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// 0 to bound - 1.
    std::size_t below(std::size_t bound) noexcept { return roll() % bound; }
    bool one_in(std::size_t count) noexcept { return below(count) == 0; }
    /// 0 to 2^bits - 1, each number of bits as likely as the other: mostly small, sometimes not.
    std::size_t size(unsigned bits) noexcept { return below(std::size_t{1} << below(bits + 1)); }

  private:
    std::uint64_t state_;
};

} // namespace ringtls::soak
