// SPDX-License-Identifier: MIT
// The two steps of a connection: started, and looked at when its socket says that there is news.
#pragma once

#include <ringtls/base/result.hpp>
#include <ringtls/net/connect_options.hpp>
#include <ringtls/net/socket.hpp>

namespace ringtls::detail {

struct started_connection {
    socket carrier;
    bool connected; ///< already; otherwise its socket will be writable
};

/// Opens a socket, sets its options, and starts to connect it.
result<started_connection> start_connecting(event_loop& loop, const address& to,
                                            const connect_options& options);

/// Whether it is connected; if it is not, it is still under way. events: poll(2)'s answer.
result<bool> is_connected(const socket& carrier, const address& to, short events);

} // namespace ringtls::detail
