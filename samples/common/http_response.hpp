// SPDX-License-Identifier: MIT
// One HTTP/1.1 response, taken apart as it arrives. No input or output.
#pragma once

#include "http.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sample {

/// Give it what arrives until it is complete, or the peer closes. Interim responses (1xx) are
/// passed over; what follows the response is not looked at.
class http_response {
  public:
    /// Returns the body's bytes among those that arrived, moved together at their front. Throws
    /// http_error.
    std::span<std::byte> take(std::span<std::byte> arrived);
    /// The peer has closed, cleanly. Throws http_error if that cuts the response short.
    void close() const;

    /// The final head is there.
    [[nodiscard]] bool has_head() const noexcept { return expected_ > part::field; }
    [[nodiscard]] const http_head& head() const noexcept { return head_; }
    [[nodiscard]] const http_body& body() const noexcept { return body_; }
    [[nodiscard]] bool complete() const noexcept { return expected_ == part::nothing; }

  private:
    /// status_line -> field -> status_line after an interim head, or one of
    ///   data -> nothing, data_until_close, nothing,
    ///   chunk_size -> chunk_data -> chunk_end -> chunk_size ... -> trailer -> nothing.
    enum class part : std::uint8_t {
        status_line,
        field,
        data,
        data_until_close,
        chunk_size,
        chunk_data,
        chunk_end,
        trailer,
        nothing,
    };

    [[nodiscard]] bool expects_data() const noexcept;
    /// How many of these bytes are data.
    std::size_t take_data(std::size_t available);
    /// How many of these bytes belong to the line that they go on with.
    std::size_t take_line(std::string_view text);
    void end_line(const std::string& line);
    void end_head();

    part expected_ = part::status_line;
    http_head head_;
    http_body body_;
    std::uint64_t left_ = 0; ///< of data or chunk_data
    std::string line_;       ///< its beginning, where the rest has not arrived
    std::size_t line_bytes_ = 0;
    std::size_t head_bytes_ = 0; ///< of all heads and trailers
};

} // namespace sample
