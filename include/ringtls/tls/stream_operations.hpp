// SPDX-License-Identifier: MIT
// The awaiters that a stream's calls return.
#pragma once

#include <ringtls/loop/operation.hpp>
#include <ringtls/tls/replayable.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ringtls::detail {
class connection;
}

namespace [[gnu::visibility("default")]] ringtls {

/// Whether a key update asks the peer to update its own sending keys too (RFC 8446, 4.6.3).
enum class key_update_request : std::uint8_t { not_requested, requested };

/// Base of all operations on a stream. Holds the call and its arguments, at one address, for as
/// long as OpenSSL may want the call repeated.
class stream_operation : public operation {
  public:
    enum class call : std::uint8_t {
        handshake,
        read,
        read_exactly,
        read_early,
        readable,
        write,
        write_pieces,
        close_write,
        shutdown,
        key_update,
    };

  protected:
    using pieces = std::span<const std::span<const std::byte>>;

    stream_operation(detail::connection& on, call what) noexcept;
    stream_operation(detail::connection& on, call what, std::span<std::byte> into) noexcept;
    stream_operation(detail::connection& on, std::span<const std::byte> from) noexcept;
    stream_operation(detail::connection& on, replayable from) noexcept;
    stream_operation(detail::connection& on, pieces from) noexcept;
    stream_operation(detail::connection& on, key_update_request request) noexcept;
    ~stream_operation();

    [[nodiscard]] std::size_t done() const noexcept { return done_; }
    [[nodiscard]] std::span<const std::byte> arrived() const noexcept { return into_.first(done_); }

  private:
    friend detail::connection;

    bool claim() override;
    wait_for attempt() override;
    void withdraw() noexcept override;
    int descriptor() const noexcept override;

    detail::connection* connection_; ///< null once the stream is gone
    std::span<std::byte> into_;
    std::span<const std::byte> from_; ///< for pieces: what is left of the current one
    pieces pieces_;                   ///< those not begun
    std::size_t done_ = 0;            ///< bytes read, or accepted for writing
    bool pending_ = false;            ///< OpenSSL insists on the same write once more
    call call_;
    key_update_request request_ = key_update_request::not_requested;
    /// Its close_notify or key update is made, and only has to leave; its early data was sent.
    bool under_way_ = false;
    bool replayable_ = false; ///< it may be sent as early data
};

/// An operation on a stream that completes with a T: a number of bytes, early data, or nothing.
template<class T>
class [[nodiscard]] stream_call final
    : public basic_operation<stream_call<T>, T, stream_operation> {
    using base = basic_operation<stream_call<T>, T, stream_operation>;

  public:
    using base::base;
    [[nodiscard]] std::size_t bytes_done() const noexcept { return this->done(); }
    [[nodiscard]] T take_value() const noexcept {
        if constexpr (std::is_same_v<T, replayable>)
            return replayable(this->arrived());
        else if constexpr (!std::is_void_v<T>)
            return this->done();
    }

  private:
    friend class stream;
};

extern template class stream_call<void>;
extern template class stream_call<std::size_t>;
extern template class stream_call<replayable>;

using handshake_operation = stream_call<void>;
using read_operation = stream_call<std::size_t>;
using read_exactly_operation = stream_call<void>;
using read_early_operation = stream_call<replayable>;
using readable_operation = stream_call<void>;
using write_operation = stream_call<std::size_t>;
using close_write_operation = stream_call<void>;
using shutdown_operation = stream_call<void>;
using key_update_operation = stream_call<void>;

} // namespace ringtls
