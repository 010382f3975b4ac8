// SPDX-License-Identifier: MIT
#include <ringtls/net/connect.hpp>

#include "connecting.hpp"

namespace ringtls {

connect_operation::connect_operation(event_loop& loop, const address& to, connect_options options)
    : basic_operation(loop, "connect"), to_(to), options_(std::move(options)) {}

wait_for connect_operation::attempt() {
    if (!socket_)
        return start();
    const auto made = detail::is_connected(*socket_, to_, ready_events());
    if (!made)
        return refused(made.error());
    return *made ? wait_for::nothing : wait_for::writable;
}

wait_for connect_operation::start() {
    auto begun = detail::start_connecting(loop(), to_, options_);
    if (!begun)
        return refused(begun.error());
    socket_.emplace(std::move(begun->carrier));
    return begun->connected ? wait_for::nothing : wait_for::writable;
}

wait_for connect_operation::refused(const error& why) {
    fail(why.code(), why.details());
    socket_.reset();
    return wait_for::nothing;
}

} // namespace ringtls
