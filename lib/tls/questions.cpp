// SPDX-License-Identifier: MIT
// OpenSSL's callbacks ask here. The application's functions are called by answer() alone, whose
// frames are the loop's: nothing of the application's runs, or throws, inside OpenSSL.
#include "questions.hpp"

#include "certificate_reader.hpp"
#include "client_hello.hpp"
#include "context.hpp"
#include "pem_loader.hpp"
#include "server_name.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <new>

namespace ringtls {

client_hello_answer client_hello_answer::use(const server_context& context) noexcept {
    client_hello_answer made;
    made.context_ = context.shared();
    return made;
}

client_hello_answer client_hello_answer::refuse(refusal_alert with) noexcept {
    client_hello_answer made;
    made.alert_ = with;
    return made;
}

verdict verdict::refuse(std::string reason) {
    verdict made;
    made.kind_ = kind::refuse;
    made.reason_ = std::move(reason);
    return made;
}

verdict verdict::danger_accept() noexcept {
    verdict made;
    made.kind_ = kind::danger_accept;
    return made;
}

namespace detail {
namespace {

failure without_memory() noexcept {
    return {std::make_error_code(std::errc::not_enough_memory), nullptr};
}

} // namespace

// ---- what is common to all questions ----

task<> questions::answer() {
    auto work = std::move(*work_);
    work_.reset();
    co_await std::move(work);
    if (state_ == state::asked)
        state_ = state::quiet;
}

void questions::fail(failure why) noexcept {
    state_ = state::failed;
    refusal_ = std::move(why);
    if (!refusal_) // an exception may have any code
        refusal_.code = errc::decision_failed;
}

void questions::begin(task<> work) noexcept {
    work_.emplace(std::move(work));
    state_ = state::asked;
}

/// Asks, or fails for want of what it takes to ask. Errors that are left over would be taken for
/// this callback's (SSL_get_error(3)).
template<class Ask>
void questions::pose(Ask ask) noexcept {
    try {
        ask();
    } catch (const error& why) {
        fail({why.code(), why.details()});
    } catch (const std::exception&) {
        fail(without_memory());
    }
    ERR_clear_error();
}

// ---- ClientHello ----

void questions::hear(std::span<const std::byte> message, const context& by) noexcept {
    try {
        if (by.chooses() && asked_.empty())
            hello_.assign(message.begin(), message.end());
        if (by.asks().fingerprint && fingerprint_.empty()) {
            if (const auto hello = read_client_hello(message))
                fingerprint_ = hello->ja4();
        }
    } catch (const std::exception&) {
        if (by.chooses()) // otherwise there is no memory for a fingerprint, and that is all
            fail(without_memory());
    }
}

bool questions::was_asked(const context& one) const noexcept {
    return std::ranges::any_of(asked_, [&](const auto& each) { return each.get() == &one; });
}

int questions::client_hello(const std::shared_ptr<const context>& by, int* alert) noexcept {
    if (state_ == state::quiet && !refusal_ && !was_asked(*by))
        pose([&] { about_hello(by); });
    else if (by->names() && !refusal_ && !choice_) // it serves nobody itself
        pose([&] { refuse(SSL_AD_INTERNAL_ERROR, "server names chosen in a circle"); });
    if (refusal_) {
        *alert = alert_;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (asking())
        return SSL_CLIENT_HELLO_RETRY;
    hello_ = {};
    return SSL_CLIENT_HELLO_SUCCESS;
}

/// One in SSLv2's form cannot be read, for OpenSSL shows no message of it.
void questions::about_hello(const std::shared_ptr<const context>& by) {
    auto hello = read_client_hello(hello_);
    if (!hello)
        return refuse(SSL_AD_PROTOCOL_VERSION, "not a ClientHello of TLS 1.2 or newer");
    asked_.push_back(by);
    asked_name_ = hello->server_name;
    if (by->names())
        look_up(*by->names(), hello->server_name);
    else
        begin(ask_hello(*this, by, *std::move(hello)));
}

bool questions::agrees(std::string_view name) noexcept {
    if (!asked_name_ || *asked_name_ == name)
        return true;
    pose([&] { refuse(SSL_AD_ILLEGAL_PARAMETER, "a second ClientHello names another server"); });
    return false;
}

void questions::forget_hello() noexcept {
    std::vector<std::byte>().swap(hello_);
    asked_.clear();
}

void questions::look_up(const name_map& names, const std::string& name) {
    choice_ = names.find(name);
    if (choice_)
        return;
    if (name.empty())
        refuse(SSL_AD_MISSING_EXTENSION, "the client names no server");
    else // which may be any bytes
        refuse(SSL_AD_UNRECOGNIZED_NAME,
               "no server named " + (is_host_name(name) ? "\"" + name + "\"" : "so"));
}

task<> questions::ask_hello(questions& self, std::shared_ptr<const context> by,
                            ringtls::client_hello hello) {
    const auto answer = co_await by->asks().hello(hello);
    if (answer.alert_)
        self.refuse(static_cast<int>(*answer.alert_), std::string());
    else if (answer.context_ && answer.context_ != by)
        self.choice_ = answer.context_;
}

void questions::refuse(int alert, std::string reason) {
    auto details = std::make_shared<error_details>();
    details->reason = std::move(reason);
    alert_ = alert;
    fail({errc::handshake_refused, std::move(details)});
}

// ---- a server's certificate ----

int questions::server_certificate(const std::shared_ptr<const context>& by,
                                  const std::string& server_name, SSL* ssl, X509_STORE_CTX* store,
                                  std::optional<verification>& found) noexcept {
    if (verdict_)
        return judge(store);
    if (state_ == state::quiet)
        pose([&] { about_server(by, server_name, store, found); });
    if (state_ == state::asked && SSL_set_retry_verify(ssl))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    return 0;
}

/// What OpenSSL finds is kept, for the verdict comes in another call, with another store.
void questions::about_server(const std::shared_ptr<const context>& by,
                             const std::string& server_name, X509_STORE_CTX* store,
                             std::optional<verification>& found) {
    ringtls::server_certificate seen;
    seen.server_name = server_name;
    const auto* const sent = X509_STORE_CTX_get0_untrusted(store);
    for (int i = 0; i < sk_X509_num(sent); ++i)
        seen.chain.push_back(read_certificate(*sk_X509_value(sent, i)));
    found.reset();
    accepted_ = X509_verify_cert(store) == 1;
    found_code_ = X509_STORE_CTX_get_error(store);
    found_depth_ = X509_STORE_CTX_get_error_depth(store);
    pinned_ = by->pins().accept(store);
    if (accepted_ && !pinned_) {
        accepted_ = false;
        found_code_ = X509_V_ERR_APPLICATION_VERIFICATION;
        found_depth_ = 0;
    }
    verified_.reset(X509_STORE_CTX_get1_chain(store));
    if (!accepted_ && found_code_ == X509_V_OK)
        found_code_ = X509_V_ERR_UNSPECIFIED;
    if (!accepted_ && !found) // what is wrong is no certificate
        found = verification{found_code_, found_depth_, std::string()};
    seen.refused = found;
    begin(ask_verdict(*this, by, std::move(seen)));
}

task<> questions::ask_verdict(questions& self, std::shared_ptr<const context> by,
                              ringtls::server_certificate seen) {
    auto given = co_await by->asks().verify(seen);
    if (given.kind_ == verdict::kind::refuse) {
        auto details = std::make_shared<error_details>();
        details->reason = std::move(given.reason_);
        details->verification = seen.refused;
        if (!seen.refused)
            details->verification =
                verification{X509_V_ERR_CERT_REJECTED, 0, seen.chain.front().subject};
        self.refusal_ = {errc::verify_failed, std::move(details)};
    }
    self.verdict_ = std::move(given);
}

/// The verdict is for this certificate: a renegotiation may bring another.
int questions::judge(X509_STORE_CTX* store) noexcept {
    const auto kind = std::exchange(verdict_, std::nullopt)->kind_;
    X509_STORE_CTX_set0_verified_chain(store, verified_.release());
    X509_STORE_CTX_set_error(store, static_cast<int>(found_code_));
    X509_STORE_CTX_set_error_depth(store, found_depth_);
    switch (kind) {
    case verdict::kind::as_found:
        return accepted_ ? 1 : 0;
    case verdict::kind::refuse:
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
        return 0;
    case verdict::kind::danger_accept:
        if (!pinned_)
            refusal_ = {errc::pin_mismatch, nullptr};
        return pinned_ ? 1 : 0;
    }
    return 0;
}

// ---- a certificate of our own ----

int questions::certificate(const std::shared_ptr<const context>& by, const std::string& server_name,
                           SSL* ssl) noexcept {
    if (certificate_decided_)
        return 1;
    if (state_ == state::quiet)
        pose([&] {
            certificate_request request;
            request.server_name = server_name;
            const char* const asked_for = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
            if (SSL_is_server(ssl) == 1 && asked_for)
                request.server_name = asked_for;
            if (SSL_is_server(ssl) == 1 && !asked_name_)
                asked_name_ = request.server_name;
            const auto* const authorities = SSL_get0_peer_CA_list(ssl);
            for (int i = 0; i < sk_X509_NAME_num(authorities); ++i)
                request.authorities.push_back(name_text(sk_X509_NAME_value(authorities, i)));
            begin(ask_certificate(*this, by, std::move(request), ssl));
        });
    return state_ == state::asked ? -1 : 0;
}

task<> questions::ask_certificate(questions& self, std::shared_ptr<const context> by,
                                  certificate_request request, SSL* ssl) {
    const auto chosen = co_await by->asks().certificate(request);
    if (chosen)
        use_identity(ssl, *chosen);
    self.certificate_decided_ = true;
}

} // namespace detail
} // namespace ringtls
