// SPDX-License-Identifier: MIT
// A conversation is run once to count the turns in which its operations wait, then again for each
// of these turns and each way to end a wait. Whatever is struck, every byte is accounted for.
#include "../support/conversation.hpp"
#include "../support/memory_pipe.hpp"

#include <string>
#include <string_view>
#include <thread>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::act;
using test::conversation;

enum class strike {
    none,
    stop,
    stop_by_thread,
    deadline,
    stop_and_deadline,
    destroy_frame,
    destroy_stream,
    move_stream,
};

constexpr std::array<std::string_view, 8> strike_names = {
    "none",          "stop",           "stop by a thread", "deadline", "stop and deadline",
    "destroy frame", "destroy stream", "move stream"};

/// Strikes at one wait, or at every so many-th, and has the subject go on as the contract says that
/// it can.
class striker final : public test::striker {
  public:
    striker(manual_clock& clock, strike what, int at, int every) noexcept
        : clock_(clock), what_(what), at_(at), every_(every) {}

    void waits(conversation& with) override {
        if (with.waits != at_ && (every_ == 0 || with.waits % every_ != 0))
            return;
        switch (what_) {
        case strike::none:
            return;
        case strike::stop:
            with.stop.request_stop();
            return;
        case strike::stop_by_thread:
            std::thread([&with] { with.stop.request_stop(); }).join();
            return;
        case strike::deadline:
            clock_.advance(2h);
            return;
        case strike::stop_and_deadline:
            with.stop.request_stop();
            clock_.advance(2h);
            return;
        case strike::destroy_frame:
            with.destroy_frame();
            return;
        case strike::destroy_stream:
            with.subject.talks.reset();
            return;
        case strike::move_stream:
            with.subject.talks = std::make_unique<stream>(std::move(*with.subject.talks));
            return;
        }
    }

    bool goes_on(conversation& with) override {
        const bool stopped = with.code == errc::canceled;
        const bool late = with.code == errc::timed_out;
        if (stopped || late)
            ++ended_;
        // One that comes after the end has nothing to end.
        with.stop.request_stop();
        with.stop = std::stop_source();
        if (!with.subject.talks)
            return false;
        const bool may_stop = what_ == strike::stop || what_ == strike::stop_by_thread ||
                              what_ == strike::stop_and_deadline;
        const bool may_be_late = what_ == strike::deadline || what_ == strike::stop_and_deadline;
        return !with.code || (stopped && may_stop) || (late && may_be_late);
    }

    /// Operations that ended by it.
    [[nodiscard]] int ended() const noexcept { return ended_; }

  private:
    manual_clock& clock_;
    strike what_;
    int at_;
    int every_;
    int ended_ = 0;
};

/// What the conversation's streams are over.
enum class below { sockets, pipe, tls };

/// What the two do, and with whom.
struct setting {
    std::string name;
    below over = below::sockets;
    std::vector<test::line> script;
    tls_version version = tls_version::tls_1_3;
    bool subject_is_client = true;
    int buffer = 1;
    std::size_t outgoing = 0;
    std::size_t incoming = 0;
    bool reads_to_end = true;
    int often = 1; ///< the shortest of the intervals of strikes
};

/// Contexts, loop and clock, once for all the runs.
class sweep {
  public:
    explicit sweep(const setting& of)
        : of_(of),
          client_(test::only(test::trusting(), of.version)),
          server_(test::only(test::serving(), of.version)),
          outgoing_(test::random_bytes(of.outgoing, 1)),
          incoming_(test::random_bytes(of.incoming, 2)) {}

