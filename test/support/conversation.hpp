// SPDX-License-Identifier: MIT
// A scripted conversation: a subject does one operation after the other and is struck at while it
// waits; an honest peer reads and writes all the while. At the end every byte is accounted for.
#pragma once

#include "../started.hpp"
#include "loopback.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <vector>

namespace ringtls::test {

enum class act {
    handshake,
    write,
    write_pieces,
    read, ///< once
    read_exactly,
    readable,
    key_update,
    close_write,
    read_to_end,
    shutdown,
    start_reader, ///< from here on a second coroutine reads, to the end
    start_writer, ///< from here on a second coroutine writes so many bytes
    join,         ///< waits for the end of that coroutine
};

struct line {
    act what;
    std::size_t size = 0;
};

/// Bytes that nobody counted, for the frame that knew of them was destroyed. Some of them, the
/// first ones, went their way.
struct gap {
    std::size_t at = 0;
    std::size_t size = 0;
};

/// Whether `got` is `sent` without the end of the gap.
inline bool is_all_but_gap(std::span<const std::byte> got, std::span<const std::byte> sent,
                           const gap& missing) {
    if (got.size() > sent.size() || sent.size() - got.size() > missing.size)
        return false;
    const auto behind = sent.subspan(missing.at + missing.size);
    const auto before = got.first(got.size() - behind.size());
    return std::ranges::equal(before, sent.first(before.size())) &&
           std::ranges::equal(got.last(behind.size()), behind);
}

/// One direction's bytes at one end, and how far they are accounted for.
struct ledger {
    bytes data;
    std::size_t at = 0;

    [[nodiscard]] std::span<std::byte> left() { return std::span(data).subspan(at); }
    [[nodiscard]] std::span<const std::byte> done() const { return std::span(data).first(at); }
};

/// An end of the conversation. All that it needs while it talks is allocated beforehand.
struct speaker {
    std::unique_ptr<stream> talks;
    ledger out; ///< data: all that it is to write
    ledger in;  ///< data: room for all that it is sent, for a gap, and for a byte too many
    started reader;
    started writer;
    std::error_code read_code;
    std::error_code write_code;
};

/// There may be no memory even for an error.
inline std::error_code out_of_memory() noexcept {
    return std::make_error_code(std::errc::not_enough_memory);
}

inline started read_lane(speaker& self) {
    try {
        for (;;) {
            const auto end = co_await as_result(self.talks->read(self.in.left()));
            self.read_code = end ? std::error_code() : end.error().code();
            if (!end || *end == 0)
                co_return;
            self.in.at += *end;
        }
    } catch (const std::bad_alloc&) {
        self.read_code = out_of_memory();
    }
}

inline started write_lane(speaker& self, std::size_t size) {
    try {
        const std::span<const std::byte> from = self.out.left().first(size);
        const auto end = co_await as_result(self.talks->write(from));
        self.out.at += end ? *end : end.error().bytes();
        self.write_code = end ? std::error_code() : end.error().code();
    } catch (const std::bad_alloc&) {
        self.write_code = out_of_memory();
    }
}

inline started shutdown_lane(speaker& self, std::error_code& code) {
    try {
        const auto end = co_await as_result(self.talks->shutdown());
        code = end ? std::error_code() : end.error().code();
    } catch (const std::bad_alloc&) {
        code = out_of_memory();
    }
}

class conversation;

/// What is done to a conversation that is under way.
class striker {
  public:
    virtual void begins() {}
    virtual void ends() {}
    /// The subject's operation waits, in this turn of the loop.
    virtual void waits(conversation& /*with*/) {}
    /// It has ended, or its frame is destroyed. False: this is the end of the conversation.
    virtual bool goes_on(conversation& with);

