// SPDX-License-Identifier: MIT
// Headers of the PROXY protocol, and what is written of what was read.
#include "support.hpp"

#include <ringtls/net/proxy_protocol.hpp>

#include <optional>

namespace ringtls::fuzz {
namespace {

using parsed = std::optional<parsed_proxy_header>;

parsed parse(std::span<const std::uint8_t> all) {
    return parse_proxy_header(std::as_bytes(all), 1024);
}

/// A path or an abstract name may hold bytes that the rest of the library's text does not.
void check_written(const proxy_header& header) {
    const auto made = header.to_bytes(proxy_header::version::v2);
    const auto again = parse_proxy_header(made);
    require(again && again->size == made.size(), "a header is read as long as it is written");
    require(again->header.says == header.says, "a header's command is written");
    require(again->header.source == header.source, "a header's source is written");
    require(again->header.destination == header.destination, "a header's destination is written");
    require(again->header.tlvs.size() == header.tlvs.size(), "a header's tlvs are written");
    const auto line = header.to_bytes(proxy_header::version::v1);
    const auto in_line = parse_proxy_header(line);
    require(in_line && in_line->size == line.size(), "a line is read as long as it is written");
}

/// What ends with a header's last byte is enough, and what is shorter is not.
void check(std::span<const std::uint8_t> all, const parsed_proxy_header& made) {
    require(made.size <= all.size(), "a header is not longer than what it was read from");
    require(parse(all.first(made.size)).has_value(), "a header is enough for itself");
    require(!parse(all.first(made.size - 1)), "a header that is cut short needs more");
    check_written(made.header);
}

} // namespace
} // namespace ringtls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    const std::span all(data, size);
    fuzz::parsed made;
    try {
        made = fuzz::parse(all);
    } catch (const error& failure) {
        fuzz::check_error(failure);
        fuzz::require(failure.code() == errc::bad_proxy_header, "a bad header is called so");
    }
    if (made)
        fuzz::check(all, *made);
    return 0;
}
