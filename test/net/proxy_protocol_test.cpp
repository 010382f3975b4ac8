// SPDX-License-Identifier: MIT
#include <ringtls/net/proxy_protocol.hpp>

#include "../descriptors.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using ringtls::address;
using ringtls::as_result;
using ringtls::errc;
using ringtls::error;
using ringtls::event_loop;
using ringtls::parse_proxy_header;
using ringtls::proxy_header;
using ringtls::proxy_tlv;
using ringtls::proxy_tlv_type;
using ringtls::task;
using version = proxy_header::version;

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}
std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;

/// A header of version 2: command, family and transport, and what follows its length.
std::string block(unsigned char command, unsigned char kinds, const std::string& rest) {
    return signature + char(command) + char(kinds) + char(rest.size() >> 8) + char(rest.size()) +
           rest;
}
/// TCP from 192.0.2.1:4660 to 198.51.100.2:443, and this.
std::string ipv4_block(const std::string& tlvs = "") {
    return block(0x21, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"s + tlvs);
}
std::string tlv(unsigned char type, const std::string& value) {
    return ""s + char(type) + char(value.size() >> 8) + char(value.size()) + value;
}
std::string path_108(std::string path) {
    path.resize(108);
    return path;
}

/// The reason for which it is refused; empty: it is not.
std::string reason_of(const std::string& header, std::size_t limit = 4096) {
    try {
        static_cast<void>(parse_proxy_header(bytes_of(header), limit));
    } catch (const error& refused) {
        CHECK(refused.code() == errc::bad_proxy_header);
        return refused.details()->reason;
    }
    return "";
}

proxy_header parsed(const std::string& header) {
    const auto made = parse_proxy_header(bytes_of(header));
    REQUIRE(made);
    CHECK(made->size == header.size());
    return made->header;
}

/// Every way to cut it short needs more; whatever follows is not of it.
void check_cuts(const std::string& header) {
    for (std::size_t size = 0; size < header.size(); ++size) {
        CAPTURE(size);
        CHECK_FALSE(parse_proxy_header(bytes_of(header).first(size)));
    }
    for (const char* const next : {"\r\n", "\x16\x03\x01", "PROXY "}) {
        const auto made = parse_proxy_header(bytes_of(header + next));
        REQUIRE(made);
        CHECK(made->size == header.size());
    }
}

} // namespace

TEST_CASE("A line tells a connection's ends") {
    const auto header = parsed("PROXY TCP4 192.0.2.1 198.51.100.2 65535 443\r\n");
    CHECK(header.says == proxy_header::command::proxy);
    CHECK(header.kind == proxy_header::transport::stream);
    CHECK(header.source == address("192.0.2.1", 65535));
    CHECK(header.destination == address("198.51.100.2", 443));
    CHECK(header.tlvs.empty());
    const auto six = parsed("PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.7 0 1\r\n");
    CHECK(six.source == address("2001:db8::1", 0));
    CHECK(six.destination == address("::ffff:192.0.2.7", 1));
}

TEST_CASE("Of an unknown connection nothing is told, whatever the line says") {
    for (const auto* const line :
         {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN \r\n", "PROXY UNKNOWN what ever ff::%1 99999\r\n",
          "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"}) {
        const auto header = parsed(line);
        CHECK(header.says == proxy_header::command::proxy);
        CHECK(header.kind == proxy_header::transport::unspecified);
        CHECK_FALSE(header.source);
        CHECK_FALSE(header.destination);
    }
}

