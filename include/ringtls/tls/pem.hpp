// SPDX-License-Identifier: MIT
// Where a certificate or a key comes from.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace [[gnu::visibility("default")]] ringtls {

/// PEM text (RFC 7468) in a file or in memory. Nothing is read before a context is made of it.
/// Text in memory is wiped when the object goes.
class pem {
  public:
    [[nodiscard]] static pem file(std::string path);
    [[nodiscard]] static pem text(std::string content);

    pem(const pem&) = default;
    pem(pem&& other) noexcept;
    pem& operator=(pem other) noexcept;
    ~pem();

    /// The path, or "PEM in memory"; for messages.
    [[nodiscard]] std::string_view name() const noexcept;
    [[nodiscard]] bool in_memory() const noexcept { return in_memory_; }
    /// The path, or the text itself.
    [[nodiscard]] const std::string& content() const noexcept { return content_; }

  private:
    pem(bool in_memory, std::string content) noexcept;

    bool in_memory_;
    std::string content_;
};

/// Answers with the passphrase of what this names: a file, or "PEM in memory". What it throws comes
/// out of the call that asked.
using passphrase_callback = std::function<std::string(std::string_view name)>;

/// A certificate chain, the peer's own first, and its private key: who we are. A key that is
/// encrypted (PKCS#8, RFC 5958, or OpenSSL's older form) has its passphrase asked for each time
/// that a context is made; OpenSSL never asks at the terminal.
struct identity {
    identity(pem chain, pem key, passphrase_callback passphrase = nullptr) noexcept
        : chain(std::move(chain)), key(std::move(key)), passphrase(std::move(passphrase)) {}

    pem chain;
    pem key;
    passphrase_callback passphrase;
};

} // namespace ringtls
