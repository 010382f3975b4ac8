// SPDX-License-Identifier: MIT
// A conversation is run once to count its system calls and allocations, then again with each of
// them failing in each way. It ends in the exact bytes or in one clear error, and soon.
#include "../descriptors.hpp"
#include "../support/conversation.hpp"
#include "../support/failing_memory.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using ringtls::test::fault;

/// How a system call fails: an errno, or one of these.
constexpr int answers_short = -1; ///< does one byte
constexpr int answers_zero = 0;

fault receiving;
fault sending;
int way = 0;

/// A leak is seen as often as it is looked for. OpenSSL loads some things when it first needs them,
/// and keeps the texts of its last 16 errors.
constexpr int most_kept = 20;

} // namespace

// These take the place of the C library's and the C++ library's in this whole program.

extern "C" ssize_t recv(int fd, void* into, std::size_t size, int flags) {
    if (receiving.strikes()) {
        if (way == answers_zero)
            return 0;
        if (way != answers_short) {
            errno = way;
            return -1;
        }
        size = std::min<std::size_t>(size, 1);
    }
    return ::syscall(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
}

extern "C" ssize_t send(int fd, const void* from, std::size_t size, int flags) {
    if (sending.strikes()) {
        if (way == answers_zero)
            return 0;
        if (way != answers_short) {
            errno = way;
            return -1;
        }
        size = std::min<std::size_t>(size, 1);
        flags &= ~MSG_MORE; // as the kernel forgets it where it has no room
    }
    return ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
}

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::act;
using test::allocated;
using test::allocating;
using test::allocating_with_new;
using test::conversation;

const std::vector<test::line>& script() {
    static const std::vector<test::line> lines = {{act::handshake},
                                                  {act::write, 5},
                                                  {act::read_exactly, 5},
                                                  {act::key_update},
                                                  {act::write_pieces, 64},
                                                  {act::readable},
                                                  {act::read, 64},
                                                  {act::write, 40000},
                                                  {act::read_exactly, 30000},
                                                  {act::start_reader},
                                                  {act::write, 20000},
                                                  {act::key_update},
                                                  {act::write_pieces, 5000},
                                                  {act::close_write},
                                                  {act::join},
                                                  {act::shutdown}};
    return lines;
}
constexpr std::size_t outgoing_size = 5 + 64 + 40000 + 20000 + 5000;
constexpr std::size_t incoming_size = 60000;

class arming final : public test::striker {
  public:
    arming(fault& which, int at) noexcept : which_(which), at_(at) {}
    void begins() override { which_.arm(at_); }
    void ends() override { count_ = which_.disarm(); }
    [[nodiscard]] int count() const noexcept { return count_; }

  private:
    fault& which_;
    int at_;
    int count_ = 0;
};

test::started wait_for_ever(event_loop& loop, int fd) {
    co_await loop.poll(fd, poll_events::readable);
}

class sweep {
  public:
    /// polls: so many wait on the loop beside the conversation.
    sweep(std::string name, bool subject_is_client, tls_version version, int polls = 0,
          const client_settings& client = test::trusting(),
          const server_settings& server = test::serving())
        : name_(std::move(name)),
          polls_(polls),
          subject_is_client_(subject_is_client),
          client_(test::only(client, version)),
          server_(test::only(server, version)),
          outgoing_(test::random_bytes(outgoing_size, 1)),
          incoming_(test::random_bytes(incoming_size, 2)) {}

    /// Runs with the at-th call failing; 0: with none, and counts them.
    int run(fault& which, int at) {
        CAPTURE(name_);
        CAPTURE(at);
        const long before = allocated;
        int count = 0;
        {
            event_loop loop;
            std::vector<test::started> beside;
            for (int i = 0; i < polls_; ++i)
                beside.push_back(wait_for_ever(loop, never_ready_.fd()));
            conversation talk(loop, ends(loop), subject_is_client_, outgoing_, incoming_);
            arming with(which, at);
            const bool in_time = talk.run(script(), with);
            count = with.count();
            which.disarm();
            REQUIRE(in_time);
            judge(talk);
        }
        leaked_ = allocated - before;
        return count;
    }

    /// The conversation is inside another pair's TLS.
    sweep& inside_tls() noexcept {
        inside_tls_ = true;
        return *this;
    }

    void run_leakless(fault& which, int at) {
        run(which, at);
        for (int again = 1; leaked_ > 0 && again < most_kept; ++again)
            run(which, at);
        CHECK(leaked_ <= 0);
    }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool whole() const noexcept { return whole_; }
    /// Whether one of the errors is this one's: an errno, or the end of TCP.
    [[nodiscard]] bool tells_of(int failure) const {
        const std::error_code expected = failure == answers_zero
                                             ? make_error_code(errc::truncated)
                                             : std::error_code(failure, std::system_category());
        return std::ranges::find(codes_, expected) != codes_.end();
    }

  private:
    test::stream_pair ends(event_loop& loop) const {
        test::stream_pair outer(test::connected_pair(loop, 1), client_, server_);
        return inside_tls_ ? test::inside(std::move(outer), client_, server_) : std::move(outer);
    }

    void judge(const conversation& talk) {
        CHECK(talk.sent_nothing_else());
        CHECK(talk.received_nothing_else());
        codes_.clear();
        for (const auto& code :
             {talk.code, talk.peer_code, talk.subject.read_code, talk.subject.write_code,
              talk.peer.read_code, talk.peer.write_code}) {
            if (code)
                codes_.push_back(code);
        }
        const bool all = static_cast<std::size_t>(talk.lines) == script().size() &&
                         talk.all_sent() && talk.all_received();
        whole_ = all && codes_.empty();
        // One or the other: what was lost without an error is the worst of all.
        CHECK((whole_ || !codes_.empty()));
    }

    std::string name_;
    int polls_;
    bool inside_tls_ = false;
    bool subject_is_client_;
    test::descriptor never_ready_ = test::make_eventfd();
    client_context client_;
    server_context server_;
    test::bytes outgoing_;
    test::bytes incoming_;
    std::vector<std::error_code> codes_;
    bool whole_ = false;
    long leaked_ = 0;
};

struct kind {
    std::string_view name;
    int way;
    bool harmless; ///< only a reason to try again
};

constexpr std::array kinds = {
    kind{"short", answers_short, true},
    kind{"EAGAIN", EAGAIN, true},
    kind{"EINTR", EINTR, true},
    kind{"0", answers_zero, false},
    kind{"ECONNRESET", ECONNRESET, false},
    kind{"EPIPE", EPIPE, false},
    kind{"ENOBUFS", ENOBUFS, false},
    kind{"ETIMEDOUT", ETIMEDOUT, false},
};

void sweep_calls(sweep& with, fault& which, std::string_view name) {
    with.run(which, 0);
    REQUIRE(with.whole());
    const int calls = with.run(which, 0);
    int runs = 0;
    int failed = 0;
    for (const auto& each : kinds) {
        CAPTURE(each.name);
        const bool harmless = each.harmless || (&which == &sending && each.way == answers_zero);
        const int first = 1 + runs % RINGTLS_TEST_STRIDE;
        for (int at = first; at <= calls; at += RINGTLS_TEST_STRIDE, ++runs) {
            CAPTURE(at);
            way = each.way;
            with.run_leakless(which, at);
            failed += with.whole() ? 0 : 1;
            CHECK(with.whole() == harmless);
            // Nobody misses the answer to a close_notify but the one who waits for it.
            const bool last = &which == &sending && at == calls;
            CHECK((harmless || with.tells_of(last ? answers_zero : each.way)));
        }
    }
    MESSAGE(with.name() << ", " << name << ": " << calls << " calls, " << runs << " runs, "
                        << failed << " of them ended in an error");
}

/// Each allocation, or every so many-th.
void sweep_allocations(sweep& with, fault& which, std::string_view whose, int every = 1) {
    with.run(which, 0);
    REQUIRE(with.whole());
    const int calls = with.run(which, 0);
    const int stride = calls < 100 ? 1 : every * RINGTLS_TEST_STRIDE;
    int failed = 0;
    for (int at = 1; at <= calls; at += stride) {
        with.run_leakless(which, at);
        failed += with.whole() ? 0 : 1;
    }
    MESSAGE(with.name() << ", " << whose << ": " << calls << " allocations, " << failed
                        << " runs ended in an error");
}

std::string name_of(bool client, tls_version version) {
    return std::string(client ? "client" : "server") +
           (version == tls_version::tls_1_3 ? ", TLS 1.3" : ", TLS 1.2");
}

} // namespace

