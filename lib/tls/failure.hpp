// SPDX-License-Identifier: MIT
// A failure before it becomes an error: cheap to keep, to share and to hand on.
#pragma once

#include <ringtls/base/error.hpp>

#include <memory>
#include <string>
#include <system_error>

namespace ringtls::detail {

struct failure {
    std::error_code code;
    std::shared_ptr<const error_details> details;

    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

/// What this thread's OpenSSL error queue tells, which is empty afterwards.
struct openssl_report {
    std::error_code code; ///< of the deepest entry; none if the queue was empty
    std::string chain;    ///< every entry, one line each, deepest first
    std::string reason;   ///< the deepest entry's reason
};

[[nodiscard]] openssl_report take_openssl_errors();

/// Around what the application does inside of a call of OpenSSL's: what it leaves in the error
/// queue would be taken for the failure of that call (SSL_get_error(3)).
class error_mark {
  public:
    error_mark() noexcept;
    error_mark(const error_mark&) = delete;
    error_mark& operator=(const error_mark&) = delete;
    ~error_mark();
};

/// Throws error with this code, or OpenSSL's if it is empty, OpenSSL's reason and chain, and the
/// thing concerned.
[[noreturn]] void throw_openssl_error(std::string_view operation, std::string subject,
                                      std::error_code code = {});

/// Throws error with errc::invalid_setting: this item of this setting is wrong, and why.
[[noreturn]] void refuse_setting(std::string_view setting, std::string_view item,
                                 std::string reason);

/// Throws unless OpenSSL answered with success (1, or a pointer).
template<class Answer>
Answer check_openssl(Answer answer, std::string_view operation, const std::string& subject = {},
                     std::error_code code = {}) {
    if (!(answer > Answer(0)))
        throw_openssl_error(operation, subject, code);
    return answer;
}

} // namespace ringtls::detail
