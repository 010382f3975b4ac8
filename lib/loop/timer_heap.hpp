// SPDX-License-Identifier: MIT
// Deadlines in order: a pairing heap through the entries' own hooks.
#pragma once

#include <ringtls/loop/operation.hpp>

namespace ringtls::detail {

/// Arming is O(1), disarming O(log n) amortized; neither allocates nor makes a system call.
/// (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap", Algorithmica 1, 1986.)
class timer_heap {
  public:
    [[nodiscard]] bool empty() const noexcept { return root_ == nullptr; }
    /// The earliest entry; null if empty.
    [[nodiscard]] loop_entry* earliest() const noexcept { return root_; }

    void arm(loop_entry& entry, loop_clock::time_point deadline) noexcept {
        disarm(entry);
        entry.timer = {deadline, nullptr, nullptr, nullptr, true};
        root_ = root_ ? meld(*root_, entry) : &entry;
    }

    /// Nothing if it is not armed.
    void disarm(loop_entry& entry) noexcept {
        if (entry.timer.armed)
            take_out(entry);
    }

  private:
    void take_out(loop_entry& entry) noexcept;
    static loop_entry* meld(loop_entry& a, loop_entry& b) noexcept;
    static loop_entry* merge_siblings(loop_entry* first) noexcept;

    loop_entry* root_ = nullptr;
};

} // namespace ringtls::detail
