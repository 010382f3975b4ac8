// SPDX-License-Identifier: MIT
// Early data: bytes that somebody else may deliver again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace [[gnu::visibility("default")]] ringtls {

/// Bytes that do no harm if they arrive twice: a client's word when it gives them to
/// stream::write(), a server's warning when it gets them from stream::read_early().
///
/// Early data (RFC 8446, sections 2.3 and 8) has no protection against replay of its own: whoever
/// records it can send it again, to another server of the same keys at least. And it has no forward
/// secrecy. So: a lookup, not an order. Borrows the bytes.
class replayable {
  public:
    explicit replayable(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
    explicit replayable(std::string_view text) noexcept : bytes_(std::as_bytes(std::span(text))) {}

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

  private:
    std::span<const std::byte> bytes_;
};

/// What became of a connection's early data, known when its handshake is over.
enum class early_data_status : std::uint8_t { none, rejected, accepted };

} // namespace ringtls
