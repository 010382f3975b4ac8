// SPDX-License-Identifier: MIT
#include "secret_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace sample {
namespace {

[[noreturn]] void fail(const std::string& path) {
    throw std::system_error(errno, std::system_category(), path);
}

class open_file {
  public:
    open_file(const std::string& path, int flags)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    [[nodiscard]] int fd() const noexcept { return fd_; }

  private:
    int fd_;
};

} // namespace

std::optional<ringtls::secret_bytes> read_secret(const std::string& path) {
    const open_file file(path, O_RDONLY);
    if (file.fd() < 0 && errno == ENOENT)
        return std::nullopt;
    if (file.fd() < 0)
        fail(path);
    ringtls::secret_bytes buffer(65536);
    std::size_t size = 0;
    while (size < buffer.size()) {
        const auto got = ::read(file.fd(), buffer.bytes().data() + size, buffer.size() - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail(path);
        if (got == 0)
            return ringtls::secret_bytes(std::as_const(buffer).bytes().first(size));
        size += static_cast<std::size_t>(got);
    }
    throw std::runtime_error(path + " is larger than 64 KiB");
}

/// Never half written: whoever reads it meanwhile finds the old one.
void write_secret(const std::string& path, std::span<const std::byte> content) {
    const auto beside = path + ".new";
    ::unlink(beside.c_str()); // of a program that was killed; its permissions may be any
    {
        const open_file file(beside, O_WRONLY | O_CREAT | O_EXCL);
        if (file.fd() < 0)
            fail(beside);
        while (!content.empty()) {
            const auto count = ::write(file.fd(), content.data(), content.size());
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                fail(beside);
            content = content.subspan(static_cast<std::size_t>(count));
        }
    }
    if (std::rename(beside.c_str(), path.c_str()) != 0)
        fail(path);
}

} // namespace sample
