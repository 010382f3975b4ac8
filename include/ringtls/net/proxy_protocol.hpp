// SPDX-License-Identifier: MIT
// The PROXY protocol, versions 1 and 2: who the peer of a proxy is, told before the first byte.
// Source: HAProxy's doc/proxy-protocol.txt, of which the sections below are.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/socket.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// What else a header of version 2 may tell (section 2.2.1).
enum class proxy_tlv_type : std::uint8_t {
    alpn = 0x01,      ///< the protocol that was negotiated above
    authority = 0x02, ///< the host name that the client asked for, by SNI
    crc32c = 0x03,    ///< of the header; checked where it is read
    noop = 0x04,      ///< padding; passed over where it is read
    unique_id = 0x05, ///< at most 128 bytes
    ssl = 0x20,       ///< of the client's TLS; its own parts are left as they are
    netns = 0x30,     ///< the name of a network namespace
};

/// One of these, or of types that an application defines (0xe0 to 0xef).
struct proxy_tlv {
    proxy_tlv(proxy_tlv_type kind, std::span<const std::byte> bytes)
        : type(kind), value(bytes.begin(), bytes.end()) {}

    proxy_tlv_type type;
    std::vector<std::byte> value; ///< at most 65535 bytes
};

/// What a header says. Whoever connects can say anything: accept it from proxies that are trusted,
/// by their address or by a listener that only they reach, and from these require it.
class proxy_header {
  public:
    /// local: the proxy itself is the peer, to see whether the server is there; nothing else is
    /// said then.
    enum class command : std::uint8_t { local, proxy };
    enum class transport : std::uint8_t { unspecified, stream, datagram };
    enum class version : std::uint8_t { v1 = 1, v2 = 2 };

    /// A proxy that knows nothing of its client.
    proxy_header() = default;
    /// A connection between these two, of one family.
    proxy_header(const address& from, const address& to)
        : source(from), destination(to), kind(transport::stream) {}

    /// What the header of a local connection or of one unknown leaves out; then the socket's own
    /// addresses count.
    std::optional<address> source;
    std::optional<address> destination;
    transport kind = transport::unspecified;
    command says = command::proxy;
    std::vector<proxy_tlv> tlvs; ///< of version 2, in order

    /// The first of this type; null: there is none.
    [[nodiscard]] const proxy_tlv* find(proxy_tlv_type type) const noexcept;

    /// The bytes to begin a connection with. In version 1 a connection is over TCP or unknown, and
    /// has no tlvs. In version 2 the value of a crc32c is put in. Throws error with
    /// std::errc::invalid_argument: one address without the other, or two families, no stream or
    /// datagram with addresses; or std::errc::message_size: longer than its length can tell, or a
    /// unique_id than it may be.
    [[nodiscard]] std::vector<std::byte> to_bytes(version as) const;
};

/// A header, and how many bytes it was.
struct parsed_proxy_header {
    proxy_header header;
    std::size_t size;
};

/// More than the addresses and a few tlvs need.
inline constexpr std::size_t proxy_header_limit = 4096;

/// The header that these bytes begin with; nothing: more of them are needed. Throws error with
/// errc::bad_proxy_header, and a reason, as soon as the words that they begin with, or the length,
/// cannot be those of one, or of one of at most limit bytes; what else is wrong is told of when it
/// is whole. The 107 of version 1 (section 2.1) are always enough.
[[nodiscard, gnu::visibility("default")]] std::optional<parsed_proxy_header>
parse_proxy_header(std::span<const std::byte> from, std::size_t limit = proxy_header_limit);

/// Reads a header, and not one byte beyond it. Completes with what it says.
class [[nodiscard]] proxy_header_operation final
    : public basic_operation<proxy_header_operation, proxy_header> {
  public:
    proxy_header_operation(const socket& from, std::size_t limit) noexcept
        : basic_operation(from.loop(), "read_proxy_header"), fd_(from.fd()), limit_(limit) {}
    ~proxy_header_operation() { abandon(); }
    [[nodiscard]] proxy_header take_value() noexcept { return std::move(header_); }

  private:
    wait_for attempt() override;
    int descriptor() const noexcept override { return fd_; }
    std::ptrdiff_t receive();
    [[nodiscard]] bool is_complete();

    int fd_;
    std::size_t limit_;
    std::vector<std::byte> received_;
    proxy_header header_;
};

/// What a connection from a proxy begins with. Give it a deadline with within(), and the socket a
/// peer that is trusted. Fails with errc::bad_proxy_header, errc::truncated if the connection ends
/// first, or the system's code. After that, a cancel or a time-out the connection is of no use: a
/// part of the header may be gone from it.
[[nodiscard]] inline proxy_header_operation
read_proxy_header(const socket& from, std::size_t limit = proxy_header_limit) noexcept {
    return {from, limit};
}

} // namespace ringtls
