// SPDX-License-Identifier: MIT
// The parser takes what any stranger sends: it looks before it reads, and skips what it cannot
// read.
#include "client_hello.hpp"

#include "failure.hpp"

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace ringtls {
namespace detail {
namespace {

using bytes_view = std::span<const std::byte>;

/// Takes from the front. What it cannot take it answers with nothing, and from then on it is bad.
class reader {
  public:
    explicit reader(bytes_view from) noexcept : left_(from) {}

    bytes_view take(std::size_t size) noexcept {
        good_ = good_ && size <= left_.size();
        if (!good_)
            return {};
        const auto taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    std::size_t number(std::size_t size) noexcept {
        std::size_t value = 0;
        for (const auto byte : take(size))
            value = value << 8 | std::to_integer<std::size_t>(byte);
        return value;
    }
    std::uint16_t number16() noexcept { return static_cast<std::uint16_t>(number(2)); }
    /// What stands behind its own length, of so many bytes.
    bytes_view vector(std::size_t length_size) noexcept { return take(number(length_size)); }

    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
    [[nodiscard]] bool good() const noexcept { return good_; }
    /// All was read, and nothing was missing.
    [[nodiscard]] bool over() const noexcept { return good_ && left_.empty(); }

  private:
    bytes_view left_;
    bool good_ = true;
};

std::string text_of(bytes_view raw) {
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

/// The numbers behind a length of so many bytes; none if they do not fill the extension.
std::vector<std::uint16_t> numbers(bytes_view data, std::size_t length_size) {
    reader outer(data);
    reader list(outer.vector(length_size));
    std::vector<std::uint16_t> all;
    while (list.good() && !list.empty())
        all.push_back(list.number16());
    if (!outer.over() || !list.over())
        all.clear();
    return all;
}

/// RFC 6066 knows names of one type, a host's, and one of them.
std::string server_name_in(bytes_view data) {
    reader outer(data);
    reader list(outer.vector(2));
    const auto type = list.number(1);
    const auto name = list.vector(2);
    const bool good = outer.over() && list.over() && type == TLSEXT_NAMETYPE_host_name;
    return good && std::ranges::find(name, std::byte{}) == name.end() ? text_of(name)
                                                                      : std::string();
}

std::vector<std::string> protocols_in(bytes_view data) {
    reader outer(data);
    reader list(outer.vector(2));
    std::vector<std::string> all;
    while (list.good() && !list.empty())
        all.push_back(text_of(list.vector(1)));
    if (!outer.over() || !list.over())
        all.clear();
    return all;
}

void read_extension(client_hello& into, const client_hello_extension& from) {
    switch (from.type) {
    case TLSEXT_TYPE_server_name:
        into.server_name = server_name_in(from.data);
        return;
    case TLSEXT_TYPE_application_layer_protocol_negotiation:
        into.alpn = protocols_in(from.data);
        return;
    case TLSEXT_TYPE_supported_versions:
        into.versions = numbers(from.data, 1);
        return;
    case TLSEXT_TYPE_supported_groups:
        into.groups = numbers(from.data, 2);
        return;
    case TLSEXT_TYPE_signature_algorithms:
        into.signature_algorithms = numbers(from.data, 2);
        return;
    default:
        return;
    }
}

} // namespace

std::optional<client_hello> read_client_hello(std::span<const std::byte> message) {
    reader outer(message);
    const auto type = outer.number(1);
    reader body(outer.vector(3));
    if (!outer.over() || type != SSL3_MT_CLIENT_HELLO)
        return std::nullopt;
    client_hello hello;
    hello.legacy_version = body.number16();
    std::ranges::copy(body.take(hello.random.size()), hello.random.begin());
    const auto session = body.vector(1);
    hello.session_id.assign(session.begin(), session.end());
    reader ciphers(body.vector(2));
    while (ciphers.good() && !ciphers.empty())
        hello.ciphers.push_back(ciphers.number16());
    body.vector(1); // compression methods
    reader extensions(body.good() && !body.empty() ? body.vector(2) : bytes_view());
    while (extensions.good() && !extensions.empty()) {
        client_hello_extension next;
        next.type = extensions.number16();
        const auto data = extensions.vector(2);
        next.data.assign(data.begin(), data.end());
        if (extensions.good())
            hello.extensions.push_back(std::move(next));
    }
    if (!body.over() || !ciphers.good() || !extensions.good())
        return std::nullopt;
    for (const auto& each : hello.extensions)
        read_extension(hello, each);
    if (hello.versions.empty())
        hello.versions.push_back(hello.legacy_version);
    return hello;
}

} // namespace detail

// JA4 as FoxIO publishes it: github.com/FoxIO-LLC/ja4, technical_details/JA4.md.
namespace {

/// RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa.
bool is_grease(unsigned value) noexcept {
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

std::vector<std::uint16_t> without_grease(const std::vector<std::uint16_t>& all) {
    std::vector<std::uint16_t> kept;
    std::ranges::remove_copy_if(all, std::back_inserter(kept), is_grease);
    return kept;
}

constexpr std::uint16_t name_type = TLSEXT_TYPE_server_name;
constexpr std::uint16_t protocols_type = TLSEXT_TYPE_application_layer_protocol_negotiation;
constexpr std::string_view no_hash = "000000000000";
constexpr std::string_view hex_digits = "0123456789abcdef";

std::string hex_list(const std::vector<std::uint16_t>& numbers) {
    std::string text;
    for (const auto number : numbers) {
        if (!text.empty())
            text += ',';
        for (int shift = 12; shift >= 0; shift -= 4)
            text += hex_digits[number >> shift & 15];
    }
    return text;
}

/// The first twelve digits of its SHA-256.
std::string short_hash(const std::string& text) {
    std::array<unsigned char, 32> digest{};
    detail::check_openssl(
        EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr),
        "EVP_Digest");
    std::string digits;
    for (const auto byte : std::span(digest).first(6)) {
        digits += hex_digits[byte >> 4];
        digits += hex_digits[byte & 15];
    }
    return digits;
}

std::string_view version_text(std::uint16_t version) noexcept {
    switch (version) {
    case TLS1_3_VERSION:
        return "13";
    case TLS1_2_VERSION:
        return "12";
    case TLS1_1_VERSION:
        return "11";
    case TLS1_VERSION:
        return "10";
    case SSL3_VERSION:
        return "s3";
    default:
        return "00";
    }
}

std::string two_digits(std::size_t count) {
    const auto shown = std::min<std::size_t>(count, 99);
    return {static_cast<char>('0' + shown / 10), static_cast<char>('0' + shown % 10)};
}

bool is_alphanumeric(unsigned char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// The first and the last character of the first protocol; of its hexadecimal form if either is no
/// letter or digit.
std::string protocol_text(const std::vector<std::string>& protocols) {
    const auto first = std::ranges::find_if(protocols, [](const std::string& name) {
        return name.size() != 2 ||
               !is_grease(static_cast<unsigned>(static_cast<unsigned char>(name[0]) << 8) |
                          static_cast<unsigned char>(name[1]));
    });
    if (first == protocols.end() || first->empty())
        return "00";
    const auto front = static_cast<unsigned char>(first->front());
    const auto back = static_cast<unsigned char>(first->back());
    if (is_alphanumeric(front) && is_alphanumeric(back))
        return {first->front(), first->back()};
    return {hex_digits[front >> 4], hex_digits[back & 15]};
}

} // namespace

std::string client_hello::ja4() const {
    auto own_ciphers = without_grease(ciphers);
    const auto own_versions = without_grease(versions);
    std::vector<std::uint16_t> types;
    types.reserve(extensions.size());
    for (const auto& each : extensions)
        types.push_back(each.type);
    types = without_grease(types);
    const bool named = std::ranges::find(types, name_type) != types.end();
    std::string text = "t";
    text += version_text(own_versions.empty() ? legacy_version : std::ranges::max(own_versions));
    text += named ? 'd' : 'i';
    text += two_digits(own_ciphers.size());
    text += two_digits(types.size());
    text += protocol_text(alpn);

    std::ranges::sort(own_ciphers);
    text += '_';
    text += own_ciphers.empty() ? std::string(no_hash) : short_hash(hex_list(own_ciphers));

    std::erase_if(types, [](auto type) { return type == name_type || type == protocols_type; });
    std::ranges::sort(types);
    const auto signatures = without_grease(signature_algorithms);
    auto hashed = hex_list(types);
    if (!signatures.empty())
        hashed += '_' + hex_list(signatures);
    text += '_';
    text += types.empty() ? std::string(no_hash) : short_hash(hashed);
    return text;
}

} // namespace ringtls
