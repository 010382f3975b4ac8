// SPDX-License-Identifier: MIT
// The head of an HTTP/1.1 response, and what it says of the body (RFC 9112). No input or output.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sample {

/// A response that is no HTTP, or more of it than a client should take.
class http_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct http_field {
    std::string name; ///< as it came; compares without regard to case
    std::string value;
};

struct http_head {
    int status = 0;
    std::string reason;
    std::vector<http_field> fields;

    /// The values of all fields of this name, with ", " between them; nothing if there is none.
    [[nodiscard]] std::optional<std::string> field(std::string_view name) const;
};

/// What ends a response's body (RFC 9112, section 6.3).
enum class http_framing { no_body, length, chunked, until_close };

struct http_body {
    http_framing framing = http_framing::no_body;
    std::uint64_t length = 0; ///< for framing length
};

/// "HTTP/1.1 200 OK", without the line's end. Throws http_error.
http_head parse_status_line(std::string_view line);
/// "Name: value". Throws http_error.
http_field parse_field_line(std::string_view line);
/// How the body that answers a GET is framed. Throws http_error where the head contradicts itself
/// or names a coding that was not asked for.
http_body body_of(const http_head& head);
/// "1a2b;extension": the chunk's size (RFC 9112, section 7.1). Throws http_error.
std::uint64_t parse_chunk_size(std::string_view line);

/// What a server sent, as a terminal may show it.
std::string printable(std::string_view text);

} // namespace sample
