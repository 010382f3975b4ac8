// SPDX-License-Identifier: MIT
// What an SMTP client has to understand and to write (RFC 5321). No input or output.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sample {

/// A server that does not speak SMTP, or says more than a client should listen to.
class smtp_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A reply (section 4.2), of one line or several.
struct smtp_reply {
    int code = 0;
    std::vector<std::string> lines; ///< what stands behind the code, at least one

    /// Whether an EHLO's reply has a line with this keyword, in whatever case.
    [[nodiscard]] bool offers(std::string_view keyword) const;
};

/// Replies, out of bytes as they come.
class smtp_replies {
  public:
    /// Throws smtp_error beyond 64 KiB that nobody took.
    void add(std::span<const std::byte> bytes);
    /// The next whole reply, if there is one. Throws smtp_error for what is none, for a line of
    /// more than 2048 bytes (section 4.5.3.1.5 asks for 512), or a reply of more than 128 lines.
    [[nodiscard]] std::optional<smtp_reply> take();
    /// Whether there is more than was taken.
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

  private:
    std::string text_;
    smtp_reply begun_;
};

/// As a mailbox stands in MAIL and RCPT: throws std::invalid_argument if it could end the command
/// or begin another argument.
std::string smtp_mailbox(std::string_view text);
/// As a domain or an address literal stands in EHLO; the same for it.
std::string smtp_domain(std::string_view text);

/// A message as it follows DATA (section 4.5.2): lines end with CR LF, a dot at their beginning is
/// doubled, and one on a line of its own ends it all.
std::string smtp_data(std::string_view message);

} // namespace sample
