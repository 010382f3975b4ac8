// SPDX-License-Identifier: MIT
#include "address_quota.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

namespace ringtls::detail {
namespace {

constexpr std::size_t network_size = 8;

std::string text_of(const void* bytes, std::size_t size) {
    return {static_cast<const char*>(bytes), size};
}

/// Empty: not limited.
std::string peer_key(const address& of) {
    if (of.family() == address::family::ipv4)
        return text_of(&reinterpret_cast<const sockaddr_in*>(of.raw())->sin_addr, sizeof(in_addr));
    if (of.family() != address::family::ipv6)
        return {};
    const auto& ip = reinterpret_cast<const sockaddr_in6*>(of.raw())->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&ip))
        return text_of(ip.s6_addr + sizeof ip - sizeof(in_addr), sizeof(in_addr));
    return text_of(ip.s6_addr, network_size);
}

} // namespace

std::optional<address_quota::place> address_quota::enter(const address& peer) {
    auto key = peer_key(peer);
    if (key.empty())
        return place(*this, {});
    const std::scoped_lock lock(mutex_);
    auto& count = counts_[key];
    if (count >= most_)
        return std::nullopt;
    ++count;
    return place(*this, std::move(key));
}

void address_quota::leave(const std::string& peer) noexcept {
    if (peer.empty())
        return;
    const std::scoped_lock lock(mutex_);
    const auto found = counts_.find(peer);
    if (--found->second == 0)
        counts_.erase(found);
}

} // namespace ringtls::detail
