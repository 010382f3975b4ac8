// SPDX-License-Identifier: MIT
#include <ringtls/tls/byte_stream.hpp>

#include <ringtls/base/error.hpp>

#include <utility>

namespace ringtls {

byte_stream::~byte_stream() = default;

address byte_stream::peer_address() const {
    throw error(errc::not_available, "peer_address");
}

tls_byte_stream::tls_byte_stream(stream&& below) noexcept
    : byte_stream(below.loop()), own_(std::move(below)), below_(&*own_) {}

tls_byte_stream::tls_byte_stream(stream& below) noexcept
    : byte_stream(below.loop()), below_(&below) {}

tls_byte_stream::~tls_byte_stream() = default;

task<std::size_t> tls_byte_stream::read(std::span<std::byte> into) {
    const auto count = co_await below_->read(into);
    co_return count;
}

task<> tls_byte_stream::write(std::span<const std::byte> from) {
    co_await below_->write(from);
}

address tls_byte_stream::peer_address() const {
    return below_->peer_address();
}

} // namespace ringtls
