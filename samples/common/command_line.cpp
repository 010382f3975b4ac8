// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <ringtls/version.hpp>

#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace sample {
namespace {

std::string in_quotes(std::string_view text) {
    return "'" + std::string(text) + "'";
}

[[noreturn]] void print_and_exit(const std::string& text) {
    const bool printed = std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    std::exit(printed ? 0 : 1);
}

/// The whole text as a number.
template<class Number>
bool read_number(std::string_view text, Number& number) {
    const char* const end = text.data() + text.size();
    const auto [stopped, failure] = std::from_chars(text.data(), end, number);
    return failure == std::errc() && stopped == end;
}

} // namespace

command_line& command_line::flag(std::string name, bool& set) {
    options_.push_back({std::move(name), false, [&set](const std::string&) { set = true; }});
    return *this;
}

command_line& command_line::value(std::string name, std::function<void(const std::string&)> take) {
    options_.push_back({std::move(name), true, std::move(take)});
    return *this;
}

command_line& command_line::value(std::string name, std::string& place) {
    return value(std::move(name), [&place](const std::string& text) { place = text; });
}

std::vector<std::string> command_line::parse(int argc, char** argv,
                                             const std::vector<std::string>& operand_names) const {
    enum : int { help = 1, version, first_option };
    std::vector<option> table{{"help", no_argument, nullptr, help},
                              {"version", no_argument, nullptr, version}};
    for (const auto& entry : options_)
        table.push_back({entry.name.c_str(), entry.takes_value ? required_argument : no_argument,
                         nullptr, first_option + static_cast<int>(&entry - options_.data())});
    table.push_back({});

    for (;;) {
        const int found = getopt_long(argc, argv, ":", table.data(), nullptr);
        if (found == -1)
            break;
        const std::string given = argv[optind - 1];
        switch (found) {
        case help:
            print_and_exit(usage_);
        case version:
            print_and_exit(program_ + " " + std::string(ringtls::version) + "\n");
        case ':':
            throw usage_error(given + " needs a value");
        case '?':
            if (optopt > ' ')
                throw usage_error("unknown option '-" + std::string(1, char(optopt)) + "'");
            throw usage_error(optopt == 0 ? "unknown option " + in_quotes(given)
                                          : in_quotes(given) + " takes no value");
        default:
            accept(options_[static_cast<std::size_t>(found - first_option)], optarg);
        }
    }
    const std::vector<std::string> operands(argv + optind, argv + argc);
    if (operands.size() < operand_names.size())
        throw usage_error(operand_names[operands.size()] + " is missing");
    if (operands.size() > operand_names.size())
        throw usage_error("one argument too many: " + in_quotes(operands[operand_names.size()]));
    for (std::size_t i = 0; i < operands.size(); ++i)
        if (operands[i].empty())
            throw usage_error(operand_names[i] + " is empty");
    return operands;
}

void command_line::accept(const option_entry& option, const char* text) const {
    const std::string value = text ? text : "";
    if (option.takes_value && value.empty())
        throw usage_error("--" + option.name + " needs a value");
    try {
        option.take(value);
    } catch (const std::invalid_argument& wrong) {
        throw usage_error("--" + option.name + ": " + wrong.what());
    }
}

std::uint64_t parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
    std::uint64_t number = 0;
    if (!read_number(text, number) || number < least || number > most)
        throw std::invalid_argument(in_quotes(text) + " is not a number from " +
                                    std::to_string(least) + " to " + std::to_string(most));
    return number;
}

std::chrono::milliseconds parse_seconds(std::string_view text) {
    constexpr double day = 24 * 60 * 60;
    double seconds = 0;
    if (!read_number(text, seconds) || !(seconds >= 0.001 && seconds <= day))
        throw std::invalid_argument(in_quotes(text) + " is not a number of seconds from 0.001 to " +
                                    "86400");
    return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(seconds));
}

std::vector<std::string> parse_protocols(std::string_view text) {
    std::vector<std::string> protocols;
    for (;;) {
        const auto comma = text.find(',');
        const auto name = text.substr(0, comma);
        if (name.empty() || name.size() > 255)
            throw std::invalid_argument("a protocol's name has 1 to 255 bytes, " + in_quotes(name) +
                                        " has " + std::to_string(name.size()));
        protocols.emplace_back(name);
        if (comma == std::string_view::npos)
            return protocols;
        text.remove_prefix(comma + 1);
    }
}

std::uint16_t parse_port_operand(const std::string& text) {
    try {
        return static_cast<std::uint16_t>(parse_number(text, 1, 65535));
    } catch (const std::invalid_argument& wrong) {
        throw usage_error(std::string("PORT: ") + wrong.what());
    }
}

} // namespace sample
