// SPDX-License-Identifier: MIT
// What stands on a program's command line: options, operands, and what is wrong with them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sample {

/// A command line that makes no sense; its text names the argument. The program exits with 2.
class usage_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The long options that a program takes; --help and --version are always among them.
class command_line {
  public:
    /// usage is what --help prints.
    command_line(std::string_view program, std::string_view usage)
        : program_(program), usage_(usage) {}

    /// --name: sets the flag.
    command_line& flag(std::string name, bool& set);
    /// --name VALUE: hands the value over, which is never empty. What take throws as
    /// std::invalid_argument becomes a usage_error that names the option.
    command_line& value(std::string name, std::function<void(const std::string&)> take);
    /// --name VALUE: stores the value.
    command_line& value(std::string name, std::string& place);

    /// Takes the options and returns the operands, exactly as many as there are names for them.
    /// --help and --version end the program. Throws usage_error.
    std::vector<std::string> parse(int argc, char** argv,
                                   const std::vector<std::string>& operand_names) const;

  private:
    struct option_entry {
        std::string name;
        bool takes_value;
        std::function<void(const std::string&)> take;
    };

    void accept(const option_entry& option, const char* text) const;

    std::string program_;
    std::string usage_;
    std::vector<option_entry> options_;
};

/// Values of options and operands. All throw std::invalid_argument with a text that says what was
/// expected.
std::uint64_t parse_number(std::string_view text, std::uint64_t least, std::uint64_t most);
/// "10" or "0.5": more than nothing, at most a day.
std::chrono::milliseconds parse_seconds(std::string_view text);
/// Protocol names of ALPN with commas between them, each 1 to 255 bytes.
std::vector<std::string> parse_protocols(std::string_view text);
/// Parses the operand's text, with its name in the usage_error if that fails.
std::uint16_t parse_port_operand(const std::string& text);

} // namespace sample
