// SPDX-License-Identifier: MIT
// What an application may decide in the middle of a handshake, by coroutines of its own.
#pragma once

#include <ringtls/base/error.hpp>
#include <ringtls/coro/task.hpp>
#include <ringtls/tls/client_hello.hpp>
#include <ringtls/tls/connection_info.hpp>
#include <ringtls/tls/pem.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ringtls::detail {
class context;
class questions;
} // namespace ringtls::detail

namespace [[gnu::visibility("default")]] ringtls {

class server_context;

// A decision is a function of the settings that returns a task. While the task runs, that handshake
// is suspended, and everything else on the loop goes on.
//
// Start: by the loop, from its top level, never inside OpenSSL; at most once a handshake for each
// decision, also where a HelloRetryRequest brings a second ClientHello and where two operations
// share the handshake. A resumed session asks for no certificate and verifies none.
// Thread rule: called, and its task run, on the loop's thread of the connection. A context that
// several threads share calls the same function on all of them.
// Ownership: the connection owns the task, and keeps the context, and with it the function and what
// it captured, until the task has ended. What the function is given lives as long.
// Cancelled or timed out: ends the operation that performs the handshake, not the decision. The
// next handshake() waits for it to end, or finds its answer. A frame destroyed while it waits is a
// cancel nobody hears of, here too. A peer that leaves meanwhile is noticed afterwards: give the
// handshake, or the decision, a deadline.
// Destroyed stream: destroys the task where it is suspended. So a decision must not destroy its own
// stream, nor await an operation on it, which would wait for the decision.
// Throw: ends the handshake, for good, with the code and details of a ringtls::error, the code of a
// std::system_error, std::errc::not_enough_memory, or else errc::decision_failed and the
// exception's text. The peer is sent the alert internal_error.
// Renegotiation (TLS 1.2): keeps what was decided; only on_server_certificate() is asked again.

/// Alerts that a server may refuse a client with (RFC 8446, section 6.2).
enum class refusal_alert : std::uint8_t {
    handshake_failure = 40,
    access_denied = 49,
    insufficient_security = 71,
    internal_error = 80,
    unrecognized_name = 112,
    no_application_protocol = 120,
};

/// What a server answers to a ClientHello.
class client_hello_answer {
  public:
    /// Goes on with the context that asked.
    [[nodiscard]] static client_hello_answer proceed() noexcept { return client_hello_answer(); }
    /// Goes on with another one, all settings of which take effect, as if the stream had been made
    /// with it; sessions are resumed under the name that they were made for. If it has a decision
    /// for ClientHellos itself, that one is asked next, unless it was before.
    [[nodiscard]] static client_hello_answer use(const server_context& context) noexcept;
    /// Ends the handshake with errc::handshake_refused.
    [[nodiscard]] static client_hello_answer refuse(refusal_alert with) noexcept;

  private:
    friend detail::questions;
    client_hello_answer() = default;

    std::shared_ptr<const detail::context> context_;
    std::optional<refusal_alert> alert_;
};

using client_hello_decision = std::function<task<client_hello_answer>(const client_hello&)>;

/// The certificate that a server presented, and what OpenSSL found.
struct server_certificate {
    server_certificate() = default;

    std::string server_name;        ///< that the stream was given
    std::vector<certificate> chain; ///< as it was sent, the server's own first
    /// OpenSSL's first objection, or that it is none of those pinned; none: it is accepted. What
    /// OpenSSL had not come to by then, signatures and the name among it, was not looked at.
    std::optional<verification> refused;
};

/// What a client makes of a server's certificate. Without a name for it, a refusal by OpenSSL
/// cannot be overruled.
class verdict {
  public:
    /// OpenSSL's own: if it refused, errc::verify_failed with its reason; errc::pin_mismatch.
    [[nodiscard]] static verdict as_found() noexcept { return verdict(); }
    /// Ends the handshake with errc::verify_failed and this reason, whatever OpenSSL found.
    [[nodiscard]] static verdict refuse(std::string reason);
    /// Accepts it, whatever OpenSSL found or did not look at: only pins still count.
    /// connection_info::verify_code tells what OpenSSL found.
    [[nodiscard]] static verdict danger_accept() noexcept;

  private:
    friend detail::questions;
    enum class kind : std::uint8_t { as_found, refuse, danger_accept };
    verdict() = default;

    kind kind_ = kind::as_found;
    std::string reason_;
};

using server_certificate_decision = std::function<task<verdict>(const server_certificate&)>;

/// Whose certificate is needed, and for whom.
struct certificate_request {
    certificate_request() = default;

    std::string server_name; ///< that the client asked for, or a client's stream was given
    std::vector<std::string> authorities; ///< those that the peer accepts, if it tells (RFC 2253)
};

/// The identity to present, or none: what the context has. It is loaded on the loop's thread, so
/// that PEM in memory is the better kind.
using certificate_decision =
    std::function<task<std::optional<identity>>(const certificate_request&)>;

} // namespace ringtls
