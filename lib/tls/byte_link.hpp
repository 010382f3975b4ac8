// SPDX-License-Identifier: MIT
// A byte_stream, made to look like a socket that never waits.
//
//   transport -- send -----> outbox_ -- swapped --> in_flight_ -- carry_out() -->
//   byte_stream::write
//        |                                                             |
//   connection <-- taken(), arrived(): try again                       v
//        |                                                     (its peer)
//   transport <-- receive -- inbox_ <-- carry_in(), when request()ed -- byte_stream::read
#pragma once

#include <ringtls/loop/operation.hpp>
#include <ringtls/tls/byte_stream.hpp>
#include <ringtls/tls/counters.hpp>

#include "../loop/held_coroutine.hpp"
#include "failure.hpp"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace ringtls::detail {

/// Told what a link has done; from the application's frames, so that it may only schedule.
class link_waiter {
  public:
    /// Bytes, the end or a failure: receive() has news.
    virtual void arrived() noexcept = 0;
    /// There is room, nothing left, or a failure: send() has news.
    virtual void taken() noexcept = 0;

  protected:
    ~link_waiter() = default;
};

/// Two coroutines of its own carry bytes between the byte_stream and two bounded queues. Destroying
/// it destroys them, wherever they wait, and then the byte_stream.
class byte_link {
  public:
    static constexpr std::size_t inbox_size = 16384;
    /// And as much may be in flight beside it.
    static constexpr std::size_t outbox_bound = 32768;

    /// Throws std::bad_alloc.
    byte_link(std::unique_ptr<byte_stream> below, link_waiter& waiter);
    byte_link(const byte_link&) = delete;
    byte_link& operator=(const byte_link&) = delete;

    /// Counts calls of the byte_stream there from now on.
    void count_in(stream_counters& counters) noexcept { counters_ = &counters; }

    /// As recv(2) and send(2) on a socket that does not block: -1 and errno, EAGAIN included.
    std::ptrdiff_t receive(std::span<std::byte> into) noexcept;
    std::ptrdiff_t send(std::span<const std::byte> from) noexcept;

    /// Somebody waits for input.
    void request() noexcept;

    /// The byte_stream has not taken everything yet.
    [[nodiscard]] bool unsent() const noexcept { return !outbox_.empty() || !in_flight_.empty(); }
    /// Marks what send() has accepted until now, and will next; and whether the byte_stream has
    /// taken that.
    void mark(std::size_t next) noexcept { mark_ = accepted_ + next; }
    [[nodiscard]] bool mark_is_taken() const noexcept { return taken_ >= mark_; }
    /// There is nobody at the other end any more, as far as is known.
    [[nodiscard]] bool hung_up() const noexcept {
        return ended_ || read_failure_ || write_failure_;
    }
    /// Why a direction has failed, if it has.
    [[nodiscard]] const failure& read_failure() const noexcept { return read_failure_; }
    [[nodiscard]] const failure& write_failure() const noexcept { return write_failure_; }
    /// That as errno, 0 for none.
    [[nodiscard]] static int errno_of(const failure& why) noexcept;

    [[nodiscard]] const byte_stream& below() const noexcept { return *below_; }

  private:
    /// One direction's coroutine, and its place in the loop.
    class lane final : private loop_entry {
      public:
        /// The coroutine waits to be woken from its beginning.
        lane(loop_core& core, held_coroutine coroutine) noexcept;
        lane(const lane&) = delete;
        lane& operator=(const lane&) = delete;
        ~lane();

        /// Has the loop resume it, unless it is under way: then it looks again by itself.
        void wake() noexcept;
        /// For its coroutine to wait.
        [[nodiscard]] auto woken() noexcept {
            struct awaiter {
                lane* self;
                [[nodiscard]] bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<> /*own*/) const noexcept {
                    self->waits_ = true;
                }
                void await_resume() const noexcept {}
            };
            return awaiter{this};
        }

      private:
        /// Then others have their turn, whoever else keeps it busy.
        static constexpr int most_in_a_turn = 32;

        void on(cause why, short events) override;

        loop_core& core_;
        held_coroutine frame_;
        bool waits_ = true;
        int woken_ = 0;          ///< in the turn of the last look
        std::uint64_t look_ = 0; ///< of the loop's at the kernel, when it was last woken
    };

    static held_coroutine carry_in(byte_link& self);
    static held_coroutine carry_out(byte_link& self);
    task<std::size_t> read();
    [[nodiscard]] std::span<std::byte> room() noexcept;

    std::unique_ptr<byte_stream> below_;
    link_waiter& waiter_;
    stream_counters* counters_ = nullptr;
    std::vector<std::byte> inbox_; ///< always of its size
    std::size_t begin_ = 0;        ///< what is in the inbox
    std::size_t end_ = 0;
    bool requested_ = false; ///< since the last read began or ended
    bool refused_ = false;   ///< something that was to be sent, since the outbox was last emptied
    bool ended_ = false;
    std::vector<std::byte> outbox_;
    std::vector<std::byte> in_flight_; ///< what the byte_stream writes at the moment
    std::uint64_t accepted_ = 0;
    std::uint64_t taken_ = 0;
    std::uint64_t mark_ = 0;
    failure read_failure_;
    failure write_failure_;
    lane input_; ///< last: the coroutines use all of the above
    lane output_;
};

} // namespace ringtls::detail
