// SPDX-License-Identifier: MIT
// What OpenSSL asks of the application during a handshake, and what it answers.
//
//   libssl -- callback --> questions: not asked yet? keeps the question, answers "later"
//      |                      |
//      +--> step::want_decision --> connection: a decision, run by the loop
//                             |                     |
//      callback again  <-- the answer <-- the application's task
#pragma once

#include <ringtls/tls/decisions.hpp>

#include "failure.hpp"
#include "openssl_handles.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ringtls::detail {

class context;
class name_map;

/// What a context's connections ask.
struct decisions {
    client_hello_decision hello;
    server_certificate_decision verify;
    certificate_decision certificate;
    bool fingerprint = false;

    [[nodiscard]] bool any() const noexcept {
        return hello || verify || certificate || fingerprint;
    }
};

class questions {
  public:
    // ---- called by OpenSSL's callbacks; by: the connection's context, which is kept ----

    /// A ClientHello's message, before its callback.
    void hear(std::span<const std::byte> message, const context& by) noexcept;
    /// SSL_CLIENT_HELLO_SUCCESS, _RETRY or _ERROR.
    int client_hello(const std::shared_ptr<const context>& by, int* alert) noexcept;
    /// found: what the verify callback noted, looked at after the chain was verified.
    int server_certificate(const std::shared_ptr<const context>& by, const std::string& server_name,
                           SSL* ssl, X509_STORE_CTX* store,
                           std::optional<verification>& found) noexcept;
    /// As SSL_CTX_set_cert_cb(3) says.
    int certificate(const std::shared_ptr<const context>& by, const std::string& server_name,
                    SSL* ssl) noexcept;

    // ---- the connection's side ----

    /// OpenSSL waits for an answer that there is, or will be.
    [[nodiscard]] bool asking() const noexcept { return open() || choice_; }
    /// OpenSSL waits for an answer that there is not yet.
    [[nodiscard]] bool open() const noexcept { return state_ == state::asked; }
    /// Runs the application's task for the open question, and notes its answer.
    [[nodiscard]] task<> answer();
    /// There is no answer but this.
    void fail(failure why) noexcept;
    /// A ClientHello has chosen a context.
    [[nodiscard]] bool chose() const noexcept { return chose_; }
    /// The context that a ClientHello chose, until it is taken.
    [[nodiscard]] const std::shared_ptr<const context>& choice() const noexcept { return choice_; }
    [[nodiscard]] std::shared_ptr<const context> take_choice() noexcept {
        chose_ = true;
        return std::exchange(choice_, nullptr);
    }
    /// The name that the client asked for, before a choice.
    [[nodiscard]] const std::string& asked_name() const noexcept { return *asked_name_; }
    /// Whether this is the name that was asked about, if one was; the ClientHello is refused if
    /// not. Another one, after a HelloRetryRequest or in a renegotiation, may not be for another
    /// server.
    [[nodiscard]] bool agrees(std::string_view name) noexcept;
    /// No context that could ask about it is left.
    void forget_hello() noexcept;
    /// Why the handshake was, or is to be, refused.
    [[nodiscard]] const failure& refusal() const noexcept { return refusal_; }
    /// The client's, if its context wants it.
    [[nodiscard]] const std::string& fingerprint() const noexcept { return fingerprint_; }

  private:
    /// quiet -> asked -> quiet again with the answer, or failed, for good.
    enum class state : std::uint8_t { quiet, asked, failed };
    static task<> ask_hello(questions& self, std::shared_ptr<const context> by,
                            ringtls::client_hello hello);
    static task<> ask_verdict(questions& self, std::shared_ptr<const context> by,
                              ringtls::server_certificate seen);
    static task<> ask_certificate(questions& self, std::shared_ptr<const context> by,
                                  certificate_request request, SSL* ssl);
    void begin(task<> work) noexcept;
    void about_hello(const std::shared_ptr<const context>& by);
    void look_up(const name_map& names, const std::string& name);
    void about_server(const std::shared_ptr<const context>& by, const std::string& server_name,
                      X509_STORE_CTX* store, std::optional<verification>& found);
    void refuse(int alert, std::string reason);
    [[nodiscard]] bool was_asked(const context& one) const noexcept;
    int judge(X509_STORE_CTX* store) noexcept;
    template<class Ask>
    void pose(Ask ask) noexcept;

    state state_ = state::quiet;
    bool certificate_decided_ = false;
    int alert_ = static_cast<int>(refusal_alert::internal_error);
    std::optional<task<>> work_;
    failure refusal_;

    std::vector<std::byte> hello_; ///< the first ClientHello, until it is decided
    std::vector<std::shared_ptr<const context>> asked_;
    std::shared_ptr<const context> choice_;
    bool chose_ = false;
    std::optional<std::string> asked_name_;
    std::string fingerprint_;

    std::optional<verdict> verdict_;
    chain_handle verified_; ///< the chain that OpenSSL built, and what else it found
    long found_code_ = X509_V_OK;
    int found_depth_ = 0;
    bool accepted_ = false;
    bool pinned_ = false; ///< or there are no pins
};

} // namespace ringtls::detail
