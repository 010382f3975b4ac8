// SPDX-License-Identifier: MIT
#include "byte_link.hpp"

#include "../loop/loop_core.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

namespace ringtls::detail {

namespace {

std::shared_ptr<const error_details> said(const char* what, std::string_view chain) noexcept {
    try {
        auto details = std::make_shared<error_details>();
        details->reason = what;
        details->chain = chain;
        return details;
    } catch (const std::bad_alloc&) {
        return nullptr; // the code says it alone
    }
}

failure told_by(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const error& why) {
        return {why.code(), said(why.what(), why.chain())};
    } catch (const std::system_error& why) {
        return {why.code(), said(why.what(), {})};
    } catch (const std::bad_alloc&) {
        return {std::make_error_code(std::errc::not_enough_memory), nullptr};
    } catch (const std::exception& why) {
        return {std::make_error_code(std::errc::io_error), said(why.what(), {})};
    } catch (...) {
        return {std::make_error_code(std::errc::io_error), nullptr};
    }
}

/// What the stream above reports of what was thrown below: a failure, whatever code it has.
failure failure_of(const std::exception_ptr& thrown) noexcept {
    auto why = told_by(thrown);
    if (!why)
        why.code = std::make_error_code(std::errc::io_error);
    return why;
}

std::ptrdiff_t refuse(int code) noexcept {
    errno = code;
    return -1;
}

} // namespace

byte_link::lane::lane(loop_core& core, held_coroutine coroutine) noexcept
    : core_(core), frame_(std::move(coroutine)) {}

byte_link::lane::~lane() {
    core_.forget(*this);
}

void byte_link::lane::wake() noexcept {
    if (!std::exchange(waits_, false))
        return;
    if (std::exchange(look_, core_.looks()) != core_.looks())
        woken_ = 0;
    if (++woken_ < most_in_a_turn)
        core_.schedule(*this);
    else
        core_.schedule_next_turn(*this);
}

void byte_link::lane::on(cause /*why*/, short /*events*/) {
    frame_.resume();
}

byte_link::byte_link(std::unique_ptr<byte_stream> below, link_waiter& waiter)
    : below_(std::move(below)),
      waiter_(waiter),
      inbox_(inbox_size),
      input_(below_->loop().core(), carry_in(*this)),
      output_(below_->loop().core(), carry_out(*this)) {}

std::ptrdiff_t byte_link::receive(std::span<std::byte> into) noexcept {
    const auto waiting = std::span(inbox_).subspan(begin_, end_ - begin_);
    if (!waiting.empty()) {
        const auto part = waiting.first(std::min(waiting.size(), into.size()));
        std::ranges::copy(part, into.begin());
        begin_ += part.size();
        return static_cast<std::ptrdiff_t>(part.size());
    }
    if (read_failure_)
        return refuse(errno_of(read_failure_));
    return ended_ ? 0 : refuse(EAGAIN);
}

std::ptrdiff_t byte_link::send(std::span<const std::byte> from) noexcept {
    if (write_failure_)
        return refuse(errno_of(write_failure_));
    const auto part = from.first(std::min(from.size(), outbox_bound - outbox_.size()));
    refused_ = refused_ || part.size() < from.size();
    if (part.empty())
        return refuse(EAGAIN);
    try {
        outbox_.insert(outbox_.end(), part.begin(), part.end());
    } catch (const std::bad_alloc&) {
        return refuse(ENOMEM);
    }
    accepted_ += part.size();
    output_.wake();
    return static_cast<std::ptrdiff_t>(part.size());
}

void byte_link::request() noexcept {
    requested_ = true;
    input_.wake();
}

/// Where the next read may put what it reads. What is still waiting moves to the front for it.
std::span<std::byte> byte_link::room() noexcept {
    const auto waiting = std::span(inbox_).subspan(begin_, end_ - begin_);
    std::ranges::copy(waiting, inbox_.begin());
    begin_ = 0;
    end_ = waiting.size();
    return std::span(inbox_).subspan(end_);
}

/// While it reads, receive() only takes from in front of where it reads to.
held_coroutine byte_link::carry_in(byte_link& self) {
    for (;;) {
        while (!self.requested_ || self.room().empty()) {
            self.requested_ = false;
            co_await self.input_.woken();
        }
        try {
            const auto count = co_await self.read();
            self.end_ += count;
            self.ended_ = count == 0;
        } catch (...) {
            self.read_failure_ = failure_of(std::current_exception());
        }
        self.requested_ = false; // who wants more asks again
        self.waiter_.arrived();
        if (self.ended_ || self.read_failure_)
            co_return;
    }
}

task<std::size_t> byte_link::read() {
    const auto into = room();
    ++counters_->receives;
    const auto count = co_await below_->read(into);
    if (count > into.size())
        throw std::length_error("byte_stream::read() returned more than it was asked for");
    co_return count;
}

/// A peer that refuses sends an alert and is gone. So a failure is told of only after a turn in
/// which what the peer has said can arrive.
held_coroutine byte_link::carry_out(byte_link& self) {
    for (;;) {
        while (self.outbox_.empty())
            co_await self.output_.woken();
        self.in_flight_.swap(self.outbox_);
        if (std::exchange(self.refused_, false))
            self.waiter_.taken();
        failure why;
        try {
            ++self.counters_->sends;
            co_await self.below_->write(self.in_flight_);
        } catch (...) {
            why = failure_of(std::current_exception());
        }
        if (why) {
            self.request();
            co_await self.below_->loop().yield();
            self.write_failure_ = std::move(why);
            self.outbox_.clear();
        }
        self.taken_ += self.in_flight_.size();
        self.in_flight_.clear();
        self.waiter_.taken();
        if (self.write_failure_)
            co_return;
    }
}

int byte_link::errno_of(const failure& why) noexcept {
    const auto& category = why.code.category();
    const bool named = category == std::system_category() || category == std::generic_category();
    const int code = named ? why.code.value() : EIO;
    return code == EAGAIN || code == EINTR || code <= 0 ? EIO : code;
}

} // namespace ringtls::detail
