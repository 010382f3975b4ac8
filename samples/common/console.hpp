// SPDX-License-Identifier: MIT
// Standard input and output without blocking the loop, and without changing their flags.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <cstddef>
#include <span>
#include <stop_token>

namespace sample {

/// Completes with the bytes read from stdin, 0 at its end. Fails with errc::canceled when the stop
/// is requested, and with std::system_error.
ringtls::task<std::size_t> read_stdin(ringtls::event_loop& loop, std::span<std::byte> into,
                                      std::stop_token stop);

/// Completes when all of it is written to fd, which messages call by this name, a literal. Fails
/// with std::system_error.
ringtls::task<> write_all(ringtls::event_loop& loop, int fd, const char* name,
                          std::span<const std::byte> from);

} // namespace sample
