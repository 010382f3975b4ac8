// SPDX-License-Identifier: MIT
// Where a context's keys are logged, if anybody asked for that.
#pragma once

#include <functional>
#include <string_view>

namespace ringtls::detail {

/// Any thread may log.
class key_log {
  public:
    /// to: may be empty. to_environment: to the file that SSLKEYLOGFILE names, too, if it names
    /// one. Throws error with the system's code, and the file as its subject.
    key_log(std::function<void(std::string_view)> to, bool to_environment);
    key_log(const key_log&) = delete;
    key_log& operator=(const key_log&) = delete;
    ~key_log();

    [[nodiscard]] bool wanted() const noexcept { return to_ || fd_ >= 0; }
    void log(std::string_view line) const noexcept;

  private:
    std::function<void(std::string_view)> to_;
    int fd_ = -1;
};

} // namespace ringtls::detail
