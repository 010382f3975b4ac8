// SPDX-License-Identifier: MIT
// Takes a header of the PROXY protocol apart, and refuses all that the specification does.
#include "proxy_protocol.hpp"

#include <ringtls/net/proxy_protocol.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace ringtls {
namespace {

using detail::proxy_family;
using transport = proxy_header::transport;

[[noreturn]] void refuse(std::string reason) {
    auto details = std::make_shared<error_details>();
    details->reason = std::move(reason);
    throw error(errc::bad_proxy_header, "parse_proxy_header", std::move(details));
}

// ---- version 1 ----

/// What comes before the next space, which goes, too.
std::string_view take_word(std::string_view& from) {
    const auto space = from.find(' ');
    if (space == std::string_view::npos)
        refuse("a word is missing");
    const auto word = from.substr(0, space);
    from.remove_prefix(space + 1);
    return word;
}

std::uint16_t port_of(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc() || end != text.data() + text.size() ||
        (text.size() > 1 && text.front() == '0'))
        refuse("not a port");
    return port;
}

/// The family must be this one, and there are no zones (section 2.1).
address address_of(std::string_view text, std::uint16_t port, enum address::family family) {
    if (text.find('%') != std::string_view::npos)
        refuse("not an address");
    try {
        const address made(text, port);
        if (made.family() == family)
            return made;
    } catch (const error&) {
        refuse("not an address");
    }
    refuse("an address of the other family");
}

constexpr const char* no_protocol = "neither TCP4, TCP6 nor UNKNOWN";

/// Whatever stands behind UNKNOWN is to be passed over.
proxy_header read_line(std::string_view line) {
    constexpr std::string_view unknown = "PROXY UNKNOWN";
    if (line == unknown || line.starts_with("PROXY UNKNOWN "))
        return {};
    line.remove_prefix(std::string_view("PROXY ").size());
    const auto protocol = take_word(line);
    if (protocol != "TCP4" && protocol != "TCP6")
        refuse(no_protocol);
    const auto family = protocol == "TCP4" ? address::family::ipv4 : address::family::ipv6;
    const auto source = take_word(line);
    const auto destination = take_word(line);
    const auto source_port = port_of(take_word(line));
    return {address_of(source, source_port, family),
            address_of(destination, port_of(line), family)};
}

/// Whether what has come so far can be the beginning of one.
bool could_be_line(std::string_view begun) noexcept {
    constexpr std::array<std::string_view, 3> beginnings = {"PROXY TCP4 ", "PROXY TCP6 ",
                                                            "PROXY UNKNOWN"};
    return std::ranges::any_of(beginnings, [begun](std::string_view one) {
        return begun.starts_with(one) || one.starts_with(begun);
    });
}

std::optional<parsed_proxy_header> parse_line(std::string_view from) {
    const auto all = from.substr(0, detail::proxy_line_limit);
    const auto end = all.find_first_of("\r\n");
    if (end == std::string_view::npos || (end + 1 == all.size() && all[end] == '\r')) {
        if (all.size() == detail::proxy_line_limit)
            refuse("a line of more than 107 bytes");
        if (!could_be_line(all))
            refuse(no_protocol);
        return std::nullopt;
    }
    if (all.substr(end, 2) != "\r\n")
        refuse("a line that does not end with CR LF");
    return parsed_proxy_header{read_line(all.substr(0, end)), end + 2};
}

// ---- version 2 ----

/// What is left of a header, taken from its beginning.
class block {
  public:
    explicit block(std::span<const std::byte> all) noexcept : left_(all) {}

    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
    std::span<const std::byte> take(std::size_t size) {
        if (size > left_.size())
            refuse("shorter than what it holds");
        const auto taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    std::uint8_t byte() { return std::to_integer<std::uint8_t>(take(1).front()); }
    /// In the network's order.
    std::uint16_t number() {
        const unsigned high = byte();
        return static_cast<std::uint16_t>(high << 8 | byte());
    }

  private:
    std::span<const std::byte> left_;
};

address ipv4_of(std::span<const std::byte> ip, std::uint16_t port) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(port);
    std::memcpy(&raw.sin_addr, ip.data(), sizeof raw.sin_addr);
    return address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
}

address ipv6_of(std::span<const std::byte> ip, std::uint16_t port) {
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(port);
    std::memcpy(&raw.sin6_addr, ip.data(), sizeof raw.sin6_addr);
    return address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
}

