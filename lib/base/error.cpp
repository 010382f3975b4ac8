// SPDX-License-Identifier: MIT
// The categories' texts, and the one line that an error says of itself.
#include <ringtls/base/error.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <netdb.h>

namespace ringtls {
namespace {

std::string text_of(errc code) {
    switch (code) {
    case errc::truncated:
        return "truncated";
    case errc::timed_out:
        return "timed out";
    case errc::canceled:
        return "canceled";
    case errc::busy:
        return "another operation is in flight in this direction";
    case errc::verify_failed:
        return "certificate verify failed";
    case errc::pin_mismatch:
        return "certificate is not pinned";
    case errc::write_closed:
        return "written to after close_notify was sent";
    case errc::key_update_refused:
        return "key update needs TLS 1.3";
    case errc::key_update_flood:
        return "too many key updates";
    case errc::unsupported_want:
        return "OpenSSL asked for a callback's answer that nobody will give";
    case errc::invalid_address:
        return "not an address";
    case errc::invalid_name:
        return "not a server name";
    case errc::invalid_setting:
        return "setting refused";
    case errc::invalid_pem:
        return "cannot read PEM";
    case errc::key_mismatch:
        return "private key does not match the certificate";
    case errc::bad_passphrase:
        return "passphrase missing or wrong";
    case errc::no_driver:
        return "no such driver for the event loop";
    case errc::wrong_thread:
        return "event loop used from a thread that does not run it";
    case errc::session_refused:
        return "session refused";
    case errc::not_available:
        return "not available on this connection";
    case errc::early_data_rejected:
        return "early data rejected";
    case errc::ocsp_refused:
        return "no good OCSP response";
    case errc::handshake_refused:
        return "handshake refused";
    case errc::decision_failed:
        return "decision failed";
    case errc::over_limit:
        return "over the limit";
    case errc::bad_proxy_header:
        return "bad PROXY header";
    }
    return "unknown error";
}

class ringtls_errors final : public std::error_category {
    const char* name() const noexcept override { return "ringtls"; }
    std::string message(int code) const override { return text_of(static_cast<errc>(code)); }
    std::error_condition default_error_condition(int code) const noexcept override {
        if (code == static_cast<int>(errc::timed_out))
            return std::errc::timed_out;
        if (code == static_cast<int>(errc::canceled))
            return std::errc::operation_canceled;
        if (code == static_cast<int>(errc::busy))
            return std::errc::device_or_resource_busy;
        return {code, *this};
    }
};

class openssl_errors final : public std::error_category {
    const char* name() const noexcept override { return "openssl"; }
    std::string message(int code) const override {
        const auto packed = static_cast<unsigned long>(static_cast<unsigned int>(code));
        if (ERR_SYSTEM_ERROR(packed))
            return std::system_category().message(ERR_GET_REASON(packed));
        if (const char* reason = ERR_reason_error_string(packed))
            return reason;
        char text[64] = {};
        ERR_error_string_n(packed, text, sizeof text);
        return text;
    }
};

class resolver_errors final : public std::error_category {
    const char* name() const noexcept override { return "resolver"; }
    std::string message(int code) const override { return gai_strerror(code); }
};

/// "handshake: localhost: certificate verify failed: self-signed certificate at depth 0 (CN=x)"
std::string line_of(std::error_code code, std::string_view operation, const error_details* more) {
    std::string line(operation);
    const auto append = [&line](std::string_view part) {
        if (!part.empty())
            line.append(line.empty() ? "" : ": ").append(part);
    };
    if (more)
        append(more->subject);
    append(code.message());
    if (more)
        append(more->reason);
    return line;
}

} // namespace

std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), ringtls_category()};
}

const std::error_category& ringtls_category() noexcept {
    static const ringtls_errors category;
    return category;
}

const std::error_category& openssl_category() noexcept {
    static const openssl_errors category;
    return category;
}

const std::error_category& resolver_category() noexcept {
    static const resolver_errors category;
    return category;
}

std::string_view alert::name() const noexcept {
    return SSL_alert_desc_string_long(description);
}

std::string_view verification::reason() const noexcept {
    return X509_verify_cert_error_string(code);
}

error::error(std::error_code code, std::string_view operation,
             std::shared_ptr<const error_details> details, std::size_t bytes)
    : std::system_error(code),
      operation_(operation),
      bytes_(bytes),
      details_(std::move(details)),
      text_(std::make_shared<const std::string>(line_of(code, operation, details_.get()))) {}

error::~error() = default;

std::string_view error::subject() const noexcept {
    return details_ ? std::string_view(details_->subject) : std::string_view();
}

std::string_view error::chain() const noexcept {
    return details_ ? std::string_view(details_->chain) : std::string_view();
}

std::optional<verification> error::verification() const {
    return details_ ? details_->verification : std::nullopt;
}

std::optional<alert> error::alert() const noexcept {
    return details_ ? details_->alert : std::nullopt;
}

} // namespace ringtls
