// SPDX-License-Identifier: MIT
// A directory of its own that goes with the test.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ringtls::test {

class scratch {
  public:
    scratch() {
        auto pattern = (std::filesystem::temp_directory_path() / "ringtls-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        directory_ = pattern;
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }

    [[nodiscard]] std::string path(std::string_view name) const {
        return (directory_ / name).string();
    }
    /// This is all that is in the file.
    void put(std::string_view name, std::string_view content) const {
        std::ofstream file(path(name), std::ios::binary | std::ios::trunc);
        file << content;
        file.close();
        REQUIRE(file.good());
    }

  private:
    std::filesystem::path directory_;
};

} // namespace ringtls::test
