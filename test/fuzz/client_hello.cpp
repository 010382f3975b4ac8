// SPDX-License-Identifier: MIT
// A client's first message, which anybody may send.
#include "support.hpp"

#include <tls/client_hello.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    const auto hello = detail::read_client_hello(std::as_bytes(std::span(data, size)));
    if (!hello)
        return 0;
    std::size_t said = hello->session_id.size() + 2 * hello->ciphers.size();
    for (const auto& each : hello->extensions)
        said += 4 + each.data.size();
    fuzz::require(said <= size, "a ClientHello says no more than was sent");
    fuzz::require(hello->server_name.size() <= size, "nor does its server name");
    std::size_t protocols = 0;
    for (const auto& each : hello->alpn)
        protocols += 1 + each.size();
    fuzz::require(protocols <= size, "nor do its protocols");
    const auto ja4 = hello->ja4();
    fuzz::require(ja4.size() == 36 && ja4[10] == '_' && ja4[23] == '_', "JA4 has its form");
    fuzz::require(std::ranges::all_of(ja4, [](unsigned char c) { return c > ' ' && c < 0x7f; }),
                  "JA4 can be printed");
    return 0;
}
