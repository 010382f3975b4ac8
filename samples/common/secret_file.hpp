// SPDX-License-Identifier: MIT
// Files that hold secrets.
#pragma once

#include <ringtls/tls/secret.hpp>

#include <optional>
#include <span>
#include <string>

namespace sample {

/// All of the file, up to 64 KiB; none if there is no such file. Throws std::system_error, or
/// std::runtime_error if it is larger.
std::optional<ringtls::secret_bytes> read_secret(const std::string& path);

/// Replaces the file, which only its owner may read. Throws std::system_error.
void write_secret(const std::string& path, std::span<const std::byte> content);

} // namespace sample