  protected:
    ~striker() = default;
};

class conversation {
  public:
    /// outgoing, incoming: what the subject and the peer are to write.
    conversation(event_loop& on, socket_pair sockets, const client_context& c,
                 const server_context& s, bool subject_is_client, const bytes& outgoing,
                 const bytes& incoming)
        : conversation(on, stream_pair(std::move(sockets), c, s), subject_is_client, outgoing,
                       incoming) {}
    conversation(event_loop& on, stream_pair ends, bool subject_is_client, const bytes& outgoing,
                 const bytes& incoming)
        : loop(on) {
        auto client = std::make_unique<stream>(std::move(ends.client));
        auto server = std::make_unique<stream>(std::move(ends.server));
        subject.talks = std::move(subject_is_client ? client : server);
        peer.talks = std::move(subject_is_client ? server : client);
        subject.out.data = peer.in.data = outgoing;
        peer.out.data = subject.in.data = incoming;
        subject.in.data.resize(2 * incoming.size() + 1);
        peer.in.data.emplace_back();
    }

    /// Runs the script to its end, or the striker's. False: it takes longer than any honest one.
    [[nodiscard]] bool run(const std::vector<line>& script, striker& with) {
        loop.run(talk(*this, script, with));
        return turns_ < most_turns;
    }

    /// What the subject wrote arrived.
    [[nodiscard]] bool all_sent() const {
        return is_all_but_gap(peer.in.done(), subject.out.done(), out_gap);
    }
    /// What the peer wrote arrived, to the end.
    [[nodiscard]] bool all_received() const {
        const auto got = subject.in.done();
        const std::span<const std::byte> sent = peer.out.data;
        if (got.size() < sent.size() || got.size() - sent.size() > in_gap.size)
            return false;
        const auto behind = got.subspan(in_gap.at + in_gap.size);
        const auto before = got.first(sent.size() - behind.size());
        return std::ranges::equal(before, sent.first(before.size())) &&
               std::ranges::equal(behind, sent.last(behind.size()));
    }
    /// What arrived is what was sent, as far as it went; of conversations without a gap.
    [[nodiscard]] bool sent_nothing_else() const {
        return begins_with(subject.out.data, peer.in.done());
    }
    [[nodiscard]] bool received_nothing_else() const {
        return begins_with(peer.out.data, subject.in.done());
    }

    /// The frame of the subject's operation dies. What only it knew is a gap now.
    void destroy_frame() {
        frame.destroy();
        code = {};
        if (now.what == act::write || now.what == act::write_pieces) {
            out_gap = {subject.out.at, left};
            subject.out.at += left;
            line_over = true;
        } else if (now.what == act::read_exactly) {
            in_gap = {subject.in.at, left};
            subject.in.at += left;
            line_over = true;
        }
    }

    event_loop& loop;
    speaker subject;
    speaker peer;
    std::error_code code;      ///< how the subject's last operation ended
    std::error_code peer_code; ///< how the peer's shutdown did
    started frame;             ///< the subject's operation that is under way
    line now{};
    std::size_t left = 0; ///< bytes of this line
    bool line_over = false;
    std::stop_source stop;
    gap out_gap;
    gap in_gap;
    int waits = 0; ///< turns in which the subject's operation waited
    int lines = 0; ///< those that ended well

  private:
    static constexpr int most_turns = 20'000;

    static bool begins_with(std::span<const std::byte> all, std::span<const std::byte> with) {
        return with.size() <= all.size() && std::ranges::equal(with, all.first(with.size()));
    }

    static task<> talk(conversation& self, const std::vector<line>& script, striker& with) {
        with.begins();
        self.peer.reader = read_lane(self.peer);
        self.peer.writer = write_lane(self.peer, self.peer.out.data.size());
        for (const auto& each : script) {
            self.now = each;
            self.left = each.size;
            self.line_over = false;
            bool on = true;
            while (on && !self.line_over && self.turns_ < most_turns) {
                self.frame = self.perform();
                while (!self.frame.ended() && self.turns_ < most_turns) {
                    ++self.waits;
                    with.waits(self);
                    co_await self.turn();
                }
                on = with.goes_on(self);
            }
            if (!self.line_over || !on)
                break;
            ++self.lines;
        }
        if (static_cast<std::size_t>(self.lines) < script.size())
            self.subject.talks.reset();
        while (!self.over())
            co_await self.turn();
        with.ends();
    }

