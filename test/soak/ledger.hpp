// SPDX-License-Identifier: MIT
// The bytes of one direction: what was accepted for writing, and whether what arrives is that.
#pragma once

#include "dice.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ringtls::soak {

/// Every byte follows from its position, so that a lost, doubled or misplaced one shows.
///
/// Of a write whose frame was destroyed nobody hears how much was accepted. So what is written
/// after it begins again at position 0 in the next epoch, which the upper two bits of each byte
/// tell.
class ledger {
  public:
    /// More epochs than two bits can tell apart there must not be.
    static constexpr std::size_t most_epochs = 4;

    explicit ledger(std::uint64_t seed) noexcept : start_(seed % period) {}

    // The writer's side.

    /// The next bytes to be written, of which a write is now under way.
    void begin(std::span<std::byte> into) noexcept {
        for (std::size_t i = 0; i < into.size(); ++i)
            into[i] = at(forgotten_.size(), accepted_ + i);
        under_way_ = into.size();
    }
    /// That write has completed: the socket has taken it all, and all before. An empty one says
    /// nothing of those before.
    void completed() noexcept {
        const bool any = under_way_ > 0;
        cut_short(under_way_);
        settled_ = any ? accepted_ : settled_;
    }
    /// That write has ended early with so many bytes accepted.
    void cut_short(std::size_t count) noexcept {
        accepted_ += count;
        total_ += count;
        under_way_ = 0;
    }
    /// That write was destroyed.
    void forget() {
        forgotten_.push_back({accepted_, accepted_ + under_way_});
        accepted_ = settled_ = under_way_ = 0;
    }
    [[nodiscard]] bool may_forget() const noexcept { return forgotten_.size() + 1 < most_epochs; }
    [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }
    [[nodiscard]] std::size_t accepted() const noexcept { return total_; }

    // The reader's side.

    /// What has arrived next; a complaint unless it is what was written next.
    [[nodiscard]] std::string arrived(std::span<const std::byte> bytes) {
        for (const auto byte : bytes) {
            while (tag(byte) != epoch_ % most_epochs) {
                if (auto complaint = next_epoch(); !complaint.empty())
                    return complaint;
            }
            if (position_ >= most())
                return "a byte that was not written, at " + place();
            if (byte != at(epoch_, position_))
                return "a wrong byte at " + place();
            ++position_;
            ++received_;
        }
        return {};
    }
    /// Nothing more will arrive; a complaint unless all that was accepted has.
    [[nodiscard]] std::string complete() {
        while (epoch_ < forgotten_.size()) {
            if (auto complaint = next_epoch(); !complaint.empty())
                return complaint;
        }
        return position_ == accepted_ && under_way_ == 0
                   ? std::string()
                   : "the end at " + place() + " of " + std::to_string(accepted_);
    }
    /// A complaint unless all has arrived that the socket had taken for certain, if that is known.
    [[nodiscard]] std::string settled_arrived() const {
        return !forgotten_.empty() || position_ >= settled_
                   ? std::string()
                   : "the end at " + place() + ", before " + std::to_string(settled_);
    }
    /// A value that the next byte cannot have.
    [[nodiscard]] std::byte never(std::size_t offset) const noexcept {
        return at(epoch_, position_ + offset) ^ std::byte{0x3f};
    }
    [[nodiscard]] std::size_t received() const noexcept { return received_; }

  private:
    /// What a write that was destroyed may have had accepted.
    struct bounds {
        std::size_t least;
        std::size_t most;
    };
    static constexpr std::size_t period = 65521;

    static std::size_t tag(std::byte of) noexcept { return std::to_integer<std::size_t>(of) >> 6; }
    [[nodiscard]] std::byte at(std::size_t epoch, std::size_t position) const noexcept {
        static const auto table = [] {
            std::array<std::byte, period> made;
            dice generator(1);
            for (auto& each : made)
                each = static_cast<std::byte>(generator.below(64));
            return made;
        }();
        return table[(start_ + position) % period] |
               static_cast<std::byte>((epoch % most_epochs) << 6);
    }
    [[nodiscard]] std::size_t most() const noexcept {
        return epoch_ < forgotten_.size() ? forgotten_[epoch_].most : accepted_ + under_way_;
    }
    std::string next_epoch() {
        if (epoch_ >= forgotten_.size())
            return "a byte of no epoch, at " + place();
        if (position_ < forgotten_[epoch_].least)
            return "bytes lost of " + std::to_string(forgotten_[epoch_].least) + ", at " + place();
        ++epoch_;
        position_ = 0;
        return {};
    }
    [[nodiscard]] std::string place() const {
        return std::to_string(epoch_) + ":" + std::to_string(position_);
    }

    std::size_t start_;
    std::vector<bounds> forgotten_; ///< the epochs that are over
    std::size_t accepted_ = 0;      ///< of this epoch
    std::size_t settled_ = 0;       ///< of this epoch, taken by the socket for certain
    std::size_t total_ = 0;         ///< accepted in all that is known
    std::size_t under_way_ = 0;
    std::size_t epoch_ = 0; ///< where the reader is
    std::size_t position_ = 0;
    std::size_t received_ = 0;
};

} // namespace ringtls::soak
