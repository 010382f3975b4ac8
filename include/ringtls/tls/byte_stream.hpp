// SPDX-License-Identifier: MIT
// What a TLS stream can run over in a socket's place: another TLS stream, or what you make.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/tls/stream.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace [[gnu::visibility("default")]] ringtls {

/// Bytes in both directions, in order and without loss: what TLS needs below it.
///
/// For who implements it:
/// Calls: at most one read and one write are under way at a time; both may be. A read is begun only
/// when an operation of the stream above has asked for input, or a write has failed, so that bytes
/// nobody asks for stay with you. After the end, and after a failure, that direction is not called
/// again. Failures: throw. The stream above then fails with the code of the std::system_error (of
/// another exception: std::errc::io_error) and with its text as the reason, and every later
/// operation does. As with a socket, a write that failed ends writing alone. Cancellation: a
/// cancelled operation of the stream above cancels nothing here; what is read later is kept for the
/// next one. When the stream above is destroyed, the frames of calls under way are destroyed first,
/// wherever they wait, and then the byte_stream; what it has not taken is lost. The calls must not
/// destroy that stream. Waiting: a call may complete without waiting; the stream above gives way to
/// others. A call that is under way counts as what its own operations wait for, so that run() goes
/// on for them. Thread rule: belongs to its loop's thread.
class byte_stream {
  public:
    explicit byte_stream(event_loop& loop) noexcept : loop_(&loop) {}
    byte_stream(const byte_stream&) = delete;
    byte_stream& operator=(const byte_stream&) = delete;
    virtual ~byte_stream();

    /// Completes with the number of bytes read, at least 1; 0: the peer will send no more. The span
    /// is never empty, and stays until the call ends.
    [[nodiscard]] virtual task<std::size_t> read(std::span<std::byte> into) = 0;

    /// Completes when all has been handed on and nothing waits for a flush: then the stream's own
    /// write completes. The span is never empty, holds at most 32 KiB, and stays until the call
    /// ends.
    [[nodiscard]] virtual task<> write(std::span<const std::byte> from) = 0;

    /// Of the other end of what is below, for stream::peer_address(). The default throws error with
    /// errc::not_available.
    [[nodiscard]] virtual address peer_address() const;

    [[nodiscard]] event_loop& loop() const noexcept { return *loop_; }

  private:
    event_loop* loop_;
};

/// TLS inside TLS: the application data of one stream carry another, as behind an HTTPS proxy's
/// CONNECT (RFC 9110, section 9.3.6).
///
///     stream inner(std::make_unique<tls_byte_stream>(std::move(outer)), tls, "example.org");
///
/// The end below is its close_notify; the end of TCP without one is errc::truncated to the stream
/// above, too. A byte that the outer stream has read already is not seen by the inner one.
class tls_byte_stream final : public byte_stream {
  public:
    /// Owns the stream, which is closed with this one, and without close_notify.
    explicit tls_byte_stream(stream&& below) noexcept;
    /// Uses a stream that outlives this one where it is, so that it can be shut down after it.
    /// Meanwhile both of its directions are this one's.
    explicit tls_byte_stream(stream& below) noexcept;
    ~tls_byte_stream() override;

    [[nodiscard]] task<std::size_t> read(std::span<std::byte> into) override;
    [[nodiscard]] task<> write(std::span<const std::byte> from) override;
    [[nodiscard]] address peer_address() const override;

  private:
    std::optional<stream> own_;
    stream* below_;
};

} // namespace ringtls