    [[nodiscard]] bool over() {
        if (turns_ >= most_turns)
            return true;
        const bool lanes_over = peer.reader.ended() && peer.writer.ended() &&
                                subject.reader.ended() && subject.writer.ended();
        return lanes_over && closer_.ended() && (closing_ || peer.read_code || peer.write_code);
    }

    yield_operation turn() {
        ++turns_;
        const bool failed = peer.read_code || peer.write_code;
        if (failed || (closing_ && closer_.ended()))
            peer.talks.reset(); // as an honest program leaves
        else if (peer.reader.ended() && peer.writer.ended() && !std::exchange(closing_, true))
            closer_ = shutdown_lane(peer, peer_code);
        return loop.yield();
    }

    template<class Operation>
    auto bounded(Operation&& operation) {
        return operation.within(std::chrono::hours(1)).cancel_on(stop.get_token());
    }

    /// The line's operation, once.
    started perform() {
        try {
            switch (now.what) {
            case act::handshake: {
                const auto end = co_await as_result(bounded(subject.talks->handshake()));
                ended(end);
                break;
            }
            case act::write: {
                const auto end = co_await as_result(bounded(subject.talks->write(outgoing())));
                wrote(end);
                break;
            }
            case act::write_pieces: {
                const auto end = co_await as_result(bounded(subject.talks->write(in_pieces())));
                wrote(end);
                break;
            }
            case act::read:
            case act::read_to_end: {
                auto room = subject.in.left();
                if (now.what == act::read)
                    room = room.first(left);
                const auto end = co_await as_result(bounded(subject.talks->read(room)));
                received(end ? *end : 0);
                ended(end);
                line_over = end && (now.what == act::read || *end == 0);
                break;
            }
            case act::read_exactly: {
                const auto room = subject.in.left().first(left);
                const auto end = co_await as_result(bounded(subject.talks->read_exactly(room)));
                received(end ? room.size() : end.error().bytes());
                ended(end);
                break;
            }
            case act::readable: {
                const auto end = co_await as_result(bounded(subject.talks->readable()));
                ended(end);
                break;
            }
            case act::key_update: {
                const auto end = co_await as_result(
                    bounded(subject.talks->key_update(key_update_request::requested)));
                ended(end);
                if (code == errc::key_update_refused) { // as it is by TLS 1.2
                    code = {};
                    line_over = true;
                }
                break;
            }
            case act::close_write: {
                const auto end = co_await as_result(bounded(subject.talks->close_write()));
                ended(end);
                break;
            }
            case act::shutdown: {
                const auto end = co_await as_result(bounded(subject.talks->shutdown()));
                ended(end);
                break;
            }
            case act::start_reader:
                subject.reader = read_lane(subject);
                line_over = true;
                break;
            case act::start_writer:
                subject.writer = write_lane(subject, now.size);
                line_over = true;
                break;
            case act::join:
                while (!subject.reader.ended() || !subject.writer.ended())
                    co_await loop.yield();
                code = subject.read_code ? subject.read_code : subject.write_code;
                line_over = !code;
                break;
            }
        } catch (const std::bad_alloc&) {
            code = out_of_memory();
        }
    }

    template<class T>
    void ended(const result<T>& end) {
        code = end ? std::error_code() : end.error().code();
        line_over = end.has_value();
    }
    void wrote(const result<std::size_t>& end) {
        const auto count = end ? *end : end.error().bytes();
        subject.out.at += count;
        left -= count;
        ended(end);
        line_over = left == 0; // a cancel may come when only the last record has still to leave
    }
    void received(std::size_t count) {
        subject.in.at += count;
        left -= std::min(count, left);
    }

    std::span<const std::byte> outgoing() { return subject.out.left().first(left); }
    std::span<const std::span<const std::byte>> in_pieces() {
        const auto all = outgoing();
        const auto third = left / 3;
        pieces_ = {all.first(third), all.subspan(third, third), {}, all.subspan(2 * third)};
        return pieces_;
    }

    started closer_;
    bool closing_ = false;
    int turns_ = 0;
    std::array<std::span<const std::byte>, 4> pieces_;
};

inline bool striker::goes_on(conversation& with) {
    return !with.code;
}

} // namespace ringtls::test
