// SPDX-License-Identifier: MIT
// A file that appears under its name only when it is whole.
#pragma once

#include <string>

namespace sample {

/// Writes go to a file beside the named one, which takes its place with commit(); without that it
/// is removed. What exists and is no regular file (/dev/null, a pipe) is written to as it is.
class output_file {
  public:
    /// Throws std::system_error with the path.
    explicit output_file(const std::string& path);
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;
    ~output_file();

    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// Has the contents reach the disk, and gives the file its name. Throws std::system_error.
    void commit();

  private:
    std::string path_;
    std::string partial_; ///< the name meanwhile; empty: it has no other, or no longer
    int fd_;
};

} // namespace sample
