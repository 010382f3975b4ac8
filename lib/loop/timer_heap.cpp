// SPDX-License-Identifier: MIT
#include "timer_heap.hpp"

namespace ringtls::detail {

/// Makes the later of two roots the eldest child of the earlier one.
loop_entry* timer_heap::meld(loop_entry& a, loop_entry& b) noexcept {
    loop_entry& parent = b.timer.deadline < a.timer.deadline ? b : a;
    loop_entry& child = &parent == &a ? b : a;
    child.timer.previous = &parent;
    child.timer.sibling = parent.timer.child;
    if (child.timer.sibling)
        child.timer.sibling->timer.previous = &child;
    parent.timer.child = &child;
    return &parent;
}

/// The two passes of the pairing heap, without recursion: melds siblings two by two from the
/// left, chaining the pairs backwards, then melds the pairs from the right.
loop_entry* timer_heap::merge_siblings(loop_entry* first) noexcept {
    loop_entry* pairs = nullptr;
    while (first) {
        loop_entry* a = first;
        loop_entry* b = a->timer.sibling;
        first = b ? b->timer.sibling : nullptr;
        a->timer.sibling = nullptr;
        a->timer.previous = nullptr;
        if (b) {
            b->timer.sibling = nullptr;
            b->timer.previous = nullptr;
            a = meld(*a, *b);
        }
        a->timer.sibling = pairs;
        pairs = a;
    }
    loop_entry* root = nullptr;
    while (pairs) {
        loop_entry* pair = pairs;
        pairs = pair->timer.sibling;
        pair->timer.sibling = nullptr;
        root = root ? meld(*root, *pair) : pair;
    }
    return root;
}

void timer_heap::take_out(loop_entry& entry) noexcept {
    auto& hook = entry.timer;
    if (&entry == root_) {
        root_ = merge_siblings(hook.child);
    } else {
        auto& above = hook.previous->timer;
        (above.child == &entry ? above.child : above.sibling) = hook.sibling;
        if (hook.sibling)
            hook.sibling->timer.previous = hook.previous;
        if (loop_entry* orphans = merge_siblings(hook.child))
            root_ = meld(*root_, *orphans);
    }
    hook = {};
}

} // namespace ringtls::detail
