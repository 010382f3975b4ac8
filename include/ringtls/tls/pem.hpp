// SPDX-License-Identifier: MIT
// Where a certificate or a key comes from.
#pragma once

#include <string>
#include <string_view>

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

/// A certificate chain, the peer's own first, and its private key: who we are.
struct identity {
    identity(pem chain, pem key) noexcept : chain(std::move(chain)), key(std::move(key)) {}

    pem chain;
    pem key;
};

} // namespace ringtls