/// The zeros behind a path, or an abstract name, are not of it; nothing else is an unnamed socket.
address unix_of(std::span<const std::byte> path) {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    static_assert(sizeof raw.sun_path == detail::proxy_unix_size);
    std::memcpy(raw.sun_path, path.data(), path.size());
    std::size_t size = path.size();
    while (size > 0 && path[size - 1] == std::byte{0})
        --size;
    const bool ends = size > 0 && path.front() != std::byte{0} && size < path.size();
    return address::from(reinterpret_cast<const sockaddr*>(&raw),
                         offsetof(sockaddr_un, sun_path) + size + (ends ? 1 : 0));
}

void read_addresses(block& from, proxy_family family, proxy_header& into) {
    const auto size = detail::proxy_address_size(family);
    const auto source = from.take(size);
    const auto destination = from.take(size);
    switch (family) {
    case proxy_family::unspecified:
        return;
    case proxy_family::ipv4:
    case proxy_family::ipv6: {
        const auto make = family == proxy_family::ipv4 ? ipv4_of : ipv6_of;
        into.source = make(source, from.number());
        into.destination = make(destination, from.number());
        return;
    }
    case proxy_family::unix_path:
        into.source = unix_of(source);
        into.destination = unix_of(destination);
        return;
    }
}

/// Section 2.2.3. whole: the header, in which value is.
void check_crc(std::span<const std::byte> whole, std::span<const std::byte> value) {
    if (value.size() != 4)
        refuse("a checksum that is not of 4 bytes");
    block digits(value);
    const auto high = std::uint32_t(digits.number());
    const auto said = high << 16 | digits.number();
    if (detail::crc32c(whole, static_cast<std::size_t>(value.data() - whole.data())) != said)
        refuse("the checksum is wrong");
}

void read_tlvs(block& from, std::span<const std::byte> whole, proxy_header& into) {
    while (!from.empty()) {
        const auto type = static_cast<proxy_tlv_type>(from.byte());
        const auto value = from.take(from.number());
        if (type == proxy_tlv_type::noop)
            continue;
        if (type == proxy_tlv_type::crc32c && into.find(type))
            refuse("two checksums");
        if (type == proxy_tlv_type::crc32c)
            check_crc(whole, value);
        if (type == proxy_tlv_type::unique_id && value.size() > detail::proxy_unique_id_limit)
            refuse("a unique id of more than 128 bytes");
        into.tlvs.emplace_back(type, value);
    }
}

/// A local connection's header is passed over, its family too.
proxy_header read_block(std::span<const std::byte> whole) {
    block from(whole.subspan(detail::proxy_signature.size()));
    proxy_header made;
    made.says = static_cast<proxy_header::command>(from.byte() & 0x0f);
    const unsigned kinds = from.byte();
    static_cast<void>(from.number());
    if (made.says == proxy_header::command::local)
        return made;
    const unsigned family = kinds >> 4;
    const unsigned kind = kinds & 0x0f;
    if (family > 3 || kind > 2 || (family == 0) != (kind == 0))
        refuse("an unknown family or transport");
    made.kind = static_cast<transport>(kind);
    read_addresses(from, static_cast<proxy_family>(family), made);
    read_tlvs(from, whole, made);
    return made;
}

std::optional<parsed_proxy_header> parse_block(std::span<const std::byte> from, std::size_t limit) {
    constexpr auto signature = detail::proxy_signature.size();
    if (from.size() > signature) {
        const auto command = std::to_integer<unsigned>(from[signature]);
        if (command != 0x20 && command != 0x21)
            refuse("an unknown version or command");
    }
    if (from.size() < detail::proxy_prefix_size)
        return std::nullopt;
    const auto size = detail::proxy_prefix_size + block(from.subspan(14)).number();
    if (size > limit)
        refuse(std::to_string(size) + " bytes, more than " + std::to_string(limit));
    if (from.size() < size)
        return std::nullopt;
    return parsed_proxy_header{read_block(from.first(size)), size};
}

/// Whether the one that is shorter begins the other.
template<class Expected>
bool agree(std::span<const std::byte> from, const Expected& expected) {
    const auto size = std::min<std::size_t>(from.size(), std::size(expected));
    return std::equal(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size),
                      std::begin(expected),
                      [](std::byte a, auto b) { return a == static_cast<std::byte>(b); });
}

} // namespace

std::optional<parsed_proxy_header> parse_proxy_header(std::span<const std::byte> from,
                                                      std::size_t limit) {
    constexpr std::string_view proxy = "PROXY ";
    if (from.empty())
        return std::nullopt;
    if (agree(from, detail::proxy_signature))
        return parse_block(from, limit);
    if (!agree(from, proxy))
        refuse("neither version's first bytes");
    if (from.size() < proxy.size())
        return std::nullopt;
    return parse_line({reinterpret_cast<const char*>(from.data()), from.size()});
}

} // namespace ringtls
