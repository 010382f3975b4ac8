// SPDX-License-Identifier: MIT
#include "http.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace sample {
namespace {

std::string in_quotes(std::string_view text) {
    constexpr std::size_t enough = 60;
    return "'" + printable(text.substr(0, enough)) + (text.size() > enough ? "...'" : "'");
}

bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/// RFC 9110, section 5.6.2.
bool is_token_byte(char byte) {
    return std::isalnum(static_cast<unsigned char>(byte)) ||
           std::string_view("!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
}

bool is_control(char byte) {
    return (static_cast<unsigned char>(byte) < 0x20 && byte != '\t') || byte == 0x7f;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
        return std::tolower(x) == std::tolower(y);
    });
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// The whole text, digits only.
std::uint64_t parse_size(std::string_view text, int base, const char* what) {
    std::uint64_t size = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, failure] = std::from_chars(text.data(), end, size, base);
    if (failure != std::errc() || stopped != end)
        throw http_error(std::string(what) + " is " + in_quotes(text));
    return size;
}

/// A list of equal lengths stands for one of them (RFC 9110, section 8.6).
std::uint64_t parse_content_length(std::string_view list) {
    std::optional<std::uint64_t> length;
    for (auto rest = list;;) {
        const auto comma = rest.find(',');
        const auto one = parse_size(trimmed(rest.substr(0, comma)), 10, "Content-Length");
        if (length && *length != one)
            throw http_error("two lengths of one body: " + in_quotes(list));
        length = one;
        if (comma == std::string_view::npos)
            return *length;
        rest.remove_prefix(comma + 1);
    }
}

} // namespace

std::optional<std::string> http_head::field(std::string_view name) const {
    std::optional<std::string> values;
    for (const auto& field : fields)
        if (same_name(field.name, name))
            values = values ? *values + ", " + field.value : field.value;
    return values;
}

http_head parse_status_line(std::string_view line) {
    constexpr std::string_view version = "HTTP/1.";
    constexpr std::size_t code_at = 9; // after "HTTP/1.x "
    const bool shaped =
        line.starts_with(version) && line.size() >= code_at + 3 && is_digit(line[7]) &&
        line[8] == ' ' && std::all_of(&line[code_at], &line[code_at] + 3, is_digit) &&
        line[code_at] != '0' && (line.size() == code_at + 3 || line[code_at + 3] == ' ');
    if (!shaped || std::any_of(line.begin(), line.end(), is_control))
        throw http_error("no HTTP/1.1 response: " + in_quotes(line));
    http_head head;
    head.status = static_cast<int>(parse_size(line.substr(code_at, 3), 10, "status"));
    head.reason = trimmed(line.substr(code_at + 3));
    return head;
}

http_field parse_field_line(std::string_view line) {
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() ||
        !std::all_of(name.begin(), name.end(), is_token_byte) ||
        std::any_of(line.begin(), line.end(), is_control))
        throw http_error("no HTTP field: " + in_quotes(line));
    http_field field;
    field.name = name;
    field.value = trimmed(line.substr(colon + 1));
    return field;
}

http_body body_of(const http_head& head) {
    if (head.status < 200 || head.status == 204 || head.status == 304)
        return {};
    const auto coding = head.field("Transfer-Encoding");
    const auto length = head.field("Content-Length");
    if (coding && length)
        throw http_error("both Transfer-Encoding and Content-Length");
    if (coding && !same_name(*coding, "chunked"))
        throw http_error("Transfer-Encoding is " + in_quotes(*coding));
    if (coding)
        return {http_framing::chunked, 0};
    if (length)
        return {http_framing::length, parse_content_length(*length)};
    return {http_framing::until_close, 0};
}

std::uint64_t parse_chunk_size(std::string_view line) {
    return parse_size(trimmed(line.substr(0, line.find(';'))), 16, "chunk size");
}

std::string printable(std::string_view text) {
    std::string shown(text);
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return shown;
}

} // namespace sample
