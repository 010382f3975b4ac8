// SPDX-License-Identifier: MIT
// Addresses from text and from the kernel's form.
#include "support.hpp"

#include <ringtls/net/address.hpp>

#include <sys/socket.h>

#include <optional>
#include <vector>

namespace ringtls::fuzz {
namespace {

address from_kernel(std::span<const std::uint8_t> raw) {
    const std::vector<std::uint8_t> aligned(raw.begin(), raw.end());
    return address::from(reinterpret_cast<const sockaddr*>(aligned.data()), aligned.size());
}

address made_from(input all) {
    const unsigned how = all.byte();
    switch (how % 5) {
    case 0:
        return address::parse(text(all.rest()));
    case 1: {
        const auto port = static_cast<std::uint16_t>(all.number());
        return {text(all.rest()), port};
    }
    case 2:
        return address::unix_path(text(all.rest()));
    case 4:
        return address::unix_abstract(text(all.rest()));
    default:
        return from_kernel(all.rest());
    }
}

/// Text says all that matters of it; what the kernel wrote may have more in it, or no path.
void check(const address& made) {
    const bool by_text = made.family() != address::family::unix_path || !made.host().empty();
    if (!by_text)
        return;
    const auto again = address::parse(made.to_string());
    require(again.family() == made.family(), "an address's text gives its family");
    require(again.host() == made.host(), "an address's text gives its host");
    require(again.port() == made.port(), "an address's text gives its port");
    require(again == address::parse(again.to_string()), "an address's text gives the address");
}

} // namespace
} // namespace ringtls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    std::optional<address> made;
    try {
        made = fuzz::made_from({data, size});
    } catch (const error& failure) {
        fuzz::check_error(failure);
    }
    if (made)
        fuzz::check(*made);
    return 0;
}
