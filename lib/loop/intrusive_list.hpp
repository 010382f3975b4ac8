// SPDX-License-Identifier: MIT
// A FIFO of loop entries, linked through one of their own hooks.
#pragma once

#include <ringtls/loop/operation.hpp>

#include <utility>

namespace ringtls::detail {

/// Never allocates; an entry can leave from the middle, which is what cancelling needs.
template<loop_entry::list_hook loop_entry::* Hook>
class intrusive_list {
  public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

    /// Nothing if it is in a list through this hook already.
    void push_back(loop_entry& entry) noexcept {
        auto& hook = entry.*Hook;
        if (hook.list)
            return;
        hook = {last_, nullptr, this};
        (last_ ? (last_->*Hook).next : first_) = &entry;
        last_ = &entry;
    }

    /// Nothing if it is not in this list.
    void remove(loop_entry& entry) noexcept {
        auto& hook = entry.*Hook;
        if (hook.list != this)
            return;
        (hook.previous ? (hook.previous->*Hook).next : first_) = hook.next;
        (hook.next ? (hook.next->*Hook).previous : last_) = hook.previous;
        hook = {};
    }

    [[nodiscard]] loop_entry* front() const noexcept { return first_; }

    /// Null if empty.
    [[nodiscard]] loop_entry* pop_front() noexcept {
        loop_entry* entry = first_;
        if (entry)
            remove(*entry);
        return entry;
    }

  private:
    loop_entry* first_ = nullptr;
    loop_entry* last_ = nullptr;
};

} // namespace ringtls::detail
