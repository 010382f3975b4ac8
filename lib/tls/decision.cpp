// SPDX-License-Identifier: MIT
#include "decision.hpp"

#include "../loop/loop_core.hpp"
#include "questions.hpp"

#include <new>

namespace ringtls::detail {

/// The coroutine around the task. Nothing that it awaits throws past it.
struct decision_promise {
    decision_promise* get_return_object() noexcept { return this; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
};

} // namespace ringtls::detail

template<>
struct std::coroutine_traits<ringtls::detail::decision_promise*, ringtls::detail::decision&> {
    using promise_type = ringtls::detail::decision_promise;
};

namespace ringtls::detail {
namespace {

/// What an operation reports of what the application threw.
failure failure_of(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const error& why) {
        return {why.code(), why.details()};
    } catch (const std::system_error& why) {
        return {why.code(), nullptr};
    } catch (const std::bad_alloc&) {
        return {std::make_error_code(std::errc::not_enough_memory), nullptr};
    } catch (const std::exception& why) {
        try {
            auto details = std::make_shared<error_details>();
            details->reason = why.what();
            return {errc::decision_failed, std::move(details)};
        } catch (const std::bad_alloc&) {
            return {errc::decision_failed, nullptr};
        }
    } catch (...) {
        return {errc::decision_failed, nullptr};
    }
}

} // namespace

decision::decision(loop_core& core, questions& asked, decision_waiter& waiter)
    : core_(core),
      asked_(asked),
      waiter_(waiter),
      frame_(std::coroutine_handle<decision_promise>::from_promise(*run(*this))) {
    core.schedule(*this);
}

decision::~decision() {
    core_.forget(*this);
    frame_.destroy();
}

decision_promise* decision::run(decision& self) {
    try {
        co_await self.asked_.answer();
    } catch (...) {
        self.asked_.fail(failure_of(std::current_exception()));
    }
    self.over_ = true;
    self.waiter_.decided();
}

void decision::on(cause /*why*/, short /*events*/) {
    frame_.resume();
}

} // namespace ringtls::detail
