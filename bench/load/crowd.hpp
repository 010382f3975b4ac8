// SPDX-License-Identifier: MIT
// Opens many connections, and closes them.
#pragma once

#include "connection.hpp"

#include <memory>
#include <vector>

namespace load {

/// Nothing is expected to take so long; a server that stops to answer ends the run after it.
constexpr std::uint64_t patience = 60'000'000'000;

/// The index of a connection is what its events carry.
using crowd = std::vector<std::unique_ptr<connection>>;

/// Opens as many as the options say, and does their handshakes, at most 64 at once.
crowd open_crowd(client& owner, poller& poller);

/// Tells the server that we are through on each, waits until it has closed each, and closes them.
void close_crowd(crowd& connections, poller& poller);

} // namespace load
