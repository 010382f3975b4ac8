// SPDX-License-Identifier: MIT
#include <ringtls/tls/pem.hpp>

#include <openssl/crypto.h>

#include <utility>

namespace ringtls {

pem pem::file(std::string path) {
    return {false, std::move(path)};
}
pem pem::text(std::string content) {
    return {true, std::move(content)};
}

pem::pem(bool in_memory, std::string content) noexcept
    : in_memory_(in_memory), content_(std::move(content)) {}

/// By swap, for a moved-from string may keep a copy of a short text.
pem::pem(pem&& other) noexcept : in_memory_(other.in_memory_) {
    content_.swap(other.content_);
}

pem& pem::operator=(pem other) noexcept {
    std::swap(in_memory_, other.in_memory_);
    content_.swap(other.content_);
    return *this;
}

pem::~pem() {
    if (in_memory_)
        OPENSSL_cleanse(content_.data(), content_.size());
}

std::string_view pem::name() const noexcept {
    return in_memory_ ? std::string_view("PEM in memory") : std::string_view(content_);
}

} // namespace ringtls
