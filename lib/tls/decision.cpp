// SPDX-License-Identifier: MIT
#include "decision.hpp"

#include "../loop/loop_core.hpp"
#include "questions.hpp"

#include <new>

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
    : core_(core), asked_(asked), waiter_(waiter), frame_(run(*this)) {
    core.schedule(*this);
}

decision::~decision() {
    core_.forget(*this);
}

held_coroutine decision::run(decision& self) {
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
