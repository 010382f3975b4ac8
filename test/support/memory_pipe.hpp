// SPDX-License-Identifier: MIT
// Two byte_streams connected to each other by nothing but memory, and what they can be made to do.
#pragma once

#include "loopback.hpp"

#include <algorithm>
#include <coroutine>
#include <limits>
#include <memory>

namespace ringtls::test {

/// Suspends one coroutine until it is raised, which resumes that then and there.
class signal {
  public:
    class [[nodiscard]] wait {
      public:
        explicit wait(signal& on) noexcept : on_(on) {}
        wait(const wait&) = delete;
        wait& operator=(const wait&) = delete;
        ~wait() {
            if (on_.waiter_ == own_)
                on_.waiter_ = nullptr;
        }
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> own) noexcept { own_ = on_.waiter_ = own; }
        void await_resume() const noexcept {}

      private:
        signal& on_;
        std::coroutine_handle<> own_;
    };

    wait raised() noexcept { return wait(*this); }
    void raise() {
        if (waiter_)
            std::exchange(waiter_, nullptr).resume();
    }

  private:
    std::coroutine_handle<> waiter_;
};

/// How an end of a pipe behaves. The pair of ends shares it.
class pipe_habits {
  public:
    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

    pipe_habits() noexcept = default;

    std::size_t most = unlimited; ///< bytes that a read hands out at a time
    std::size_t capacity = 65536; ///< bytes on their way before a write has to wait
    int turns = 0;                ///< that each call takes
};

class memory_pipe final : public byte_stream {
    struct lane;

  public:
    /// Two ends of one pipe.
    struct ends {
        std::unique_ptr<memory_pipe> client;
        std::unique_ptr<memory_pipe> server;
    };
    static ends make(event_loop& loop, const pipe_habits& habits = {}) {
        auto there = std::make_shared<lane>();
        auto back = std::make_shared<lane>();
        ends made;
        made.client = std::make_unique<memory_pipe>(loop, habits, there, back);
        made.server = std::make_unique<memory_pipe>(loop, habits, back, there);
        return made;
    }

    memory_pipe(event_loop& loop, const pipe_habits& habits, std::shared_ptr<lane> out,
                std::shared_ptr<lane> in)
        : byte_stream(loop), habits_(habits), out_(std::move(out)), in_(std::move(in)) {}
    ~memory_pipe() override {
        end(*out_);
        end(*in_);
    }

    task<std::size_t> read(std::span<std::byte> into) override {
        ++reads;
        REQUIRE(!into.empty());
        REQUIRE(!std::exchange(reading_, true));
        co_await pause();
        if (reads == fails_read)
            throw std::system_error(fails_with, std::system_category(), "pipe broke");
        while (in_->bytes_left() == 0 && !in_->ended)
            co_await in_->filled.raised();
        auto count = std::min({into.size(), in_->bytes_left(), habits_.most});
        const auto from = std::span(in_->data).subspan(in_->taken).first(count);
        std::ranges::copy(from, into.begin());
        in_->taken += count;
        reading_ = false;
        in_->drained.raise();
        co_return count + lies;
    }

    task<> write(std::span<const std::byte> from) override {
        ++writes;
        REQUIRE(!from.empty());
        REQUIRE(from.size() <= 32768);
        REQUIRE(!std::exchange(writing_, true));
        co_await pause();
        while (!from.empty()) {
            if (writes == fails_write || out_->ended)
                throw std::system_error(fails_write_with, std::system_category(), "pipe is closed");
            const auto part =
                from.first(std::min(from.size(), habits_.capacity - out_->bytes_left()));
            out_->data.insert(out_->data.end(), part.begin(), part.end());
            from = from.subspan(part.size());
            out_->filled.raise();
            if (!from.empty() && out_->bytes_left() == habits_.capacity)
                co_await out_->drained.raised();
        }
        writing_ = false;
        ++written;
    }

    /// As a peer that has closed its sending side.
    void close_write() { end(*out_); }

    std::size_t lies = 0; ///< bytes that a read tells of beyond those that it read
    int fails_read = 0;   ///< that call throws; 0: none
    int fails_with = ECONNRESET;
    int fails_write = 0;
    int fails_write_with = EPIPE;
    int reads = 0; ///< calls
    int writes = 0;
    int written = 0; ///< writes that have completed

    /// Bytes that have been written to it and not been read.
    [[nodiscard]] std::size_t waiting() const { return in_->bytes_left(); }

  private:
    struct lane {
        bytes data;
        std::size_t taken = 0;
        bool ended = false;
        signal filled;
        signal drained;

        [[nodiscard]] std::size_t bytes_left() const { return data.size() - taken; }
    };

    static void end(lane& one) {
        one.ended = true;
        one.filled.raise();
        one.drained.raise();
    }

    task<> pause() {
        for (int i = 0; i < habits_.turns; ++i)
            co_await loop().yield();
    }

    const pipe_habits habits_;
    const std::shared_ptr<lane> out_;
    const std::shared_ptr<lane> in_;
    bool reading_ = false;
    bool writing_ = false;
};

} // namespace ringtls::test