TEST_CASE("each system call of a conversation can fail in each way") {
    REQUIRE(test::hooked);
    for (const bool client : {true, false}) {
        for (const auto version : {tls_version::tls_1_3, tls_version::tls_1_2}) {
            sweep with(name_of(client, version), client, version);
            sweep_calls(with, receiving, "recv");
            sweep_calls(with, sending, "send");
        }
    }
}

TEST_CASE("each allocation of a conversation can fail") {
    REQUIRE(test::hooked);
    for (const bool client : {true, false}) {
        for (const auto version : {tls_version::tls_1_3, tls_version::tls_1_2}) {
            sweep with(name_of(client, version), client, version);
            sweep_allocations(with, allocating, "OpenSSL's");
            sweep_allocations(with, allocating_with_new, "ours");
        }
    }
}

TEST_CASE("each allocation of a conversation inside TLS can fail") {
    REQUIRE(test::hooked);
    for (const bool client : {true, false}) {
        const auto version = client ? tls_version::tls_1_3 : tls_version::tls_1_2;
        sweep with(name_of(client, version) + ", inside TLS", client, version);
        with.inside_tls();
        sweep_allocations(with, allocating, "OpenSSL's", 7);
        sweep_allocations(with, allocating_with_new, "ours");
    }
}

namespace {

/// By another context than the one that asks, whose certificate the client never gets to see.
task<client_hello_answer> choose(const server_context& to) {
    co_return client_hello_answer::use(to);
}

task<verdict> judge(std::string subject) {
    CHECK(subject == "CN=localhost");
    co_return verdict::as_found();
}

task<std::optional<identity>> present(const identity& self) {
    co_return self;
}

} // namespace

