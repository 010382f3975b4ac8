// SPDX-License-Identifier: MIT
// A TLS connection over a socket: what co_await reads from and writes to.
#pragma once

#include <ringtls/net/socket.hpp>
#include <ringtls/tls/channel_binding.hpp>
#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/connection_info.hpp>
#include <ringtls/tls/counters.hpp>
#include <ringtls/tls/replayable.hpp>
#include <ringtls/tls/secret.hpp>
#include <ringtls/tls/server_context.hpp>
#include <ringtls/tls/session.hpp>
#include <ringtls/tls/stream_operations.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

struct ssl_st;

namespace ringtls::detail {
class connection;
}

namespace [[gnu::visibility("default")]] ringtls {

class byte_stream;

/// A TLS connection (RFC 8446, RFC 5246), client or server.
///
/// Operations: every call below returns an operation, to be awaited in the same expression, with
/// within(), until() and cancel_on() as wanted. At most one operation a direction may be in flight;
/// one more fails at once with errc::busy and disturbs nothing. Reading and writing may be in
/// flight at the same time, in two coroutines. The first operation performs the handshake if
/// handshake() was not awaited.
/// Buffers: what an operation reads into or writes from is the caller's, and stays untouched and
/// alive until it ends.
/// Cancelled or timed out: a read loses nothing, the next one gets it. A write's error says in
/// bytes() how much was accepted; exactly that reaches the peer, before anything written later and
/// for as long as the loop runs, and the stream stays usable. A frame destroyed while it waits is a
/// cancel nobody hears of.
/// Errors: ringtls::error. What OpenSSL calls fatal is final: every later operation reports that
/// first cause. A failed send is final for writing alone: reading goes on to its own end, and then
/// that is reported in place of the send's EPIPE. The end is errc::truncated if TCP ended without
/// close_notify, also if a reset followed; std::errc::connection_reset if there was only a reset.
/// Data and close_notify that arrived before either are still read first.
/// Lifetime: moving a stream is allowed at any time. Destroying it closes the TCP connection
/// without close_notify, which the peer sees as truncation; operations in flight in other
/// coroutines end with errc::canceled.
/// Thread rule: belongs to its loop's thread. SIGPIPE is never raised.
class stream {
  public:
    static constexpr std::size_t already_read_bound = 65536;

    /// A client. server_name is the DNS name or IP address that the certificate must be valid for
    /// (RFC 9525); a DNS name is also sent as SNI. Throws error with errc::invalid_name if it is
    /// empty or is no name, and with OpenSSL's code.
    ///
    /// already_read: what was read from the socket and is the peer's first part of TLS, as may be
    /// where plain text comes first (STARTTLS, RFC 3207). It is copied, and is what TLS receives
    /// before anything else, so that text which somebody put in plainly fails the handshake; never
    /// keep it as if it had come after that (CVE-2011-0411). Throws error with
    /// std::errc::message_size beyond already_read_bound bytes.
    stream(socket transport, const client_context& context, std::string_view server_name,
           std::span<const std::byte> already_read = {});
    /// A server. Throws error with OpenSSL's code; already_read as above.
    stream(socket transport, const server_context& context,
           std::span<const std::byte> already_read = {});
    /// The same over another transport than a socket: byte_stream.hpp. What is said here of TCP
    /// then goes for that one, and "the socket has taken" means that byte_stream::write has
    /// completed. Also throws error with std::errc::invalid_argument if there is none.
    stream(std::unique_ptr<byte_stream> transport, const client_context& context,
           std::string_view server_name);
    stream(std::unique_ptr<byte_stream> transport, const server_context& context);
    stream(stream&& other) noexcept;
    stream& operator=(stream&& other) noexcept;
    ~stream();

    /// Offers a session in the handshake, which must not have begun. Whether the server took it is
    /// told by resumed(). Throws error with errc::session_refused if it was made for another name
    /// or under other settings, or too late; one that has expired, or whose certificate has or was
    /// not accepted, is not offered. Of a client whose context has a session_cache, this takes the
    /// place of the cache's.
    void resume(const ringtls::session& with);

    /// Completes when the connection is established and, on a client, the server's certificate
    /// accepted: otherwise errc::verify_failed, pin_mismatch or ocsp_refused. Waits for decisions
    /// (decisions.hpp), and fails with what they throw. After a cancel or time-out it may be
    /// awaited again and goes on where it was. Occupies both directions.
    [[nodiscard]] handshake_operation handshake();

    /// Completes with the number of bytes read, at least 1: what one record holds, or the buffer
    /// if that is less. 0: the peer sent close_notify. An empty buffer completes with 0 at once.
    [[nodiscard]] read_operation read(std::span<std::byte> into);
    /// Completes when the buffer is full. If the peer's close_notify comes first: errc::truncated,
    /// with the bytes that did arrive in bytes().
    [[nodiscard]] read_exactly_operation read_exactly(std::span<std::byte> into);
    /// Completes when a read would not wait, so that an idle connection need not hold a buffer.
    /// Occupies the reading direction.
    [[nodiscard]] readable_operation readable();

