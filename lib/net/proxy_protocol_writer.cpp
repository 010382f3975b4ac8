// SPDX-License-Identifier: MIT
#include "proxy_protocol.hpp"

#include <ringtls/net/proxy_protocol.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace ringtls {
namespace {

using detail::proxy_family;
using bytes = std::vector<std::byte>;

[[noreturn]] void refuse(std::errc code, std::string reason) {
    auto details = std::make_shared<error_details>();
    details->reason = std::move(reason);
    throw error(std::make_error_code(code), "proxy_header", std::move(details));
}

void append(bytes& to, std::span<const std::byte> part) {
    to.insert(to.end(), part.begin(), part.end());
}
void append_number(bytes& to, std::size_t number) {
    to.push_back(static_cast<std::byte>(number >> 8));
    to.push_back(static_cast<std::byte>(number));
}

/// Both ends' family; unspecified where nothing is told of them.
proxy_family family_of(const proxy_header& header) {
    if (header.says == proxy_header::command::local || (!header.source && !header.destination))
        return proxy_family::unspecified;
    if (!header.source || !header.destination ||
        header.source->family() != header.destination->family())
        refuse(std::errc::invalid_argument, "two addresses of one family are needed");
    if (header.kind == proxy_header::transport::unspecified)
        refuse(std::errc::invalid_argument, "addresses of no transport");
    switch (header.source->family()) {
    case address::family::ipv4:
        return proxy_family::ipv4;
    case address::family::ipv6:
        return proxy_family::ipv6;
    case address::family::unix_path:
        return proxy_family::unix_path;
    }
    return proxy_family::unspecified;
}

/// An IPv6 address's zone means nothing elsewhere.
std::string without_zone(const address& of) {
    const auto host = of.host();
    return host.substr(0, host.find('%'));
}

bytes line_of(const proxy_header& header) {
    const auto family = family_of(header);
    std::string line = "PROXY UNKNOWN\r\n";
    const bool told = family == proxy_family::ipv4 || family == proxy_family::ipv6;
    if (told && header.kind == proxy_header::transport::stream) {
        line = family == proxy_family::ipv4 ? "PROXY TCP4 " : "PROXY TCP6 ";
        line += without_zone(*header.source) + " " + without_zone(*header.destination) + " " +
                std::to_string(header.source->port()) + " " +
                std::to_string(header.destination->port()) + "\r\n";
    }
    bytes made;
    append(made, std::as_bytes(std::span(line)));
    return made;
}

/// As it lies in the kernel's form.
void append_host(bytes& to, const address& of) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    sockaddr_un path{};
    switch (of.family()) {
    case address::family::ipv4:
        std::memcpy(&v4, of.raw(), sizeof v4);
        append(to, std::as_bytes(std::span(&v4.sin_addr, 1)));
        return;
    case address::family::ipv6:
        std::memcpy(&v6, of.raw(), sizeof v6);
        append(to, std::as_bytes(std::span(&v6.sin6_addr, 1)));
        return;
    case address::family::unix_path:
        std::memcpy(&path, of.raw(), of.raw_size());
        append(to, std::as_bytes(std::span(path.sun_path)));
        return;
    }
}

/// Where the value of a checksum has to be put in; 0: there is none.
std::size_t append_tlvs(bytes& to, const proxy_header& header) {
    std::size_t checksum = 0;
    for (const auto& each : header.tlvs) {
        const bool is_checksum = each.type == proxy_tlv_type::crc32c;
        const auto size = is_checksum ? 4 : each.value.size();
        if (size > 0xffff)
            refuse(std::errc::message_size, "a tlv of " + std::to_string(size) + " bytes");
        if (each.type == proxy_tlv_type::unique_id && size > detail::proxy_unique_id_limit)
            refuse(std::errc::message_size, "a unique_id of " + std::to_string(size) + " bytes");
        if (is_checksum && checksum != 0)
            refuse(std::errc::invalid_argument, "two checksums");
        to.push_back(static_cast<std::byte>(each.type));
        append_number(to, size);
        if (is_checksum)
            checksum = to.size();
        append(to, is_checksum ? bytes(4) : each.value);
    }
    return checksum;
}

void append_addresses(bytes& to, const proxy_header& header, proxy_family family) {
    if (family == proxy_family::unspecified)
        return;
    append_host(to, *header.source);
    append_host(to, *header.destination);
    if (family == proxy_family::unix_path)
        return;
    append_number(to, header.source->port());
    append_number(to, header.destination->port());
}

bytes block_of(const proxy_header& header) {
    const auto family = family_of(header);
    const bool told = family != proxy_family::unspecified;
    const bool local = header.says == proxy_header::command::local;
    bytes made;
    append(made, std::as_bytes(std::span(detail::proxy_signature)));
    made.push_back(local ? std::byte{0x20} : std::byte{0x21});
    made.push_back(static_cast<std::byte>(static_cast<unsigned>(family) << 4 |
                                          (told ? static_cast<unsigned>(header.kind) : 0)));
    append_number(made, 0);
    append_addresses(made, header, family);
    const auto checksum = local ? 0 : append_tlvs(made, header);
    const auto length = made.size() - detail::proxy_prefix_size;
    if (length > 0xffff)
        refuse(std::errc::message_size, std::to_string(made.size()) + " bytes");
    made[14] = static_cast<std::byte>(length >> 8);
    made[15] = static_cast<std::byte>(length);
    if (checksum == 0)
        return made;
    const auto value = detail::crc32c(made, checksum);
    for (std::size_t i = 0; i < 4; ++i)
        made[checksum + i] = static_cast<std::byte>(value >> (24 - 8 * i));
    return made;
}

} // namespace

bytes proxy_header::to_bytes(version as) const {
    return as == version::v1 ? line_of(*this) : block_of(*this);
}

} // namespace ringtls
