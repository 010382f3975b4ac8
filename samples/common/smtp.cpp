// SPDX-License-Identifier: MIT
#include "smtp.hpp"

#include "http.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace sample {
namespace {

constexpr std::size_t buffer_bound = 65536;
constexpr std::size_t line_bound = 2048;
constexpr std::size_t lines_bound = 128;

/// What stands before and behind the code and its separator; a line may be the code alone.
struct reply_line {
    int code;
    bool last;
    std::string_view text;
};

reply_line parse(std::string_view line) {
    int code = 0;
    const auto digits = line.substr(0, 3);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), code);
    const char separator = line.size() > 3 ? line[3] : ' ';
    if (failure != std::errc() || end != digits.data() + 3 || code < 200 || code > 599 ||
        (separator != ' ' && separator != '-'))
        throw smtp_error("not an SMTP reply: " + printable(line.substr(0, 80)));
    return {code, separator == ' ', line.substr(std::min<std::size_t>(line.size(), 4))};
}

bool in_mailbox(char byte) {
    return static_cast<unsigned char>(byte) > ' ' && byte != '<' && byte != '>' && byte != 0x7f;
}

} // namespace

bool smtp_reply::offers(std::string_view keyword) const {
    return std::ranges::any_of(lines, [keyword](const std::string& line) {
        const auto word = line.substr(0, line.find(' '));
        return word.size() == keyword.size() &&
               strncasecmp(word.data(), keyword.data(), word.size()) == 0;
    });
}

void smtp_replies::add(std::span<const std::byte> bytes) {
    if (text_.size() + bytes.size() > buffer_bound)
        throw smtp_error("the server says more than it was asked");
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<smtp_reply> smtp_replies::take() {
    for (;;) {
        const auto end = text_.find("\r\n");
        if (std::min(end, text_.size()) > line_bound)
            throw smtp_error("a line of more than 2048 bytes");
        if (end == std::string::npos)
            return std::nullopt;
        const std::string line = text_.substr(0, end);
        text_.erase(0, end + 2);
        const auto parsed = parse(line);
        if (begun_.code != 0 && parsed.code != begun_.code)
            throw smtp_error("a reply with two codes");
        if (begun_.lines.size() == lines_bound)
            throw smtp_error("a reply of more than 128 lines");
        begun_.code = parsed.code;
        begun_.lines.emplace_back(parsed.text);
        if (parsed.last)
            return std::exchange(begun_, {});
    }
}

std::string smtp_mailbox(std::string_view text) {
    if (text.empty() || text.size() > 254 || !std::ranges::all_of(text, in_mailbox))
        throw std::invalid_argument("'" + printable(text) + "' is not a mailbox");
    return std::string(text);
}

std::string smtp_domain(std::string_view text) {
    if (text.empty() || text.size() > 255 || !std::ranges::all_of(text, in_mailbox))
        throw std::invalid_argument("'" + printable(text) + "' is not a host's name");
    return std::string(text);
}

std::string smtp_data(std::string_view message) {
    std::string data;
    while (!message.empty()) {
        const auto end = message.find('\n');
        auto line = message.substr(0, end);
        message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (line.find('\r') != std::string_view::npos)
            throw std::invalid_argument("a message has a CR within a line");
        if (line.starts_with('.'))
            data += '.';
        data.append(line).append("\r\n");
    }
    return data + ".\r\n";
}

} // namespace sample
