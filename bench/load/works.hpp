// SPDX-License-Identifier: MIT
// The kinds of load; each prints its JSON when it has measured, and then closes its connections.
#pragma once

#include "options.hpp"

namespace load {

void run_echo(const options& options);
void run_bulk(const options& options);
void run_handshakes(const options& options);
void run_http(const options& options);
void run_idle(const options& options);

} // namespace load
