// SPDX-License-Identifier: MIT
// Writes one flat or nested JSON object; the names and texts need no escapes.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace load {

class json_object {
  public:
    json_object& add(std::string_view name, std::string_view text) {
        return put(name, '"' + std::string(text) + '"');
    }

    json_object& add(std::string_view name, std::integral auto value) {
        return put(name, std::to_string(value));
    }

    json_object& add(std::string_view name, double value) {
        std::array<char, 32> text{};
        const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                       std::chars_format::general, 9)
                             .ptr;
        return put(name, {text.data(), end});
    }

    json_object& add(std::string_view name, const json_object& value) {
        return put(name, value.text());
    }

    template<class Value>
    json_object& add(std::string_view name, const std::optional<Value>& value) {
        return value ? add(name, *value) : put(name, "null");
    }

    [[nodiscard]] std::string text() const { return '{' + members_ + '}'; }

  private:
    json_object& put(std::string_view name, std::string_view value) {
        if (!members_.empty())
            members_ += ", ";
        members_.append("\"").append(name).append("\": ").append(value);
        return *this;
    }

    std::string members_;
};

} // namespace load
