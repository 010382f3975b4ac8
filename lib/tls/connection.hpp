// SPDX-License-Identifier: MIT
// A stream's inside, at one address for life: who uses which direction, and the one WANT loop.
//
//   stream_operation.attempt() -> connection::attempt()
//        |                            |  first the handshake, if it is not done
//        |                            v
//        |          one step of the engine for this call
//        |            done -------> accounted; the next step, or the operation is over
//        |            want_read --> wait_for::readable    } an io_uring poll; its completion
//        |            want_write -> wait_for::writable    } attempts again, here
//        |            want_decision -> wait_for::notification by the application's decision
//        |            want_write with a spill -> wait_for::notification by the spill's own poll
//        v            closed, failed -> the operation is over
//   the coroutine is resumed only when the operation is over
#pragma once

#include <ringtls/net/socket.hpp>
#include <ringtls/tls/stream_operations.hpp>

#include "byte_link.hpp"
#include "context.hpp"
#include "decision.hpp"
#include "engine.hpp"
#include "loop_totals.hpp"

#include <memory>
#include <string>

namespace ringtls::detail {

class connection final : private loop_entry, private decision_waiter, private link_waiter {
  public:
    connection(socket transport, std::shared_ptr<const context> settings, const std::string& name);
    /// Over a byte_stream, which is not null.
    connection(std::unique_ptr<byte_stream> below, std::shared_ptr<const context> settings,
               const std::string& name);
    ~connection();

    /// Takes the operation's directions for it; false, with the operation failed, if one is busy.
    bool claim(stream_operation& op);
    wait_for attempt(stream_operation& op);
    /// The operation will not be attempted again.
    void withdraw(stream_operation& op) noexcept;

    void limit_waits(loop_clock::duration reading, loop_clock::duration writing) noexcept {
        reading_limit_ = reading;
        writing_limit_ = writing;
    }
    /// Gives the socket away after a clean end; nothing but destruction may follow. Throws error.
    [[nodiscard]] socket detach();

    [[nodiscard]] const socket& carrier() const noexcept { return carrier_; }
    /// Throws error.
    [[nodiscard]] address peer_address() const;
    [[nodiscard]] const engine& tls() const noexcept { return tls_; }
    [[nodiscard]] engine& tls() noexcept { return tls_; }

  private:
    using call = stream_operation::call;

    /// What an operation for this call may take.
    [[nodiscard]] loop_clock::duration limit_of(call what) const noexcept;
    wait_for progress(stream_operation& op);
    wait_for perform(stream_operation& op);
    wait_for once_shaken(stream_operation& op);
    wait_for read(stream_operation& op);
    wait_for read_exactly(stream_operation& op);
    wait_for read_early(stream_operation& op);
    wait_for early_data_first(stream_operation& op);
    wait_for after_early_data(stream_operation& op);
    [[nodiscard]] bool answers_early(const stream_operation& op) const noexcept;
    void abandon_early_data(stream_operation& op) noexcept;
    wait_for readable(stream_operation& op);
    wait_for write(stream_operation& op);
    wait_for ready_to_write(stream_operation& op);
    wait_for past_handshake(stream_operation& op);
    wait_for behind_data(stream_operation& op);
    wait_for close_write(stream_operation& op);
    wait_for send_close_notify(stream_operation& op);
    wait_for shutdown(stream_operation& op);
    wait_for key_update(stream_operation& op);
    wait_for once_sent(stream_operation& op);
    wait_for once_left(stream_operation& op, bool has_left);
    wait_for conclude(stream_operation& op, step ended);
    wait_for want(step what);
    [[nodiscard]] bool deciding() noexcept;
    wait_for fail(stream_operation& op, const failure& reported);
    void look_for_alert() noexcept;

    step read_step(std::span<std::byte> into, std::size_t& count);
    step write_step(stream_operation& op, bool more, std::size_t& count);
    step gather_step(stream_operation& op, bool more, std::size_t& count);
    [[nodiscard]] step check_key_updates(step after) noexcept;
    void settle_write() noexcept;
    static std::span<const std::byte> next_record(const stream_operation& op) noexcept;
    static bool exceeds_record(const stream_operation& op) noexcept;
    static void advance(stream_operation& op, std::size_t count) noexcept;

    void release(stream_operation& op) noexcept;
    void wake_others(const stream_operation& but, bool consumed) noexcept;
    void note_write_failure() noexcept;
    void note_failure(const failure& why, bool reading_over) noexcept;
    [[nodiscard]] bool tend_spill() noexcept;
    void wake_notified() noexcept;
    void decided() noexcept override { wake_notified(); }
    void arrived() noexcept override;
    void taken() noexcept override;
    void give_up_writing() noexcept;
    /// For an operation that waits for input.
    void want_input() noexcept {
        if (link_)
            link_->request();
    }
    [[nodiscard]] bool lingers(const stream_operation& op) noexcept;
    void on(cause why, short events) override;

    socket carrier_;                  ///< of a connection with a link, one without a descriptor
    std::unique_ptr<byte_link> link_; ///< what it is over in place of a socket; null: it is not
    engine tls_;
    loop_clock::duration reading_limit_ = loop_clock::duration::max();
    loop_clock::duration writing_limit_ = loop_clock::duration::max();
    loop_totals::member totals_; ///< after the engine, whose counters it reads at its end
    stream_operation* reader_ = nullptr;
    stream_operation* writer_ = nullptr;
    stream_operation* rider_ = nullptr; ///< a key update beside a write
    failure first_;                     ///< the first fatal failure, of either direction
    bool reading_over_ = false;         ///< first_ is fatal for reading, too
    bool lingered_ = false;             ///< for an alert to leave by a link
    bool early_abandoned_ = false;      ///< early data was sent by an operation that is gone
    int key_updates_ = 0;               ///< received since then
    loop_clock::time_point key_updates_since_;
    std::unique_ptr<decision> decision_; ///< what the handshake waits for; null: nothing
};

} // namespace ringtls::detail