TEST_CASE("A header that is cut short needs more, and takes nothing that follows") {
    check_cuts("PROXY UNKNOWN\r\n");
    check_cuts("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    check_cuts("PROXY TCP6 ::1 ::2 1 2\r\n");
    check_cuts("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n"); // 107 bytes
    check_cuts(block(0x20, 0x00, ""));
    check_cuts(ipv4_block());
    check_cuts(ipv4_block(tlv(0x02, "example.org")));
}

TEST_CASE("Lines that the specification does not allow are refused by name") {
    const std::string port = "not a port";
    const std::string ip = "not an address";
    const std::string word = "a word is missing";
    const std::string end = "a line that does not end with CR LF";
    const std::string other = "an address of the other family";
    const std::string protocol = "neither TCP4, TCP6 nor UNKNOWN";
    const std::string neither = "neither version's first bytes";
    const std::pair<std::string, std::string> all[] = {
        {"GET / HTTP/1.1\r\n", neither},
        {"\x16\x03\x01", neither},
        {"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", neither},
        {"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", neither},
        {"PROXY\r\n", neither},
        {"PROXY \r\n", word},
        {"PROXY TCP4\r\n", word},
        {"PROXY UNKNOWNS\r\n", word},
        {"PROXY UNKNOWNS x\r\n", protocol},
        {"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", protocol},
        {"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", protocol},
        {"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", protocol},
        {"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", port},
        {"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1  2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", word},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", port},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n", port},
        {"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", ip},
        {"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", ip},
        {"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", ip},
        {"PROXY TCP4 1.2.3.4. 5.6.7.8 1 2\r\n", ip},
        {"PROXY TCP4 ::1 ::2 1 2\r\n", other},
        {"PROXY TCP4 1.2.3.4 ::2 1 2\r\n", other},
        {"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", other},
        {"PROXY TCP6 ::1::2 ::2 1 2\r\n", ip},
        {"PROXY TCP6 [::1] ::2 1 2\r\n", ip},
        {"PROXY TCP6 fe80::1%lo ::2 1 2\r\n", ip},
        {"PROXY TCP6 fe80::1%1 ::2 1 2\r\n", ip},
        {"PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"s, ip},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", end},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", end},
        {"PROXY UNKNOWN a\rb\r\n", end},
        {"PROXY UNKNOWN a\nb\r\n", end},
        {"PROXY UNKNOWN " + std::string(92, 'x') + "\r\n", "a line of more than 107 bytes"},
        {"PROXY UNKNOWN " + std::string(93, 'x'), "a line of more than 107 bytes"},
    };
    for (const auto& [line, reason] : all) {
        CAPTURE(line);
        CHECK(reason_of(line) == reason);
    }
}

TEST_CASE("A block tells a connection's ends") {
    const auto four = parsed(ipv4_block());
    CHECK(four.says == proxy_header::command::proxy);
    CHECK(four.kind == proxy_header::transport::stream);
    CHECK(four.source == address("192.0.2.1", 4660));
    CHECK(four.destination == address("198.51.100.2", 443));

    const std::string ip = "\x20\x01\x0d\xb8"s + std::string(11, '\0');
    const auto six = parsed(block(0x21, 0x22, ip + "\1" + ip + "\2" + "\x12\x34\x01\xbb"));
    CHECK(six.kind == proxy_header::transport::datagram);
    CHECK(six.source == address("2001:db8::1", 4660));
    CHECK(six.destination == address("2001:db8::2", 443));

    const auto path = parsed(block(0x21, 0x31, path_108("/run/a") + path_108("")));
    CHECK(path.source == address::unix_path("/run/a"));
    CHECK(path.destination->family() == address::family::unix_path);
    CHECK(path.destination->host().empty());
    const std::string longest(108, 'p');
    CHECK(parsed(block(0x21, 0x31, longest + longest)).source == address::unix_path(longest));

    const auto unknown = parsed(block(0x21, 0x00, ""));
    CHECK(unknown.kind == proxy_header::transport::unspecified);
    CHECK_FALSE(unknown.source);
}

TEST_CASE("Of a local connection's block all is passed over, its family too") {
    for (const auto& header :
         {block(0x20, 0x00, ""), block(0x20, 0x11, "anything"), block(0x20, 0xff, "\3\0\1x"s)}) {
        const auto made = parsed(header);
        CHECK(made.says == proxy_header::command::local);
        CHECK_FALSE(made.source);
        CHECK(made.tlvs.empty());
    }
}

TEST_CASE("A block's tlvs are told in order, without padding") {
    const auto made = parsed(ipv4_block(tlv(0x04, "pad") + tlv(0x01, "h2") + tlv(0xe0, "") +
                                        tlv(0x05, std::string(128, 'u')) + tlv(0x01, "h3")));
    REQUIRE(made.tlvs.size() == 4);
    CHECK(made.tlvs[1].type == static_cast<proxy_tlv_type>(0xe0));
    CHECK(made.tlvs[1].value.empty());
    CHECK(text_of(made.find(proxy_tlv_type::alpn)->value) == "h2");
    CHECK(made.find(proxy_tlv_type::unique_id)->value.size() == 128);
    CHECK(made.find(proxy_tlv_type::ssl) == nullptr);
}

