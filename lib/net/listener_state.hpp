// SPDX-License-Identifier: MIT
// What a listener is, at an address that stays: its socket, its file, and what it is short of.
#pragma once

#include "socket_file.hpp"

#include <ringtls/net/listener.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

namespace ringtls::detail {

struct listener_state {
    listener_state(socket from, const listen_options& options)
        : carrier(std::move(from)), on_pressure(options.on_pressure()) {}

    /// The kernel has refused for want of descriptors or memory: nobody asks again for a while.
    void refused(int code);
    /// It has not.
    void relieved() noexcept { pressure.present = false; }

    socket carrier;
    std::optional<socket_file> file; ///< the one that bind() made
    listen_options::pressure_handler on_pressure;
    listener_pressure pressure;
    loop_clock::duration pause{};     ///< while there is pressure
    loop_clock::time_point ask_again; ///< while there is pressure
};

/// Throws error unless this is a stream socket that listens.
void require_listening(int fd, const std::string& subject);

/// Throws error unless these options could bind a listener there now. Listens to nobody meanwhile.
void require_free(event_loop& loop, const address& at, const listen_options& options);

} // namespace ringtls::detail