    void run() {
        const int points = run_once(strike::none, 0);
        REQUIRE(points > 5);
        int ended = 0;
        int runs = 0;
        for (const auto what :
             {strike::stop, strike::stop_by_thread, strike::deadline, strike::stop_and_deadline,
              strike::destroy_frame, strike::destroy_stream, strike::move_stream}) {
            ended_ = 0;
            const int first = 1 + static_cast<int>(what) % RINGTLS_TEST_STRIDE;
            for (int at = first; at <= points; at += RINGTLS_TEST_STRIDE, ++runs)
                run_once(what, at);
            ended += ended_;
            const bool ends = what != strike::destroy_frame && what != strike::move_stream;
            CAPTURE(strike_names.at(static_cast<std::size_t>(what)));
            if (ends)
                CHECK(ended_ > points / RINGTLS_TEST_STRIDE / 2);
            else
                CHECK(ended_ == 0);
        }
        for (const auto what : {strike::stop, strike::deadline, strike::move_stream}) {
            for (int every = of_.often; every <= 7; every += RINGTLS_TEST_STRIDE, ++runs)
                run_once(what, 0, every);
        }
        MESSAGE(of_.name << ": " << points << " suspension points, " << runs << " runs, " << ended
                         << " operations ended by a strike");
    }

  private:
    test::stream_pair ends() {
        if (of_.over == below::pipe) {
            test::pipe_habits habits;
            habits.most = 700;
            habits.capacity = 5000;
            habits.turns = 1;
            auto pipe = test::memory_pipe::make(loop_, habits);
            return {std::move(pipe.client), std::move(pipe.server), client_, server_};
        }
        test::stream_pair outer(test::connected_pair(loop_, of_.buffer), client_, server_);
        return of_.over == below::tls ? test::inside(std::move(outer), client_, server_)
                                      : std::move(outer);
    }

    /// The number of suspension points.
    int run_once(strike what, int at, int every = 0) {
        CAPTURE(of_.name);
        CAPTURE(strike_names.at(static_cast<std::size_t>(what)));
        CAPTURE(at);
        conversation talk(loop_, ends(), of_.subject_is_client, outgoing_, incoming_);
        striker with(clock_, what, at, every);
        const bool in_time = talk.run(of_.script, with);
        ended_ += with.ended();
        REQUIRE(in_time);
        CHECK((with.ended() <= 1 || every != 0));
        if (talk.subject.talks)
            check_whole(talk);
        else
            check_cut(talk, what);
        return talk.waits;
    }

    void check_whole(const conversation& talk) {
        CHECK(static_cast<std::size_t>(talk.lines) == of_.script.size());
        CHECK(talk.code == std::error_code());
        CHECK(talk.peer.read_code == std::error_code());
        CHECK(talk.peer.write_code == std::error_code());
        CHECK(talk.peer_code == std::error_code());
        CHECK(talk.subject.read_code == std::error_code());
        CHECK(talk.subject.write_code == std::error_code());
        CHECK(talk.subject.out.at == of_.outgoing);
        CHECK(talk.all_sent());
        CHECK((of_.reads_to_end ? talk.all_received() : talk.received_nothing_else()));
    }

    static void check_cut(const conversation& talk, strike what) {
        REQUIRE(what == strike::destroy_stream);
        CHECK((talk.code == errc::canceled || talk.now.what == act::join));
        CHECK(talk.sent_nothing_else());
        CHECK(talk.received_nothing_else());
    }

    const setting& of_;
    manual_clock clock_;
    event_loop loop_{event_loop_options().clock(clock_)};
    client_context client_;
    server_context server_;
    test::bytes outgoing_;
    test::bytes incoming_;
    int ended_ = 0;
};

/// What each version and each side does.
void sweep_all(setting of) {
    const auto name = of.name;
    for (const bool client : {true, false}) {
        for (const auto version : {tls_version::tls_1_3, tls_version::tls_1_2}) {
            of.name = name + (client ? ", client" : ", server") +
                      (version == tls_version::tls_1_3 ? ", TLS 1.3" : ", TLS 1.2");
            of.subject_is_client = client;
            of.version = version;
            sweep(of).run();
        }
    }
}

} // namespace

