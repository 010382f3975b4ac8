// SPDX-License-Identifier: MIT
// co_await as_result(x): a result<T> in place of an exception.
#pragma once

#include <ringtls/base/result.hpp>
#include <ringtls/coro/task.hpp>

#include <concepts>
#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {
namespace detail {

/// An awaiter that can say how it ended without throwing: every operation, and every operation
/// with modifiers.
template<class Awaiter>
concept result_awaiter = requires(Awaiter& awaiter) {
    { awaiter.await_ready() } -> std::convertible_to<bool>;
    awaiter.resume_result();
};

/// Points at an awaiter that lives to the end of the full expression, as temporaries do. Trivially
/// copyable, for GCC 12 copies awaiters that are not prvalues.
template<class Awaiter>
struct [[nodiscard]] result_of {
    Awaiter* awaiter;

    bool await_ready() { return awaiter->await_ready(); }
    void await_suspend(std::coroutine_handle<> waiter) { awaiter->await_suspend(waiter); }
    auto await_resume() { return awaiter->resume_result(); }
};

/// What is awaited through a task of its own, such as a TLS connect.
template<class T>
concept task_maker = requires(T&& maker) { std::move(maker).as_task(); };

} // namespace detail

/// Awaits an operation (with its modifiers, if any) and completes with result<T>: the value, or
/// the ringtls::error that co_await would have thrown. No exception is thrown on the way, but by
/// task_group::join(), which passes on what a task threw.
template<class Awaiter>
    requires(detail::result_awaiter<Awaiter> && !std::is_lvalue_reference_v<Awaiter>)
[[nodiscard]] detail::result_of<Awaiter> as_result(Awaiter&& operation) noexcept {
    return {std::addressof(operation)};
}

/// The same for a task, whose ringtls::error is caught at its end. Other exceptions pass.
template<class T>
[[nodiscard]] task<result<T>> as_result(task<T> work) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(work);
            co_return result<void>();
        } else {
            co_return result<T>(co_await std::move(work));
        }
    } catch (const error& failure) {
        co_return result<T>(failure);
    }
}

/// The same for what is awaited through a task of its own.
template<class Maker>
    requires(detail::task_maker<Maker> && !std::is_lvalue_reference_v<Maker>)
[[nodiscard]] auto as_result(Maker&& maker) {
    return as_result(std::forward<Maker>(maker).as_task());
}

} // namespace ringtls
