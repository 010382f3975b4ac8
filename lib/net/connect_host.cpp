// SPDX-License-Identifier: MIT
#include <ringtls/net/connect_host.hpp>

#include "connect_race.hpp"
#include "lookup.hpp"
#include "system_error.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace ringtls {
namespace {

using namespace std::chrono_literals;

/// The only family that this source can reach; nothing: it can be either.
std::optional<enum address::family> family_of(const std::optional<address>& source) {
    return source ? std::optional(source->family()) : std::nullopt;
}

} // namespace

connect_host_operation::connect_host_operation(event_loop& loop, std::string_view host,
                                               std::uint16_t port, connect_options options)
    : basic_operation(loop, "resolve"), host_(host), port_(port), options_(std::move(options)) {}

connect_host_operation::connect_host_operation(event_loop& loop, std::vector<address> to,
                                               connect_options options)
    : basic_operation(loop, "connect"), addresses_(std::move(to)), options_(std::move(options)) {}

connect_host_operation::~connect_host_operation() {
    abandon();
}

/// The answer to a look-up is never empty.
wait_for connect_host_operation::attempt() {
    if (options_.attempt_delay() < 10ms || options_.attempt_delay() > 2s)
        return refuse("attempt delay");
    if (!addresses_.empty())
        return race();
    return host_ ? look_up() : refuse("no address to connect to");
}

wait_for connect_host_operation::refuse(const char* reason) {
    name("connect");
    fail(detail::system_code(EINVAL), detail::concerning(host_.value_or(""), reason));
    return wait_for::nothing;
}

wait_for connect_host_operation::look_up() {
    if (!lookup_)
        lookup_ = detail::lookup::begin(
            {*host_, port_, family_of(options_.source())},
            {this, [](void* who) noexcept {
                 static_cast<connect_host_operation*>(who)->schedule_remotely();
             }});
    if (!lookup_->answered())
        return wait_for::notification;
    auto answer = lookup_->take();
    if (!answer) {
        fail(answer.error().code(), answer.error().details());
        return wait_for::nothing;
    }
    addresses_ = std::move(*answer);
    name("connect");
    return race();
}

wait_for connect_host_operation::race() {
    if (!race_) {
        if (const auto only = family_of(options_.source()))
            std::erase_if(addresses_, [&](const auto& each) { return each.family() != *only; });
        if (addresses_.empty())
            return refuse("no address of the source's family");
        auto order = detail::interleaved(addresses_);
        if (order.size() > detail::connect_race::most_addresses)
            order.erase(order.begin() + detail::connect_race::most_addresses, order.end());
        race_ = std::make_unique<detail::connect_race>(*this, std::move(order), options_);
    }
    auto ended = race_->advance();
    if (!ended)
        return wait_for::notification;
    race_.reset();
    if (*ended)
        made_.emplace(std::move(**ended));
    else
        fail(ended->error().code(), ended->error().details());
    return wait_for::nothing;
}

void connect_host_operation::withdraw() noexcept {
    race_.reset();
    if (lookup_)
        lookup_->leave();
}

} // namespace ringtls
