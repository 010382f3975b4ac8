// SPDX-License-Identifier: MIT
#include "name_map.hpp"

#include "server_name.hpp"

#include <algorithm>

namespace ringtls::detail {
namespace {

/// Names are ASCII (RFC 6066, section 3), whatever the locale is.
std::string lower_case(std::string_view name) {
    std::string lower(name);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
}

[[noreturn]] void refuse(const std::string& name, const char* reason) {
    auto details = std::make_shared<error_details>();
    details->subject = "\"" + name + "\"";
    details->reason = reason;
    throw error(errc::invalid_setting, "server_names", std::move(details));
}

/// An IP address is never asked for. No top-level domain ends in a digit, all IPv4 addresses do.
bool is_dns_name(const std::string& name) {
    return is_host_name(name) && !(name.back() >= '0' && name.back() <= '9');
}

} // namespace

name_map::name_map(const server_names& names) {
    for (const auto& [name, serves] : names.all()) {
        const bool wild = name.starts_with("*.");
        const auto plain = lower_case(wild ? name.substr(2) : name);
        if (!is_dns_name(plain))
            refuse(name, "not a DNS name");
        if (!(wild ? wildcards_ : exact_).emplace(plain, serves.shared()).second)
            refuse(name, "given twice");
    }
    if (names.unknown())
        unknown_ = names.unknown()->shared();
    if (names.unnamed())
        unnamed_ = names.unnamed()->shared();
    if (exact_.empty() && wildcards_.empty() && !unknown_ && !unnamed_)
        refuse("", "nobody would be served");
}

std::shared_ptr<const context> name_map::find(std::string_view name) const {
    if (name.empty())
        return unnamed_;
    const auto wanted = lower_case(name);
    if (const auto found = exact_.find(wanted); found != exact_.end())
        return found->second;
    if (const auto dot = wanted.find('.'); dot != std::string::npos && dot != 0) {
        if (const auto found = wildcards_.find(std::string_view(wanted).substr(dot + 1));
            found != wildcards_.end())
            return found->second;
    }
    return unknown_;
}

} // namespace ringtls::detail
