// SPDX-License-Identifier: MIT
// Work that can be told to stop: what when_any, task_group and with_limits run.
#pragma once

#include <ringtls/coro/task.hpp>

#include <concepts>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {
namespace detail {

template<class T>
struct task_traits {};
template<class T>
struct task_traits<task<T>> {
    using value_type = T;
};

/// Its own stop, and whatever stops the parent. The stop state is the one thing allocated.
///
/// Thread rule: a stop may be requested on any thread, here and of the parent; what waits for one
/// is called on that thread (std::stop_callback).
class linked_stop {
  public:
    explicit linked_stop(const std::stop_token& parent) : from_parent_(parent, request{own_}) {}

    [[nodiscard]] std::stop_token token() const noexcept { return own_.get_token(); }

    /// True if this is the first request. What it calls may destroy this object, as may what a stop
    /// of the parent's calls.
    bool request_stop() noexcept {
        const auto kept = own_;
        return kept.request_stop();
    }

  private:
    struct request {
        std::stop_source of;
        void operator()() const noexcept {
            const auto kept = of;
            kept.request_stop();
        }
    };

    std::stop_source own_;
    std::stop_callback<request> from_parent_;
};

} // namespace detail

/// Something that is called with a stop token, and makes a task that ends soon after a stop.
template<class Work>
concept stoppable_work = std::invocable<Work&, std::stop_token> && requires {
    typename detail::task_traits<std::invoke_result_t<Work&, std::stop_token>>::value_type;
};

/// What the task of such work completes with.
template<stoppable_work Work>
using work_value =
    typename detail::task_traits<std::invoke_result_t<Work&, std::stop_token>>::value_type;

} // namespace ringtls