TEST_CASE("Blocks that the specification does not allow are refused by name") {
    const std::string kind = "an unknown family or transport";
    const std::string command = "an unknown version or command";
    const std::string lacks = "shorter than what it holds";
    const std::string addresses = ipv4_block().substr(16);
    const std::pair<std::string, std::string> all[] = {
        {"\r\n\r\n\0\r\nQUIT\r"s, "neither version's first bytes"},
        {"\r\nHELO", "neither version's first bytes"},
        {signature + "\x11", command},
        {signature + "\x31", command},
        {signature + "\x22", command},
        {signature + "\x2f", command},
        {block(0x21, 0x41, addresses), kind},
        {block(0x21, 0x13, addresses), kind},
        {block(0x21, 0x10, addresses), kind},
        {block(0x21, 0x01, ""), kind},
        {block(0x21, 0x11, addresses.substr(1)), lacks},
        {block(0x21, 0x21, addresses), lacks},
        {block(0x21, 0x31, addresses), lacks},
        {ipv4_block("\x01"), lacks},
        {ipv4_block("\x01\x00"s), lacks},
        {ipv4_block("\x01\x00\x02h"s), lacks},
        {ipv4_block(tlv(0x05, std::string(129, 'u'))), "a unique id of more than 128 bytes"},
        {ipv4_block(tlv(0x03, "abc")), "a checksum that is not of 4 bytes"},
        {ipv4_block(tlv(0x03, "abcd")), "the checksum is wrong"},
        {ipv4_block(std::string(4069, 'x')), "4097 bytes, more than 4096"},
        {ipv4_block(std::string(4069, 'x')).substr(0, 16), "4097 bytes, more than 4096"},
    };
    for (const auto& [header, reason] : all) {
        CAPTURE(reason);
        CAPTURE(header.size());
        CHECK(reason_of(header) == reason);
    }
    CHECK(reason_of(ipv4_block(), 27) == "28 bytes, more than 27");
    CHECK(reason_of(ipv4_block(), 28).empty());
}

TEST_CASE("A checksum is put in, and checked over every bit") {
    proxy_header header(address("192.0.2.1", 4660), address("198.51.100.2", 443));
    header.tlvs.emplace_back(proxy_tlv_type::authority, bytes_of("example.org"));
    header.tlvs.emplace_back(proxy_tlv_type::crc32c, bytes_of(""));
    header.tlvs.emplace_back(proxy_tlv_type::alpn, bytes_of("h2"));
    auto made = text_of(header.to_bytes(version::v2));
    CHECK(parsed(made).tlvs.size() == 3);
    const auto type = made.find("\x03\0\4"s); // without which there is no checksum
    for (std::size_t at = 16; at < made.size(); ++at) {
        CAPTURE(at);
        if (at == type)
            continue;
        made[at] = char(made[at] ^ 1);
        CHECK_FALSE(reason_of(made).empty());
        made[at] = char(made[at] ^ 1);
    }
    header.tlvs.emplace_back(proxy_tlv_type::crc32c, bytes_of(""));
    CHECK_THROWS_AS(static_cast<void>(header.to_bytes(version::v2)), error);
}

TEST_CASE("A checksum is CRC-32C") {
    // Computed bit by bit, by a program that gives 0xe3069283 for "123456789".
    proxy_header header(address("127.0.0.1", 1), address("127.0.0.1", 2));
    header.tlvs.emplace_back(proxy_tlv_type::crc32c, bytes_of(""));
    const auto made = header.to_bytes(version::v2);
    REQUIRE(made.size() == 35);
    CHECK(text_of(made).substr(31) == "\xe9\x16\x6d\x07");
}

