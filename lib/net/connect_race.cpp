// SPDX-License-Identifier: MIT
#include "connect_race.hpp"

#include "../loop/loop_core.hpp"
#include "connecting.hpp"
#include "system_error.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace ringtls::detail {
namespace {

/// What an error tells of the addresses that were tried after the first.
constexpr std::size_t longest_report = 512;

} // namespace

std::vector<address> interleaved(const std::vector<address>& from) {
    std::vector<address> order;
    order.reserve(from.size());
    const auto is_first = [&from](const address& each) {
        return each.family() == from.front().family();
    };
    auto ours = from.begin();
    auto others = from.begin();
    while (order.size() < from.size()) {
        ours = std::find_if(ours, from.end(), is_first);
        if (ours != from.end())
            order.push_back(*ours++);
        others = std::find_if_not(others, from.end(), is_first);
        if (others != from.end())
            order.push_back(*others++);
    }
    return order;
}

void connect_race::entry::on(cause why, short events) {
    rang = why == cause::deadline;
    ready = events;
    owner_.schedule();
}

connect_race::connect_race(connect_host_operation& owner, std::vector<address> addresses,
                           const connect_options& options)
    : owner_(owner), options_(options), addresses_(std::move(addresses)), alarm_(owner) {
    rivals_.reserve(std::min<std::size_t>(addresses_.size(), 4));
}

/// The polls first: what they wait on is still open then.
connect_race::~connect_race() {
    core().forget(alarm_);
    for (const auto& each : rivals_)
        core().forget(each->wait);
}

loop_core& connect_race::core() const noexcept {
    return owner_.loop().core();
}

std::optional<result<socket>> connect_race::advance() {
    if (auto winner = look_at_rivals())
        return result<socket>(*std::move(winner));
    due_ = due_ || std::exchange(alarm_.rang, false);
    while (due_ && next_ < addresses_.size())
        if (auto winner = start_next())
            return result<socket>(*std::move(winner));
    if (rivals_.empty())
        return result<socket>(failure());
    return std::nullopt;
}

/// In the order in which they were started; the kernel's news come one at a time.
std::optional<socket> connect_race::look_at_rivals() {
    for (auto each = rivals_.begin(); each != rivals_.end();) {
        rival& one = **each;
        const short events = std::exchange(one.wait.ready, short(0));
        if (events == 0) {
            ++each;
            continue;
        }
        if (events == no_room) { // to ask again would be to spin
            note(one.index, error(std::make_error_code(std::errc::not_enough_memory), "connect",
                                  concerning(addresses_[one.index].to_string())));
            each = rivals_.erase(each);
            continue;
        }
        const auto made = is_connected(one.carrier, addresses_[one.index], events);
        if (made && *made)
            return std::move(one.carrier);
        if (made) {
            arm(one);
            ++each;
            continue;
        }
        note(one.index, made.error());
        each = rivals_.erase(each);
    }
    return std::nullopt;
}

std::optional<socket> connect_race::start_next() {
    const auto index = next_++;
    auto begun = start_connecting(owner_.loop(), addresses_[index], options_);
    if (!begun) {
        note(index, begun.error());
        return std::nullopt;
    }
    if (begun->connected)
        return std::move(begun->carrier);
    rivals_.push_back(
        std::unique_ptr<rival>(new rival{entry(owner_), index, std::move(begun->carrier)}));
    arm(*rivals_.back());
    due_ = false;
    if (next_ < addresses_.size())
        core().arm_timer(alarm_, later(core().now(), options_.attempt_delay()));
    return std::nullopt;
}

void connect_race::arm(rival& one) {
    core().arm_poll(one.wait, one.carrier.fd(), POLLOUT);
}

/// A failure makes the next one due at once.
void connect_race::note(std::size_t index, const error& failure) {
    due_ = true;
    if (index == 0) {
        first_failure_ = failure;
        return;
    }
    if (other_failures_.size() < longest_report)
        other_failures_.append(other_failures_.empty() ? "" : "; ")
            .append(failure.subject())
            .append(": ")
            .append(failure.code().message());
    else if (!other_failures_.ends_with("..."))
        other_failures_.append("; ...");
}

error connect_race::failure() const {
    if (other_failures_.empty())
        return *first_failure_;
    auto details = std::make_shared<error_details>(*first_failure_->details());
    details->reason.append(details->reason.empty() ? "" : "; ")
        .append("also tried ")
        .append(other_failures_);
    return {first_failure_->code(), first_failure_->operation(), std::move(details)};
}

} // namespace ringtls::detail
