// SPDX-License-Identifier: MIT
// errno as this library's error.
#pragma once

#include <ringtls/base/error.hpp>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace ringtls::detail {

[[nodiscard]] inline std::error_code system_code(int code) noexcept {
    return {code, std::system_category()};
}

/// Details that only name what is concerned.
[[nodiscard]] inline std::shared_ptr<const error_details> concerning(std::string subject) {
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    return details;
}

[[nodiscard]] inline error system_failure(int code, std::string_view operation,
                                          std::string subject = {}) {
    return {system_code(code), operation, concerning(std::move(subject))};
}

} // namespace ringtls::detail