TEST_CASE("What is written is what is read") {
    const address four("192.0.2.1", 1);
    const address six("2001:db8::1", 2);
    const auto path = address::unix_path("/run/a");
    for (const auto& each : {four, six, path}) {
        const proxy_header header(each, each);
        const auto again = parsed(text_of(header.to_bytes(version::v2)));
        CHECK(again.source == each);
        CHECK(again.destination == each);
        CHECK(again.kind == proxy_header::transport::stream);
    }
    CHECK(text_of(proxy_header(four, four).to_bytes(version::v1)) ==
          "PROXY TCP4 192.0.2.1 192.0.2.1 1 1\r\n");
    CHECK(text_of(proxy_header(six, six).to_bytes(version::v1)) ==
          "PROXY TCP6 2001:db8::1 2001:db8::1 2 2\r\n");
    CHECK(text_of(proxy_header(address("fe80::1%1", 2), six).to_bytes(version::v1)) ==
          "PROXY TCP6 fe80::1 2001:db8::1 2 2\r\n");
    CHECK(text_of(proxy_header(path, path).to_bytes(version::v1)) == "PROXY UNKNOWN\r\n");
    CHECK(text_of(proxy_header().to_bytes(version::v1)) == "PROXY UNKNOWN\r\n");
    CHECK(text_of(proxy_header().to_bytes(version::v2)) == block(0x21, 0x00, ""));
    proxy_header local(four, four);
    local.says = proxy_header::command::local;
    local.tlvs.emplace_back(proxy_tlv_type::alpn, bytes_of("h2"));
    CHECK(text_of(local.to_bytes(version::v2)) == block(0x20, 0x00, ""));
    CHECK(text_of(local.to_bytes(version::v1)) == "PROXY UNKNOWN\r\n");
    proxy_header datagrams(four, four);
    datagrams.kind = proxy_header::transport::datagram;
    CHECK(text_of(datagrams.to_bytes(version::v1)) == "PROXY UNKNOWN\r\n");
}

TEST_CASE("What cannot be written is refused by name") {
    const address four("192.0.2.1", 1);
    const address six("2001:db8::1", 2);
    const auto refusal = [](const proxy_header& of, version as) {
        try {
            static_cast<void>(of.to_bytes(as));
        } catch (const error& refused) {
            return refused.code();
        }
        return std::error_code();
    };
    proxy_header half;
    half.source = four;
    proxy_header none(four, four);
    none.kind = proxy_header::transport::unspecified;
    for (const auto as : {version::v1, version::v2}) {
        CHECK(refusal(proxy_header(four, six), as) == std::errc::invalid_argument);
        CHECK(refusal(half, as) == std::errc::invalid_argument);
        CHECK(refusal(none, as) == std::errc::invalid_argument);
    }
    proxy_header large(four, four);
    large.tlvs.emplace_back(proxy_tlv_type::alpn, bytes_of(std::string(65536, 'x')));
    CHECK(refusal(large, version::v2) == std::errc::message_size);
    large.tlvs.clear();
    for (int i = 0; i < 2; ++i)
        large.tlvs.emplace_back(proxy_tlv_type::alpn, bytes_of(std::string(40000, 'x')));
    CHECK(refusal(large, version::v2) == std::errc::message_size);
}

namespace {

struct fixture {
    ringtls::manual_clock clock;
    event_loop loop{ringtls::event_loop_options().clock(clock)};
    ringtls::test::descriptor peer;
    ringtls::socket ours;

    explicit fixture(ringtls::test::socket_ends ends = ringtls::test::socket_ends::unix_pair())
        : peer(std::move(ends.b)), ours(loop, ends.a.release()) {}
};

task<> turns(event_loop& loop, int count = 5) {
    for (int i = 0; i < count; ++i)
        co_await loop.yield();
}

} // namespace

