// SPDX-License-Identifier: MIT
// One end of a connection: a stream, the coroutines that read and write, and what disturbs them.
#pragma once

#include "../started.hpp"
#include "dice.hpp"
#include "ledger.hpp"
#include "world.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ringtls::soak {

/// What a side means to do, before anything disturbs it.
struct side_plan {
    std::string_view name;     ///< for people
    std::size_t total = 0;     ///< bytes to write
    unsigned size_bits = 1;    ///< sizes of reads and writes: below two to the power of this
    unsigned rest_bits = 1;    ///< turns of rest between them, likewise
    bool shakes_hands = false; ///< explicitly; else the first read or write does it
    bool updates_keys = false;
    bool shuts_down = false;   ///< instead of close_write() and reading to the end
    bool leaves_early = false; ///< without waiting for the other side to be done, too
    std::size_t calm = 1;      ///< disturbed once in so many turns
    std::string protocol;      ///< what must be negotiated; empty: whatever
};

/// Who is told of a broken promise.
struct judge {
    /// Tells of it, and ends the program.
    [[noreturn]] void broken(const std::string& promise) const {
        report(promise);
        std::puts("soak: FAILED");
        std::fflush(stdout);
        std::_Exit(1);
    }
    virtual void report(const std::string& promise) const = 0;
    /// Whether a connection may fail so, after what was done to it.
    [[nodiscard]] virtual bool may_fail(const error& why) const = 0;

  protected:
    ~judge() = default;
};

class side {
  public:
    side(world& around, const judge& by, std::uint64_t seed, const side_plan& plan, ledger& in,
         ledger& out);
    side(const side&) = delete;
    side& operator=(const side&) = delete;
    ~side() { leave(); }

    /// Begins.
    void begin(std::unique_ptr<stream> with);
    /// Once a turn of the loop: goes on with what was destroyed, and disturbs.
    void turn();
    /// Destroys the stream. Its operations in flight end by that, if their frames do not first.
    void leave();

    /// Nothing is left to do or to wait for.
    [[nodiscard]] bool over() const;
    [[nodiscard]] bool gone() const noexcept { return !stream_; }
    /// Both directions have ended with close_notify.
    [[nodiscard]] bool closed() const noexcept { return read_over_ && write_over_ && !failure_; }
    [[nodiscard]] bool leaves_early() const noexcept { return plan_.leaves_early; }
    /// It dropped what arrived, by shutdown().
    [[nodiscard]] bool deaf() const noexcept { return deaf_; }
    [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }
    /// Grows whenever it gets anywhere.
    [[nodiscard]] std::size_t progress() const noexcept;
    [[nodiscard]] std::size_t disturbances() const noexcept { return disturbances_; }
    /// One line for people.
    [[nodiscard]] std::string state() const;

  private:
    /// What limits the operation in flight in one direction, and what it is: empty for none.
    struct direction {
        explicit direction(std::uint64_t seed) noexcept : luck(seed) {}

        dice luck;
        test::started frame;
        bool alive = false;   ///< has a frame that has not ended
        std::size_t rest = 0; ///< turns until a destroyed frame is followed by another
        std::string_view doing;
        loop_clock::duration within = loop_clock::duration::max();
        loop_clock::time_point until = loop_clock::time_point::max();
        std::stop_source stop{std::nostopstate};
        std::size_t overdue = 0; ///< turns since a limit should have ended it
    };

    test::started reading();
    test::started writing();
    test::started shutting_down();
    test::started riding(key_update_request request);
    test::started probing(bool reads);
    task<> read_some();
    task<> read_whole();
    task<> read_when_readable();
    task<> end_of_reading();
    task<> shake_hands();
    task<> write_some();
    task<> let_rider_end();
    task<> update_keys();
    task<> close_write();
    task<> end_of_writing();
    task<> pause(direction& in);

    void start_what_is_due();
    void disturb();
    void stop(direction& which);
    void destroy(direction& which);
    void take_unheard();
    void probe();
    void ride();
    static bool due(direction& which);
    void check_limits(direction& which);
    void begin_operation(direction& in, std::string_view what, bool limited = true);
    void operation_done(direction& in);
    bool own_doing(direction& in, const error& why);
    [[noreturn]] void broken(const std::string& promise) const;
    void fail(direction& in, const error& why);
    void reading_failed(const error& why);
    void writing_failed(const error& why);
    void written(const result<std::size_t>& done);
    void take(std::span<const std::byte> arrived);

    world& world_;
    const judge& judge_;
    side_plan plan_;
    ledger& in_;
    ledger& out_;
    dice trouble_;
    std::unique_ptr<stream> stream_;
    std::vector<std::byte> inbox_;
    std::vector<std::byte> outbox_;
    std::vector<std::span<const std::byte>> pieces_;
    std::size_t exactly_ = 0; ///< size of the read_exactly in flight
    direction read_;
    direction write_;
    test::started rider_; ///< a key update beside a write
    bool riding_ = false;
    bool established_ = false;
    bool closing_ = false; ///< close_write or shutdown has been tried
    bool read_over_ = false;
    bool write_over_ = false;
    bool deaf_ = false;
    std::error_code read_failure_; ///< what ended reading; none: close_notify
    std::error_code write_failure_;
    std::optional<error> failure_; ///< the first that was no doing of this side
    std::size_t key_updates_left_ = 20;
    std::size_t limits_left_ = 40;
    std::size_t disturbances_left_ = 40;
    std::size_t disturbances_ = 0;
};

} // namespace ringtls::soak
