// SPDX-License-Identifier: MIT
#include "proxy_protocol.hpp"

#include <ringtls/net/proxy_protocol.hpp>

#include "system_error.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace ringtls {
namespace detail {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() noexcept {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit)
            value = value >> 1 ^ ((value & 1) != 0 ? 0x82f63b78U : 0);
        table[i] = value;
    }
    return table;
}
constexpr auto table = make_table();

} // namespace

std::uint32_t crc32c(std::span<const std::byte> of, std::size_t without) noexcept {
    std::uint32_t value = 0xffffffffU;
    for (std::size_t i = 0; i < of.size(); ++i) {
        const auto byte = i - without < 4 ? 0 : std::to_integer<std::uint32_t>(of[i]);
        value = value >> 8 ^ table[(value ^ byte) & 0xff];
    }
    return ~value;
}

} // namespace detail

const proxy_tlv* proxy_header::find(proxy_tlv_type type) const noexcept {
    const auto found = std::ranges::find(tlvs, type, &proxy_tlv::type);
    return found == tlvs.end() ? nullptr : &*found;
}

wait_for proxy_header_operation::attempt() {
    for (;;) {
        const auto count = receive();
        if (count > 0) {
            if (is_complete())
                return wait_for::nothing;
        } else if (count == 0) {
            auto details = std::make_shared<error_details>();
            details->reason = "the connection ended in the header";
            fail(errc::truncated, std::move(details));
            return wait_for::nothing;
        } else if (errno == EAGAIN) {
            return wait_for::readable;
        } else if (errno != EINTR) {
            fail(detail::system_code(errno));
            return wait_for::nothing;
        }
    }
}

/// Appends what surely belongs to the header, and returns what recv(2) did. How long a line is, is
/// seen before more of it is taken than the shortest has.
std::ptrdiff_t proxy_header_operation::receive() {
    const auto have = received_.size();
    std::size_t wanted = detail::proxy_line_least - std::min(have, detail::proxy_line_least);
    const bool is_line = have > 0 && received_.front() == std::byte{'P'};
    if (is_line && wanted == 0) {
        std::array<std::byte, detail::proxy_line_limit> seen;
        const auto count = ::recv(fd_, seen.data(), seen.size() - have, MSG_DONTWAIT | MSG_PEEK);
        if (count <= 0)
            return count;
        const auto part = std::span(seen).first(static_cast<std::size_t>(count));
        const auto end = std::ranges::find(part, std::byte{'\n'});
        wanted = std::min<std::size_t>(end - part.begin() + 1, part.size());
    } else if (!is_line && have >= detail::proxy_prefix_size) {
        const auto length = std::to_integer<std::size_t>(received_[14]) << 8 |
                            std::to_integer<std::size_t>(received_[15]);
        wanted = detail::proxy_prefix_size + length - have;
    } else if (!is_line && have > 0) {
        wanted = detail::proxy_prefix_size - have;
    }
    received_.resize(have + wanted);
    const auto count = ::recv(fd_, received_.data() + have, wanted, MSG_DONTWAIT);
    received_.resize(have + (count > 0 ? static_cast<std::size_t>(count) : 0));
    return count;
}

bool proxy_header_operation::is_complete() {
    auto parsed = parse_proxy_header(received_, limit_);
    if (!parsed)
        return false;
    header_ = std::move(parsed->header);
    return true;
}

} // namespace ringtls
