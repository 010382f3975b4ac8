// SPDX-License-Identifier: MIT
// What goes wrong, in one type: the code, where it happened, and what OpenSSL said about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace [[gnu::visibility("default")]] ringtls {

/// The endings that are this library's own. Each compares equal to the std::errc of the same
/// meaning where there is one (timed_out, canceled, busy).
enum class errc {
    truncated = 1,       ///< TCP ended, or the peer's FIN came, without close_notify
    timed_out,           ///< the deadline of within() or until() passed
    canceled,            ///< a stop was requested, or the stream was destroyed meanwhile
    busy,                ///< another operation is in flight in this direction
    verify_failed,       ///< the peer's certificate was not accepted: see error::verification()
    pin_mismatch,        ///< the peer's certificate was accepted, but is none of those pinned
    write_closed,        ///< a write after close_write() or shutdown()
    key_update_refused,  ///< key_update() on a connection that is not TLS 1.3
    key_update_flood,    ///< the peer updates its keys far more often than an honest one
    unsupported_want,    ///< OpenSSL asked for something that only a native callback can give
    invalid_address,     ///< text that is no address
    invalid_name,        ///< a server name that is empty or cannot be one
    invalid_setting,     ///< a setting of a context that OpenSSL refuses
    invalid_pem,         ///< a certificate or key that cannot be read
    key_mismatch,        ///< a private key that does not belong to its certificate
    bad_passphrase,      ///< an encrypted key whose passphrase is missing or wrong
    no_driver,           ///< a driver of the event loop that this build does not have
    wrong_thread,        ///< a loop used from a thread that does not run it
    session_refused,     ///< a session of another server or other settings, or no session
    not_available,       ///< what this connection, or this moment of it, does not have
    early_data_rejected, ///< by the server, so that nobody can say what to send in its place
    ocsp_refused,        ///< no stapled OCSP response says that the certificate is good
    handshake_refused,   ///< a decision of the application refused the peer
    decision_failed,     ///< a decision of the application threw something that has no code
    over_limit,          ///< a limit of the server's was reached, so a connection was refused
    bad_proxy_header,    ///< what came first is no header of the PROXY protocol, or too long a one
};

// Clang takes a free function's visibility from its own declaration alone, not from the namespace.
[[gnu::visibility("default")]] std::error_code make_error_code(errc code) noexcept;

/// Category of errc.
[[gnu::visibility("default")]] const std::error_category& ringtls_category() noexcept;

/// Category of OpenSSL's packed error codes (ERR_get_error(3)), stored as the same 32 bits.
[[gnu::visibility("default")]] const std::error_category& openssl_category() noexcept;

/// Category of getaddrinfo(3)'s EAI_ codes.
[[gnu::visibility("default")]] const std::error_category& resolver_category() noexcept;

/// A TLS alert (RFC 8446, section 6) that ended a connection.
struct alert {
    enum class direction { sent, received };
    direction way = direction::received;
    std::uint8_t description = 0;

    /// OpenSSL's name for it, e.g. "unknown CA".
    [[nodiscard]] std::string_view name() const noexcept;
};

/// Why a certificate was refused: X509_V_ERR_ code, where in the chain (0: the peer's own), whose.
struct verification {
    long code = 0;
    int depth = 0;
    std::string subject;

    /// OpenSSL's text for the code, e.g. "certificate has expired".
    [[nodiscard]] std::string_view reason() const noexcept;
};

/// What is known of a failure besides its code. Immutable once an error carries it.
struct error_details {
    std::string subject; ///< the file, host or setting concerned; may be empty
    std::string reason;  ///< what the code's own text leaves open, in brief; may be empty
    std::string chain;   ///< OpenSSL's whole error chain, one line an entry; may be empty
    std::optional<ringtls::verification> verification;
    std::optional<ringtls::alert> alert;
};

/// The exception of every operation, and the error of result<T>.
///
/// what() is one line for a person: operation, subject, the code's text, the reason in brief.
/// Copies share all of it, and copying does not throw.
class error : public std::system_error {
  public:
    /// operation must outlive the error: a literal, in practice.
    error(std::error_code code, std::string_view operation,
          std::shared_ptr<const error_details> details = nullptr, std::size_t bytes = 0);
    error(const error&) noexcept = default;
    error& operator=(const error&) noexcept = default;
    ~error() override;

    [[nodiscard]] const char* what() const noexcept override { return text_->c_str(); }

    /// The operation that failed, as it is called: "read", "handshake", "connect".
    [[nodiscard]] std::string_view operation() const noexcept { return operation_; }

    /// Bytes of the operation that were done before it failed: accepted by a write, arrived in
    /// the buffer of a read_exactly. 0 for all others.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// The file, host or setting concerned; empty where there is none.
    [[nodiscard]] std::string_view subject() const noexcept;

    /// OpenSSL's error chain as text, deepest cause first; empty where OpenSSL had no part.
    [[nodiscard]] std::string_view chain() const noexcept;

    /// Set when a certificate was refused.
    [[nodiscard]] std::optional<ringtls::verification> verification() const;

    /// The alert sent or received, if one was.
    [[nodiscard]] std::optional<ringtls::alert> alert() const noexcept;

    /// The details themselves, to build another error from; may be null.
    [[nodiscard]] const std::shared_ptr<const error_details>& details() const noexcept {
        return details_;
    }

  private:
    std::string_view operation_;
    std::size_t bytes_;
    std::shared_ptr<const error_details> details_;
    std::shared_ptr<const std::string> text_;
};

} // namespace ringtls

template<>
struct std::is_error_code_enum<ringtls::errc> : std::true_type {};
