// SPDX-License-Identifier: MIT
#include <ringtls/tls/secret.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

namespace ringtls {

secret_bytes::secret_bytes(std::size_t size)
    : data_(std::make_unique<std::byte[]>(size)), size_(size) {}

secret_bytes::secret_bytes(std::span<const std::byte> from) : secret_bytes(from.size()) {
    std::ranges::copy(from, data_.get());
}

secret_bytes::secret_bytes(secret_bytes&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

secret_bytes& secret_bytes::operator=(secret_bytes&& other) noexcept {
    secret_bytes taken(std::move(other));
    data_.swap(taken.data_);
    std::swap(size_, taken.size_);
    return *this;
}

secret_bytes::~secret_bytes() {
    OPENSSL_cleanse(data_.get(), size_);
}

} // namespace ringtls