TEST_CASE("A header is read from a socket, and not one byte beyond it, however it comes") {
    const std::string shortest = "PROXY UNKNOWN\r\n";
    const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n";
    const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
    for (const auto& header : {shortest, line, longest, block(0x20, 0x00, ""), ipv4_block(),
                               ipv4_block(tlv(0x02, "example.org"))}) {
        for (const std::size_t part : {1, 7, 15, 16, 1000}) {
            CAPTURE(header);
            CAPTURE(part);
            fixture on;
            bool over = false;
            on.loop.spawn([](fixture& f, const std::string& sent, bool& done) -> task<> {
                const auto got = co_await ringtls::read_proxy_header(f.ours);
                CHECK(got.source == parsed(sent).source);
                CHECK(got.destination == parsed(sent).destination);
                CHECK(got.says == parsed(sent).says);
                std::string rest(64, ' ');
                const auto count = co_await f.ours.read(std::as_writable_bytes(std::span(rest)));
                CHECK(rest.substr(0, count) == "\r\nbehind it");
                done = true;
            }(on, header, over));
            const auto polls = on.loop.counters().polls;
            const auto all = header + "\r\nbehind it";
            on.loop.run(turns(on.loop));
            for (std::size_t at = 0; at < all.size(); at += part) {
                if (at > 0 && at < header.size())
                    CHECK_FALSE(over);
                // What is behind the header comes in one piece with its end.
                const auto size = at + part >= header.size() ? all.size() - at : part;
                on.peer.put(std::string_view(all).substr(at, size));
                on.loop.run(turns(on.loop));
                if (size != part)
                    break;
            }
            on.loop.run();
            CHECK(over);
            // It waits for what comes; what it has seen does not wake it again and again.
            CHECK(on.loop.counters().polls - polls <= 2 + header.size() / part);
        }
    }
}

TEST_CASE("A bad header is refused as soon as it can be") {
    for (const auto& sent :
         {"GET "s, "\x16"s, signature + "\x11", "PROXY TCP9"s, "PROXY X"s,
          "PROXY TCP9 "s + "1.2.3.4 \r\n", ipv4_block(std::string(5000, 'x')).substr(0, 16)}) {
        fixture on;
        on.peer.put(sent);
        on.loop.run([](fixture& f) -> task<> {
            const auto ended = co_await as_result(ringtls::read_proxy_header(f.ours));
            REQUIRE(!ended);
            CHECK(ended.error().code() == errc::bad_proxy_header);
            CHECK(ended.error().operation() == "read_proxy_header");
            CHECK_FALSE(ended.error().details()->reason.empty());
        }(on));
    }
}

TEST_CASE("A header's limit can be another one") {
    const auto header = ipv4_block(tlv(0xe0, std::string(5000, 'x')));
    for (const std::size_t limit : {header.size() - 1, header.size()}) {
        fixture on;
        on.peer.put(header);
        on.loop.run([](fixture& f, std::size_t most, bool fits) -> task<> {
            const auto ended = co_await as_result(ringtls::read_proxy_header(f.ours, most));
            CHECK(ended.has_value() == fits);
        }(on, limit, limit == header.size()));
    }
}

TEST_CASE("A connection that ends in its header is truncated") {
    for (const auto& sent :
         {""s, "PROXY "s, "PROXY TCP4 1.2.3.4 5.6.7."s, ipv4_block().substr(0, 20)}) {
        fixture on;
        on.peer.put(sent);
        on.peer.close();
        on.loop.run([](fixture& f) -> task<> {
            const auto ended = co_await as_result(ringtls::read_proxy_header(f.ours));
            REQUIRE(!ended);
            CHECK(ended.error().code() == errc::truncated);
        }(on));
    }
}

TEST_CASE("A peer that sends its header a byte at a time does not put the deadline off") {
    fixture on;
    bool over = false;
    on.loop.spawn([](fixture& f, bool& done) -> task<> {
        const auto ended = co_await as_result(ringtls::read_proxy_header(f.ours).within(10s));
        REQUIRE(!ended);
        CHECK(ended.error().code() == errc::timed_out);
        done = true;
    }(on, over));
    for (const char each : "PROXY UNKNOWN and so on"s) {
        on.peer.put(std::string_view(&each, 1));
        on.loop.run(turns(on.loop));
        on.clock.advance(1s);
    }
    on.loop.run();
    CHECK(over);
}

TEST_CASE("A socket that cannot be read says why") {
    event_loop loop;
    const ringtls::socket none(loop, -1);
    loop.run([](const ringtls::socket& s) -> task<> {
        const auto ended = co_await as_result(ringtls::read_proxy_header(s));
        REQUIRE(!ended);
        CHECK(ended.error().code() == std::errc::bad_file_descriptor);
    }(none));
}
