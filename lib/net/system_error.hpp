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

/// Details that only name what is concerned, and what the code's own text leaves open.
[[nodiscard]] inline std::shared_ptr<const error_details> concerning(std::string subject,
                                                                     std::string reason = {}) {
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    details->reason = std::move(reason);
    return details;
}

[[nodiscard]] inline error system_failure(int code, std::string_view operation,
                                          std::string subject = {}, std::string reason = {}) {
    return {system_code(code), operation, concerning(std::move(subject), std::move(reason))};
}

} // namespace ringtls::detail
