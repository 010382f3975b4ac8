// SPDX-License-Identifier: MIT
// Opens many connections, and closes them.
#include "crowd.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace load {

namespace {

constexpr std::size_t handshakes_at_once = 64;

} // namespace

crowd open_crowd(client& owner, poller& poller) {
    crowd connections;
    std::vector<bool> open(owner.settings().connections);
    connections.reserve(open.size());
    for (std::size_t established = 0; established < open.size();) {
        while (connections.size() < std::min(open.size(), established + handshakes_at_once))
            connections.push_back(std::make_unique<connection>(
                owner, poller, static_cast<std::uint32_t>(connections.size())));
        const auto events = poller.wait(now() + patience);
        if (events.empty())
            throw std::runtime_error("the server does not go on with the handshakes");
        for (const auto& event : events) {
            const auto index = event.data.u32;
            connections[index]->notice(event.events);
            if (!open[index] && connections[index]->establish()) {
                open[index] = true;
                ++established;
            }
        }
    }
    return connections;
}

void close_crowd(crowd& connections, poller& poller) {
    enum class phase : char { writing, reading, closed };
    std::vector phases(connections.size(), phase::writing);
    std::size_t left = connections.size();
    const auto advance = [&](std::size_t index) {
        if (phases[index] == phase::writing && connections[index]->close_writing())
            phases[index] = phase::reading;
        if (phases[index] == phase::reading && connections[index]->ended()) {
            phases[index] = phase::closed;
            connections[index].reset();
            --left;
        }
    };
    for (std::size_t index = 0; index < connections.size(); ++index)
        advance(index);
    while (left > 0) {
        const auto events = poller.wait(now() + patience);
        if (events.empty())
            throw std::runtime_error("the server does not close " + std::to_string(left) +
                                     " connections that are at their end");
        for (const auto& event : events) {
            connections[event.data.u32]->notice(event.events);
            advance(event.data.u32);
        }
    }
    connections.clear();
}

} // namespace load
