// SPDX-License-Identifier: MIT
// What every fuzz target needs: the input, piece by piece; promises that stop the run when they are
// broken; randomness that is the same for the same input.
#pragma once

#include <ringtls/base/error.hpp>
#include <ringtls/tls/pem.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ringtls::fuzz {

/// Says which promise was broken, and ends the program: libFuzzer keeps the input that did it.
void require(bool kept, std::string_view promise);

/// Promises of every error: a code, texts, an operation. Tells libFuzzer of codes not seen before.
void check_error(const error& failure);

/// RFC 2253's form has no control characters and nothing beyond ASCII.
void check_printable(std::string_view text);

/// An input, taken from its beginning; zeros past its end.
class input {
  public:
    input(const std::uint8_t* data, std::size_t size) noexcept : left_(data, size) {}

    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
    [[nodiscard]] std::uint8_t byte() noexcept {
        return left_.empty() ? std::uint8_t(0) : take(1).front();
    }
    /// Two bytes, the higher one first.
    [[nodiscard]] std::size_t number() noexcept {
        const std::size_t high = byte();
        return high << 8 | byte();
    }
    [[nodiscard]] std::span<const std::uint8_t> take(std::size_t size) noexcept {
        const auto taken = left_.first(std::min(size, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    [[nodiscard]] std::span<const std::uint8_t> rest() noexcept { return take(left_.size()); }
    /// Behind its length in a byte.
    [[nodiscard]] std::span<const std::uint8_t> payload() noexcept { return take(byte()); }

  private:
    std::span<const std::uint8_t> left_;
};

[[nodiscard]] inline std::string_view text(std::span<const std::uint8_t> from) noexcept {
    return {reinterpret_cast<const char*>(from.data()), from.size()};
}

/// Starts OpenSSL's randomness, and its error queue, from the beginning. Before each input.
void reset_openssl();

/// While one lives, OpenSSL draws from the peer's randomness, so that ours is the same with a peer
/// and with a recording of one.
class as_peer {
  public:
    as_peer() noexcept;
    as_peer(const as_peer&) = delete;
    as_peer& operator=(const as_peer&) = delete;
    ~as_peer();
};

/// A key and a certificate for localhost, the same in each run, for recordings depend on them: they
/// follow from a seed, so that they are no secret, and are valid until 2099.
[[nodiscard]] const identity& fixed_identity();

} // namespace ringtls::fuzz
