// SPDX-License-Identifier: MIT
#include "failure.hpp"

#include <openssl/err.h>

#include <array>

namespace ringtls::detail {

error_mark::error_mark() noexcept {
    ERR_set_mark();
}
error_mark::~error_mark() {
    ERR_pop_to_mark();
}

openssl_report take_openssl_errors() {
    openssl_report report;
    const char* data = nullptr;
    int flags = 0;
    while (const auto packed = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
        if (!report.code) {
            report.code = {static_cast<int>(packed), openssl_category()};
            report.reason = report.code.message();
        } else {
            report.chain += '\n';
        }
        std::array<char, 256> text{};
        ERR_error_string_n(packed, text.data(), text.size());
        report.chain += text.data();
        if ((flags & ERR_TXT_STRING) != 0 && data && *data)
            report.chain.append(": ").append(data);
    }
    return report;
}

void throw_openssl_error(std::string_view operation, std::string subject, std::error_code code) {
    auto report = take_openssl_errors();
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    details->chain = std::move(report.chain);
    if (code)
        details->reason = std::move(report.reason);
    else
        code = report.code ? report.code : make_error_code(errc::invalid_setting);
    throw error(code, operation, std::move(details));
}

void refuse_setting(std::string_view setting, std::string_view item, std::string reason) {
    auto details = std::make_shared<error_details>();
    details->subject = item;
    details->reason = std::move(reason);
    throw error(errc::invalid_setting, setting, std::move(details));
}

} // namespace ringtls::detail
