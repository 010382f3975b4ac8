// SPDX-License-Identifier: MIT
#include "output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace sample {
namespace {

[[noreturn]] void fail(const std::string& path) {
    throw std::system_error(errno, std::system_category(), path);
}

} // namespace

output_file::output_file(const std::string& path) : path_(path) {
    namespace fs = std::filesystem;
    int flags = O_WRONLY | O_CLOEXEC;
    if (!fs::exists(path_) || fs::is_regular_file(path_)) {
        // Through symbolic links, so that the link is not what gets replaced.
        path_ = fs::weakly_canonical(path_).string();
        partial_ = path_ + "." + std::to_string(::getpid()) + ".part";
        flags |= O_CREAT | O_EXCL;
    }
    fd_ = ::open(partial_.empty() ? path_.c_str() : partial_.c_str(), flags, 0666);
    if (fd_ < 0)
        fail(path);
}

output_file::~output_file() {
    ::close(fd_);
    if (!partial_.empty())
        ::unlink(partial_.c_str());
}

void output_file::commit() {
    if (partial_.empty())
        return;
    if (::fsync(fd_) != 0)
        fail(partial_);
    if (std::rename(partial_.c_str(), path_.c_str()) != 0)
        fail(path_);
    partial_.clear();
}

} // namespace sample
