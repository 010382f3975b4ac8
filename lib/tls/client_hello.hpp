// SPDX-License-Identifier: MIT
// Reads a ClientHello.
#pragma once

#include <ringtls/tls/client_hello.hpp>

#include <optional>
#include <span>

namespace ringtls::detail {

/// From the whole handshake message; none if it is no ClientHello, or its framing is broken.
[[nodiscard]] std::optional<client_hello> read_client_hello(std::span<const std::byte> message);

} // namespace ringtls::detail
