// SPDX-License-Identifier: MIT
#include "http_response.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sample {
namespace {

constexpr std::size_t most_head_bytes = 65536;
constexpr std::size_t most_chunk_line_bytes = 1024;

} // namespace

std::span<std::byte> http_response::take(std::span<std::byte> arrived) {
    std::size_t kept = 0;
    for (auto rest = arrived; !rest.empty() && !complete();) {
        std::size_t taken = 0;
        if (expects_data()) {
            taken = take_data(rest.size());
            std::memmove(arrived.data() + kept, rest.data(), taken);
            kept += taken;
        } else {
            taken = take_line({reinterpret_cast<const char*>(rest.data()), rest.size()});
        }
        rest = rest.subspan(taken);
    }
    return arrived.first(kept);
}

void http_response::close() const {
    if (expected_ == part::data || expected_ == part::chunk_data)
        throw http_error("the server closed before the end of the body: " + std::to_string(left_) +
                         " bytes at least are missing");
    if (expected_ != part::data_until_close && expected_ != part::nothing)
        throw http_error("the server closed before the end of the response");
}

bool http_response::expects_data() const noexcept {
    return expected_ == part::data || expected_ == part::data_until_close ||
           expected_ == part::chunk_data;
}

std::size_t http_response::take_data(std::size_t available) {
    if (expected_ == part::data_until_close)
        return available;
    const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, available));
    left_ -= taken;
    if (left_ == 0)
        expected_ = expected_ == part::data ? part::nothing : part::chunk_end;
    return taken;
}

/// A line ends with CR LF, or LF alone (RFC 9112, section 2.2).
std::size_t http_response::take_line(std::string_view text) {
    const auto end = text.find('\n');
    const auto taken = std::min(end, text.size() - 1) + 1;
    const bool of_chunk = expected_ == part::chunk_size || expected_ == part::chunk_end;
    line_bytes_ += taken;
    head_bytes_ += of_chunk ? 0 : taken;
    if (head_bytes_ > most_head_bytes || (of_chunk && line_bytes_ > most_chunk_line_bytes))
        throw http_error("the response's header is longer than a client should take");
    line_.append(text.substr(0, end));
    if (end == std::string_view::npos)
        return taken;
    if (line_.ends_with('\r'))
        line_.pop_back();
    line_bytes_ = 0;
    end_line(std::exchange(line_, {}));
    return taken;
}

void http_response::end_line(const std::string& line) {
    switch (expected_) {
    case part::status_line:
        head_ = parse_status_line(line);
        expected_ = part::field;
        return;
    case part::field:
        if (line.empty())
            end_head();
        else
            head_.fields.push_back(parse_field_line(line));
        return;
    case part::chunk_size:
        left_ = parse_chunk_size(line);
        expected_ = left_ == 0 ? part::trailer : part::chunk_data;
        return;
    case part::chunk_end:
        if (!line.empty())
            throw http_error("a chunk is longer than its size");
        expected_ = part::chunk_size;
        return;
    case part::trailer:
        if (line.empty())
            expected_ = part::nothing;
        return;
    case part::data:
    case part::data_until_close:
    case part::chunk_data:
    case part::nothing:
        return;
    }
}

void http_response::end_head() {
    if (head_.status == 101)
        throw http_error("the server switches to a protocol that nobody asked for");
    if (head_.status < 200) {
        expected_ = part::status_line;
        return;
    }
    body_ = body_of(head_);
    left_ = body_.length;
    switch (body_.framing) {
    case http_framing::no_body:
        expected_ = part::nothing;
        return;
    case http_framing::length:
        expected_ = left_ == 0 ? part::nothing : part::data;
        return;
    case http_framing::chunked:
        expected_ = part::chunk_size;
        return;
    case http_framing::until_close:
        expected_ = part::data_until_close;
        return;
    }
}

} // namespace sample
