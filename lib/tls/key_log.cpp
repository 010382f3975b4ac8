// SPDX-License-Identifier: MIT
#include "key_log.hpp"

#include "failure.hpp"

#include <ringtls/base/error.hpp>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace ringtls::detail {

key_log::key_log(std::function<void(std::string_view)> to, bool to_environment)
    : to_(std::move(to)) {
    const char* const path = to_environment ? ::secure_getenv("SSLKEYLOGFILE") : nullptr;
    if (!path || !*path)
        return;
    fd_ = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ >= 0)
        return;
    auto details = std::make_shared<error_details>();
    details->subject = path;
    throw error({errno, std::system_category()}, "SSLKEYLOGFILE", std::move(details));
}

key_log::~key_log() {
    if (fd_ >= 0)
        ::close(fd_);
}

/// One write a line, for other threads and processes append to the same file. What cannot be logged
/// is no reason to fail a connection.
void key_log::log(std::string_view line) const noexcept {
    try {
        const error_mark here;
        if (to_)
            to_(line);
        if (fd_ < 0)
            return;
        std::string whole;
        whole.reserve(line.size() + 1);
        whole.append(line).append(1, '\n');
        while (::write(fd_, whole.data(), whole.size()) < 0 && errno == EINTR) {
        }
        OPENSSL_cleanse(whole.data(), whole.size());
    } catch (...) { // nothing may pass through C
    }
}

} // namespace ringtls::detail