TEST_CASE("every wait of a conversation can be struck in every way") {
    // The subject closes its side first and reads on.
    setting of;
    of.name = "half-close";
    of.script = {{act::handshake},
                 {act::write, 0},
                 {act::write, 1},
                 {act::write, 5},
                 {act::read_exactly, 5},
                 {act::write, 13},
                 {act::write_pieces, 64},
                 {act::readable},
                 {act::read, 64},
                 {act::key_update},
                 {act::read_exactly, 1024},
                 {act::write, 1024},
                 {act::write, 16384},
                 {act::read_exactly, 16385},
                 {act::write, 16385},
                 {act::key_update},
                 {act::write_pieces, 20000},
                 {act::close_write},
                 {act::read_to_end},
                 {act::shutdown}};
    of.outgoing = 1 + 5 + 13 + 64 + 1024 + 16384 + 16385 + 20000;
    of.incoming = 60000;
    sweep_all(of);
}

TEST_CASE("every wait of a writer can be struck while a reader waits beside it") {
    setting of;
    of.name = "writer beside a reader";
    of.script = {{act::start_reader},  {act::write, 50000}, {act::key_update},
                 {act::write, 100000}, {act::key_update},   {act::write_pieces, 30000},
                 {act::close_write},   {act::join},         {act::shutdown}};
    of.outgoing = 180000;
    of.incoming = 180000;
    sweep_all(of);
}

TEST_CASE("every wait of a reader can be struck while a writer waits beside it") {
    setting of;
    of.name = "reader beside a writer";
    of.script = {{act::start_writer, 150000},
                 {act::read, 5000},
                 {act::read_exactly, 60000},
                 {act::readable},
                 {act::read, 1},
                 {act::read_exactly, 40000},
                 {act::join},
                 {act::close_write},
                 {act::read_to_end},
                 {act::shutdown}};
    of.outgoing = 150000;
    of.incoming = 150000;
    sweep_all(of);
}

TEST_CASE("every wait of a shutdown that has to drop data can be struck") {
    setting of;
    of.name = "shutdown";
    of.script = {{act::write, 1000}, {act::read, 1000}, {act::shutdown}};
    of.outgoing = 1000;
    of.incoming = 200000;
    of.reads_to_end = false;
    sweep_all(of);
}

TEST_CASE("every wait of a conversation over other transports can be struck in every way") {
    setting of;
    of.script = {{act::handshake},    {act::write, 5},    {act::read_exactly, 5},
                 {act::readable},     {act::read, 64},    {act::key_update},
                 {act::write, 16385}, {act::key_update},  {act::read_exactly, 16385},
                 {act::close_write},  {act::read_to_end}, {act::shutdown}};
    of.outgoing = 5 + 16385;
    of.incoming = 30000;
    for (const auto over : {below::pipe, below::tls}) {
        of.over = over;
        of.often = 5; // a key update that is struck each time it waits is never done
        of.name = over == below::pipe ? "over a pipe" : "inside TLS";
        sweep_all(of);
    }
}

TEST_CASE("every wait of a duplex conversation over other transports can be struck") {
    setting of;
    of.script = {{act::start_reader}, {act::write, 50000}, {act::key_update}, {act::write, 30000},
                 {act::close_write},  {act::join},         {act::shutdown}};
    of.outgoing = 80000;
    of.incoming = 80000;
    for (const auto over : {below::pipe, below::tls}) {
        of.over = over;
        of.often = 5;
        of.name = over == below::pipe ? "duplex over a pipe" : "duplex inside TLS";
        sweep_all(of);
    }
}

TEST_CASE("every wait of a megabyte's write can be struck") {
    setting of;
    of.name = "megabyte";
    of.script = {{act::write, 1048576}, {act::shutdown}};
    of.outgoing = 1048576;
    of.incoming = 1;
    of.reads_to_end = false;
    sweep(of).run();
}

} // namespace ringtls
