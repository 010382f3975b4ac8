// SPDX-License-Identifier: MIT
// How long something may take, and who may stop it.
#pragma once

#include <ringtls/loop/clock.hpp>

#include <optional>
#include <stop_token>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// A deadline and a stop token, either or both: what within(), until() and cancel_on() set.
class limits {
  public:
    limits() noexcept = default;

    /// The earlier one counts if a deadline is set twice.
    limits& until(loop_clock::time_point deadline) noexcept {
        if (!deadline_ || deadline < *deadline_)
            deadline_ = deadline;
        return *this;
    }
    /// A second token takes the first one's place.
    limits& cancel_on(std::stop_token token) noexcept {
        token_ = std::move(token);
        return *this;
    }

    [[nodiscard]] const std::optional<loop_clock::time_point>& deadline() const noexcept {
        return deadline_;
    }
    [[nodiscard]] const std::stop_token& token() const noexcept { return token_; }

  private:
    std::optional<loop_clock::time_point> deadline_;
    std::stop_token token_;
};

} // namespace ringtls