    /// Completes with the size, when the socket has taken the last byte: nothing waits for a
    /// flush.
    [[nodiscard]] write_operation write(std::span<const std::byte> from);
    [[nodiscard]] write_operation write(std::string_view from);
    /// The same for a sequence; small pieces share records. The spans themselves must stay alive
    /// until the operation ends, like what they point at.
    [[nodiscard]] write_operation write(std::span<const std::span<const std::byte>> from);

    /// The same, but as early data (RFC 8446, section 2.3) where that can be: on a client, before
    /// its handshake, with a session whose early_data_limit() is not exceeded, and at most 16 KiB;
    /// on a server that has read early data, its answer before the handshake is over. Otherwise
    /// like any other write, and so once more if the server rejects the early data: it is the
    /// caller's word that this does no harm. errc::early_data_rejected if the server also chose
    /// another protocol by ALPN than the session's. Cancelled before the handshake is over: all
    /// counts as accepted if it was sent, and if the server rejects it then, the connection ends
    /// with that error.
    [[nodiscard]] write_operation write(replayable from);
    /// A server's first operation, where its settings accept early data: completes with what came
    /// before the handshake was over, which anybody may have sent again; empty: there is no more.
    /// Without this first, early data is rejected, and clients send it again as ordinary data. Once
    /// begun, nothing else can be done but to write(replayable) until it is empty:
    /// errc::not_available. Occupies both directions.
    [[nodiscard]] read_early_operation read_early(std::span<std::byte> into);

    /// Sends close_notify (RFC 8446, section 6.1); completes when the socket has taken it. Reading
    /// goes on. A later write fails with errc::write_closed.
    [[nodiscard]] close_write_operation close_write();
    /// close_write(), then reads and drops until the peer's close_notify. The peer's plain TCP
    /// close after our close_notify is not an error here, nor is the reset that it turns into if
    /// the peer had not read everything. Occupies both directions.
    [[nodiscard]] shutdown_operation shutdown();
    /// Before the handshake: has the stream take nothing from the socket beyond the record that it
    /// reads, so that it can be detached. That costs one or two more system calls a record
    /// received. Throws error with errc::not_available once the handshake has begun.
    void make_detachable();
    /// Gives the socket back, for plain text, after shutdown(): both ends have sent close_notify
    /// (RFC 8446, section 6.1). The next byte to read from it is the one behind the peer's. The
    /// stream is then as if moved from. Throws error, and changes nothing: errc::busy while an
    /// operation is in flight; errc::not_available if the stream was not made detachable, or did
    /// not end so; the failure that ended it.
    [[nodiscard]] socket detach();
    /// New sending keys, and new ones of the peer's too if requested (RFC 8446, section 4.6.3).
    /// Waits its turn behind the record that a write has under way; completes when the socket has
    /// taken it. errc::key_update_refused unless the connection is TLS 1.3.
    [[nodiscard]] key_update_operation key_update(key_update_request request);

    /// From now on, an operation that reads (read(), read_exactly(), read_early(), readable())
    /// fails with errc::timed_out unless it ends within `reading`, one that writes or closes within
    /// `writing`. Their own modifiers can shorten that. Not handshake(). duration::max(): no limit,
    /// as at first.
    void limit_waits(loop_clock::duration reading, loop_clock::duration writing) noexcept;

    /// What was negotiated; empty before the handshake.
    [[nodiscard]] connection_info info() const;
    /// The handshake was shortened by a session; false before its end.
    [[nodiscard]] bool resumed() const noexcept;
    /// Of this end's early data, as a client, or the peer's; none before the handshake's end.
    [[nodiscard]] early_data_status early_data() const noexcept;
    /// A client's newest session, to resume() another connection with. TLS 1.3 servers send theirs
    /// after the handshake, for a read to find; none before, and none of a server that sends none.
    /// If the context has a session_cache, the session is there, too: use the one or the other.
    [[nodiscard]] std::optional<ringtls::session> session() const;
    /// Keys for another protocol, which both ends come to and nobody else (RFC 8446, section 7.5;
    /// RFC 5705). label: registered with IANA, or "EXPERIMENTAL..."; context: not given and empty
    /// are not the same in TLS 1.2. Throws error with errc::not_available before the handshake's
    /// end, and OpenSSL's code.
    [[nodiscard]] secret_bytes
    export_key(std::string_view label, std::size_t size,
               std::optional<std::span<const std::byte>> context = std::nullopt) const;
    /// Throws error with errc::not_available before the handshake's end, or where this connection
    /// has none of the type.
    [[nodiscard]] std::vector<std::byte> channel_binding(channel_binding_type type) const;
    [[nodiscard]] stream_counters counters() const noexcept;
    /// getpeername(2), or the byte_stream's. Throws error with the system's code, or as that does.
    [[nodiscard]] address peer_address() const;
    [[nodiscard]] event_loop& loop() const noexcept;
    /// The SSL, owned by this stream, for what this library does not cover; another one once a
    /// ClientHello has chosen another context. Calls that read, write
    /// or change its BIOs break the stream's promises.
    [[nodiscard]] ssl_st* native_handle() const noexcept;

  private:
    ssl_st* established(std::string_view operation) const;

    std::unique_ptr<detail::connection> connection_;
};

} // namespace ringtls