TEST_CASE("each allocation of a handshake with decisions can fail") {
    REQUIRE(test::hooked);
    for (const auto version : {tls_version::tls_1_3, tls_version::tls_1_2}) {
        const auto self = test::named_identity("rsa");
        const server_context to(
            test::only(test::serving().on_certificate_needed(
                           [&self](const certificate_request&) { return present(self); }),
                       version));
        const auto server = server_settings(test::named_identity("elsewhere"))
                                .on_client_hello([&to](const client_hello&) { return choose(to); });
        const auto client = test::trusting().on_server_certificate(
            [](const server_certificate& seen) { return judge(seen.chain.front().subject); });
        sweep with(name_of(true, version) + ", decisions", true, version, 0, client, server);
        sweep_allocations(with, allocating, "OpenSSL's", 3);
        sweep_allocations(with, allocating_with_new, "ours");
    }
}

TEST_CASE("no memory for the spill ends writing, and leaves reading as it was") {
    for (const bool gathered : {true, false}) {
        CAPTURE(gathered);
        test::loopback link(1);
        link.loop.run([](test::loopback& on, bool in_pieces) -> task<> {
            const auto much = test::random_bytes(500'000);
            std::vector<std::span<const std::byte>> pieces;
            for (std::size_t at = 0; at < much.size(); at += 1000)
                pieces.push_back(std::span(much).subspan(at, 1000));
            co_await on.server.write("abc");
            allocating_with_new.arm(1);
            if (in_pieces) {
                const auto written = co_await as_result(on.client.write(pieces));
                REQUIRE(!written);
                CHECK(written.error().code() == std::errc::not_enough_memory);
            } else {
                const auto late = co_await as_result(on.client.write(much).within(0s));
                REQUIRE(!late);
                CHECK(late.error().code() == errc::timed_out);
            }
            CHECK(allocating_with_new.disarm() > 0);
            std::array<std::byte, 3> got;
            co_await on.client.read_exactly(got);
            const auto again = co_await as_result(on.client.write("x"));
            REQUIRE(!again);
            CHECK(again.error().code() == std::errc::not_enough_memory);
        }(link, gathered));
    }
}

TEST_CASE("each allocation of what a conversation needs can fail") {
    event_loop loop;
    const auto trusting = test::trusting();
    const auto serving = test::serving();
    const client_context client(trusting);
    const server_context server(serving);
    auto sockets = test::connected_pair(loop);
    const auto make = [&](int which) {
        if (which == 0)
            const client_context made(trusting);
        else if (which == 1)
            const server_context made(serving);
        else if (which == 2)
            const stream made(std::move(sockets.client), client, "localhost");
        else
            const stream made(std::move(sockets.server), server);
    };
    for (const int which : {0, 1, 2, 3}) {
        CAPTURE(which);
        for (fault* const whose : {&allocating, &allocating_with_new}) {
            make(which); // once, for what is loaded but once
            whose->arm(0);
            make(which);
            const int calls = whose->disarm();
            int failed = 0;
            long leaked = 0;
            for (int at = 1; at <= calls; at += RINGTLS_TEST_STRIDE) {
                CAPTURE(at);
                for (int again = 0; again == 0 || (leaked > 0 && again < most_kept); ++again) {
                    sockets = test::connected_pair(loop);
                    const long before = allocated;
                    whose->arm(at);
                    bool good = true;
                    try {
                        make(which);
                    } catch (const std::exception&) {
                        good = false;
                    }
                    whose->disarm();
                    failed += good || again > 0 ? 0 : 1;
                    leaked = allocated - before;
                }
                CHECK(leaked <= 0);
            }
            MESSAGE(which << ": " << calls << " allocations, " << failed << " failures");
        }
    }
}

TEST_CASE("each allocation of a loop that grows under a conversation can fail") {
    // The driver has room for 64 polls, one of them its own, before it has to ask for more: for
    // the conversation's first poll, or a later one, of whichever operation.
    for (int polls = 55; polls <= 63; ++polls) {
        for (const bool client : {true, false}) {
            const std::string name = std::to_string(polls) + " polls beside it";
            sweep with(name, client, tls_version::tls_1_3, polls);
            sweep_allocations(with, allocating_with_new, "ours");
        }
    }
}

} // namespace ringtls
