// SPDX-License-Identifier: MIT
// Bytes that are nobody else's business.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace [[gnu::visibility("default")]] ringtls {

/// Bytes that are wiped when they go: keys, sessions. Moved, never copied by accident.
class secret_bytes {
  public:
    secret_bytes() noexcept = default;
    /// Zeros.
    explicit secret_bytes(std::size_t size);
    /// A copy of these; the originals stay the caller's to wipe.
    explicit secret_bytes(std::span<const std::byte> from);
    secret_bytes(secret_bytes&& other) noexcept;
    secret_bytes& operator=(secret_bytes&& other) noexcept;
    ~secret_bytes();

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data_.get(), size_}; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_.get(), size_}; }

  private:
    std::unique_ptr<std::byte[]> data_;
    std::size_t size_ = 0;
};

} // namespace ringtls
