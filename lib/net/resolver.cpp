// SPDX-License-Identifier: MIT
#include <ringtls/net/resolver.hpp>

#include "lookup.hpp"

namespace ringtls {

resolve_operation::resolve_operation(event_loop& loop, std::string_view host, std::uint16_t port,
                                     std::optional<enum address::family> only)
    : basic_operation(loop, "resolve"), host_(host), port_(port), only_(only) {}

resolve_operation::~resolve_operation() {
    abandon();
}

wait_for resolve_operation::attempt() {
    if (!lookup_)
        lookup_ = detail::lookup::begin(
            {host_, port_, only_}, {this, [](void* who) noexcept {
                                        static_cast<resolve_operation*>(who)->schedule_remotely();
                                    }});
    if (!lookup_->answered())
        return wait_for::notification;
    auto answer = lookup_->take();
    if (answer)
        addresses_ = std::move(*answer);
    else
        fail(answer.error().code(), answer.error().details());
    return wait_for::nothing;
}

void resolve_operation::withdraw() noexcept {
    if (lookup_)
        lookup_->leave();
}

} // namespace ringtls
