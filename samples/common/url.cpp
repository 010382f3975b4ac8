// SPDX-License-Identifier: MIT
#include "url.hpp"

#include "command_line.hpp"
#include "program.hpp"

#include <algorithm>
#include <cctype>

namespace sample {
namespace {

constexpr std::uint16_t https_port = 443;

[[noreturn]] void refuse(const std::string& why) {
    throw usage_error("URL: " + why);
}

std::string in_quotes(std::string_view text) {
    std::string with_quotes = "'";
    return with_quotes.append(text).append("'");
}

bool is_visible(char byte) {
    return byte > 0x20 && byte < 0x7f;
}

bool consists_of(std::string_view text, std::string_view others) {
    return std::all_of(text.begin(), text.end(), [others](char byte) {
        return std::isalnum(static_cast<unsigned char>(byte)) ||
               others.find(byte) != std::string_view::npos;
    });
}

/// Takes the host off the authority, and leaves ":PORT" or nothing.
std::string take_host(std::string_view& authority) {
    const bool bracketed = authority.starts_with('[');
    const auto end = bracketed ? authority.find(']') : authority.find(':');
    if (bracketed && end == std::string_view::npos)
        refuse("']' is missing in " + in_quotes(authority));
    const auto host = authority.substr(bracketed, end - bracketed);
    if (host.empty())
        refuse("the host is missing");
    if (!consists_of(host, bracketed ? ":." : "-._"))
        refuse(in_quotes(host) + " is no host");
    authority.remove_prefix(std::min(authority.size(), bracketed ? end + 1 : end));
    return std::string(host);
}

std::uint16_t port_of(std::string_view rest) {
    if (rest.empty() || rest == ":")
        return https_port;
    if (!rest.starts_with(':'))
        refuse(in_quotes(rest) + " follows the host");
    try {
        return static_cast<std::uint16_t>(parse_number(rest.substr(1), 1, 65535));
    } catch (const std::invalid_argument& wrong) {
        refuse(std::string("port ") + wrong.what());
    }
}

} // namespace

url parse_url(std::string_view text) {
    constexpr std::string_view scheme = "https://";
    if (!text.starts_with(scheme))
        refuse(in_quotes(text) + " does not begin with https://");
    if (!std::all_of(text.begin(), text.end(), is_visible))
        refuse("spaces, control characters and bytes beyond ASCII have to be percent-encoded");
    text.remove_prefix(scheme.size());
    text = text.substr(0, text.find('#'));

    const auto path = text.find_first_of("/?");
    auto authority = text.substr(0, path);
    if (authority.find('@') != std::string_view::npos)
        refuse("a user name is not supported");
    url parts;
    parts.host = take_host(authority);
    parts.port = port_of(authority);
    parts.authority = host_and_port(parts.host, parts.port);
    if (parts.port == https_port)
        parts.authority.resize(parts.authority.rfind(':'));
    const auto target = text.substr(std::min(path, text.size()));
    if (!target.starts_with('/'))
        parts.target = '/';
    parts.target.append(target);
    return parts;
}

} // namespace sample
