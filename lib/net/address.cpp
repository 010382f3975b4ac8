// SPDX-License-Identifier: MIT
#include <ringtls/net/address.hpp>

#include <ringtls/base/error.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

namespace ringtls {
namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr char abstract_mark = '@';
constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

static_assert(sizeof(sockaddr_storage) <= 128);

[[noreturn]] void refuse(std::string_view text) {
    auto details = std::make_shared<error_details>();
    details->subject = "\"" + std::string(text) + "\"";
    throw error(errc::invalid_address, "address", std::move(details));
}

/// The storage as one of the sockaddr types, copied: no aliasing, no alignment.
template<class Sockaddr>
Sockaddr view(const std::array<std::byte, 128>& storage) noexcept {
    Sockaddr copy{};
    std::memcpy(&copy, storage.data(), sizeof copy);
    return copy;
}

std::uint16_t parse_port(std::string_view text, std::string_view whole) {
    std::uint16_t port = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc() || end != text.data() + text.size() || text.empty())
        refuse(whole);
    return port;
}

/// An interface by its name or its number (RFC 4007, section 11.2); 0: neither.
std::uint32_t interface_of(const std::string& zone) {
    if (const auto index = if_nametoindex(zone.c_str()); index != 0)
        return index;
    std::uint32_t number = 0;
    const char* const end = zone.data() + zone.size();
    const auto [last, failure] = std::from_chars(zone.data(), end, number);
    return failure == std::errc() && last == end ? number : 0;
}

/// A path's, with the zero that ends it if there is room; of any other, as it was given.
std::size_t unix_size(const sockaddr* raw, std::size_t given) noexcept {
    // The kernel counts the end of a path that leaves no room for it (unix(7), bugs).
    const auto all = std::min(given, sizeof(sockaddr_un));
    const auto* const path = reinterpret_cast<const char*>(raw) + path_offset;
    if (all <= path_offset || *path == '\0')
        return all;
    return std::min(path_offset + ::strnlen(path, all - path_offset) + 1, sizeof(sockaddr_un));
}

} // namespace

address::address(std::string_view ip, std::uint16_t port) {
    const std::string text(ip);
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    const auto percent = text.find('%');
    if (text.size() != std::strlen(text.c_str()))
        refuse(ip);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(storage_.data(), &v4, sizeof v4);
        size_ = sizeof v4;
        return;
    }
    if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6.sin6_addr) != 1)
        refuse(ip);
    if (percent != std::string::npos) {
        v6.sin6_scope_id = interface_of(text.substr(percent + 1));
        if (v6.sin6_scope_id == 0)
            refuse(ip);
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(storage_.data(), &v6, sizeof v6);
    size_ = sizeof v6;
}

address address::parse(std::string_view text) {
    if (text.starts_with(unix_prefix)) {
        const auto rest = text.substr(unix_prefix.size());
        return rest.starts_with(abstract_mark) ? unix_abstract(rest.substr(1)) : unix_path(rest);
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos)
        refuse(text);
    auto host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed)
        host = host.substr(1, host.size() - 2);
    if (bracketed != (host.find(':') != std::string_view::npos))
        refuse(text);
    return {host, parse_port(text.substr(colon + 1), text)};
}

/// A path that begins like an abstract name is kept without the "./" that tells it from one, so
/// that it may be as long as any other.
address address::unix_path(std::string_view path) {
    sockaddr_un raw{};
    const auto kept = path.starts_with("./@") ? path.substr(2) : path;
    if (kept.empty() || kept.size() > sizeof raw.sun_path ||
        kept.find('\0') != std::string_view::npos)
        refuse(std::string(unix_prefix).append(path));
    raw.sun_family = AF_UNIX;
    std::copy(kept.begin(), kept.end(), raw.sun_path);
    address made;
    made.size_ = std::min(path_offset + kept.size() + 1, sizeof raw);
    std::memcpy(made.storage_.data(), &raw, made.size_);
    return made;
}

address address::unix_abstract(std::string_view name) {
    sockaddr_un raw{};
    if (name.size() >= sizeof raw.sun_path)
        refuse(std::string(unix_prefix).append(1, abstract_mark).append(name));
    raw.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), raw.sun_path + 1);
    address made;
    made.size_ = path_offset + 1 + name.size();
    std::memcpy(made.storage_.data(), &raw, made.size_);
    return made;
}

address address::from(const sockaddr* raw, std::size_t size) {
    address made;
    const int kind = size >= sizeof(sa_family_t) ? raw->sa_family : AF_UNSPEC;
    const bool whole = (kind == AF_INET && size >= sizeof(sockaddr_in)) ||
                       (kind == AF_INET6 && size >= sizeof(sockaddr_in6)) || kind == AF_UNIX;
    if (!whole || size > made.storage_.size())
        refuse("address family " + std::to_string(kind));
    if (kind == AF_INET) { // and nothing of its padding
        sockaddr_in given{};
        std::memcpy(&given, raw, sizeof given);
        sockaddr_in kept{};
        kept.sin_family = AF_INET;
        kept.sin_port = given.sin_port;
        kept.sin_addr = given.sin_addr;
        made.size_ = sizeof kept;
        std::memcpy(made.storage_.data(), &kept, made.size_);
        return made;
    }
    made.size_ = kind == AF_INET6 ? sizeof(sockaddr_in6) : unix_size(raw, size);
    std::memcpy(made.storage_.data(), raw, std::min(made.size_, size));
    return made;
}

enum address::family address::family() const noexcept {
    switch (view<::sockaddr>(storage_).sa_family) {
    case AF_INET:
        return family::ipv4;
    case AF_INET6:
        return family::ipv6;
    default:
        return family::unix_path;
    }
}

bool address::is_abstract() const noexcept {
    return family() == family::unix_path && size_ > path_offset &&
           storage_[path_offset] == std::byte(0);
}

std::uint16_t address::port() const noexcept {
    switch (family()) {
    case family::ipv4:
        return ntohs(view<sockaddr_in>(storage_).sin_port);
    case family::ipv6:
        return ntohs(view<sockaddr_in6>(storage_).sin6_port);
    case family::unix_path:
        return 0;
    }
    return 0;
}

std::string address::host() const {
    if (family() == family::unix_path) {
        const auto raw = view<sockaddr_un>(storage_);
        if (is_abstract())
            return std::string(1, abstract_mark).append(raw.sun_path + 1, size_ - path_offset - 1);
        const std::string path(raw.sun_path, strnlen(raw.sun_path, sizeof raw.sun_path));
        return path.starts_with(abstract_mark) ? "./" + path : path;
    }
    char text[NI_MAXHOST] = {};
    const int result = getnameinfo(raw(), static_cast<socklen_t>(size_), text, sizeof text, nullptr,
                                   0, NI_NUMERICHOST);
    return result == 0 ? text : "?";
}

std::string address::to_string() const {
    switch (family()) {
    case family::ipv4:
        return host() + ":" + std::to_string(port());
    case family::ipv6:
        return std::string("[").append(host()).append("]:").append(std::to_string(port()));
    case family::unix_path:
        return std::string(unix_prefix) + host();
    }
    return {};
}

const sockaddr* address::raw() const noexcept {
    return reinterpret_cast<const sockaddr*>(storage_.data());
}

bool address::operator==(const address& other) const noexcept {
    return size_ == other.size_ &&
           std::equal(storage_.begin(), storage_.begin() + static_cast<std::ptrdiff_t>(size_),
                      other.storage_.begin());
}

} // namespace ringtls
