// SPDX-License-Identifier: MIT
// What stands between OpenSSL and the socket: a BIO that sends and receives, and never waits.
#pragma once

#include <ringtls/tls/counters.hpp>

#include "failure.hpp"
#include "openssl_handles.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace ringtls::detail {

class byte_link;

/// Owns no descriptor. Receives what OpenSSL asks for in one call, and after a short one, which
/// means that the socket is drained, asks the kernel no more before it is told of readiness.
///
/// The spill: what of OpenSSL's output the socket would not take and OpenSSL must not keep,
/// because the call that it would insist on repeating cannot be repeated. It leaves first.
class transport {
  public:
    enum class write_mode {
        direct, ///< what the socket does not take is refused: OpenSSL wants to write
        spill,  ///< it is taken into the spill, up to a bound
        settle, ///< it is taken into the spill, which a single record cannot overfill
    };

    /// A peer that asks for answers but reads none can make us keep no more bytes than this, beside
    /// one record. The vector that they are in takes up to twice as much.
    static constexpr std::size_t spill_bound = 65536;

    /// OpenSSL takes a ClientHello of 128 KiB.
    static constexpr std::size_t kept_bound = 196608;

    /// Many times what an honest peer makes one attempt need. A handshake needs more: since OpenSSL
    /// 3.2 it reads no further than each record's header, and then its body.
    static constexpr int receives_per_attempt = 4;
    static constexpr int receives_per_handshake_attempt = 32;

    /// link: plays the socket, whose descriptor there is not, and outlives this; null: none.
    explicit transport(int fd, byte_link* link = nullptr) noexcept;
    transport(const transport&) = delete;
    transport& operator=(const transport&) = delete;

    /// A BIO on this transport, which must outlive it. Throws error.
    [[nodiscard]] bio_handle make_bio();

    /// Applies to what OpenSSL writes from now on. more: something comes right behind it, for which
    /// the socket may keep a segment that is not full.
    void set_mode(write_mode mode, bool more = false) noexcept {
        mode_ = mode;
        more_ = more;
    }

    /// The kernel said so: ask it again.
    void now_readable() noexcept { drained_ = false; }
    void now_writable() noexcept { full_ = false; }

    /// It knows that there is nothing to receive.
    [[nodiscard]] bool drained() const noexcept { return drained_ && !kept_; }

    /// Grants one attempt's receives. Past them it is silent, and paused(), so that a peer that
    /// always has more cannot keep OpenSSL, and with it this thread, in one call.
    void grant_receives(int most) noexcept { receives_left_ = most; }
    [[nodiscard]] bool paused() const noexcept { return receives_left_ == 0 && !drained_; }

    /// Whether anything was received, or its end, since this was last asked.
    [[nodiscard]] bool take_consumed() noexcept { return std::exchange(consumed_, false); }

    /// Keeps what is received from now on, for another SSL to receive it once more. More than any
    /// ClientHello needs ends reading with EMSGSIZE.
    void keep_input();
    /// What was kept comes once more, before anything else.
    void replay_input() noexcept;
    /// Keeps no more than has still to come once more.
    void drop_input() noexcept;
    /// This comes before anything that the socket has: what somebody else received from it.
    void begin_with(std::span<const std::byte> input);

    [[nodiscard]] bool spilled() const noexcept { return !spill_.empty(); }
    /// A link has something that has not left.
    [[nodiscard]] bool in_flight() const noexcept { return link_ && link_in_flight(); }
    [[nodiscard]] bool unsent() const noexcept { return spilled() || in_flight(); }
    /// Marks what has been written until now, to tell when that has left: others may write behind
    /// it all the time. Over a socket, the spill is all that can stay behind.
    void mark() noexcept;
    [[nodiscard]] bool mark_has_left() const noexcept;
    /// Sends what it can of the spill: nothing if the socket is known to be full. True if nothing
    /// is left of it.
    bool flush();
    /// Drops the spill, and swallows what is written from now on, in each mode: the socket will
    /// take no more.
    void give_up_writing(int code) noexcept;

    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] int read_error() const noexcept { return read_error_; }
    [[nodiscard]] int write_error() const noexcept { return write_error_; }
    /// The same, and what a link knows of it.
    [[nodiscard]] failure read_failure() const noexcept;
    [[nodiscard]] failure write_failure() const noexcept;
    [[nodiscard]] stream_counters& counters() noexcept { return counters_; }
    [[nodiscard]] const stream_counters& counters() const noexcept { return counters_; }

  private:
    /// OpenSSL's callbacks.
    struct method;

    struct kept_input {
        std::vector<std::byte> bytes;
        std::size_t next = 0; ///< what has still to come once more begins there
        bool open = true;     ///< more is kept
    };

    int read(BIO* bio, char* into, int size) noexcept;
    int write(BIO* bio, const char* from, int size) noexcept;
    int replay(std::span<std::byte> into) noexcept;
    [[nodiscard]] bool keep(std::span<const std::byte> received) noexcept;
    [[nodiscard]] bool link_in_flight() const noexcept;
    std::ptrdiff_t receive_once(std::span<std::byte> into) noexcept;
    std::ptrdiff_t send_once(std::span<const std::byte> from, bool more) noexcept;
    std::ptrdiff_t send(std::span<const std::byte> from, bool more) noexcept;
    void push() noexcept;
    int take_rest(BIO* bio, std::span<const std::byte> rest, int size) noexcept;

    int fd_;
    byte_link* link_;
    write_mode mode_ = write_mode::direct;
    bool more_ = false;
    bool withheld_ = false; ///< the socket may keep the end of the last send
    bool drained_ = false;  ///< the last receive was short: nothing there until readiness
    bool full_ = false;     ///< the last send was short: no room until readiness
    bool consumed_ = false;
    bool ended_ = false;  ///< the peer's FIN was received
    int read_error_ = 0;  ///< errno of the receive that failed; 0: none has
    int write_error_ = 0; ///< errno of the send that failed; 0: none has
    int receives_left_ = receives_per_attempt;
    std::vector<std::byte> spill_;
    std::size_t spill_begin_ = 0; ///< what of the spill has left
    std::unique_ptr<kept_input> kept_;
    stream_counters counters_;
};

} // namespace ringtls::detail
