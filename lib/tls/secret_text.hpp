// SPDX-License-Identifier: MIT
// Text that is wiped when it goes.
#pragma once

#include <openssl/crypto.h>

#include <string>

namespace ringtls::detail {

class secret_text {
  public:
    secret_text() = default;
    secret_text(const secret_text&) = delete;
    secret_text& operator=(const secret_text&) = delete;
    ~secret_text() { wipe(text_); }

    /// Takes it over; a short text is copied by that, so what it came from is wiped.
    void assign(std::string&& text) {
        wipe(text_);
        text_ = text;
        wipe(text);
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

  private:
    static void wipe(std::string& text) noexcept { OPENSSL_cleanse(text.data(), text.size()); }

    std::string text_;
};

} // namespace ringtls::detail
