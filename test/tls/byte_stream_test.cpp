// SPDX-License-Identifier: MIT
// Streams over what is no socket: a pipe in memory that can be made to misbehave, and other
// streams. That every wait of them can be struck is shown by cancellation_test.
#include <ringtls/tls/byte_stream.hpp>

#include "../started.hpp"
#include "../support/loopback.hpp"
#include "../support/memory_pipe.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <stdexcept>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::memory_pipe;
using test::pipe_habits;
using test::run_all;

/// A pair of streams over a pipe, and the pipe's ends.
struct piped {
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    client_context client_side;
    server_context server_side;
    memory_pipe* client_below = nullptr;
    memory_pipe* server_below = nullptr;
    test::stream_pair ends;
    stream& client = ends.client;
    stream& server = ends.server;

    explicit piped(const pipe_habits& habits = {}, bool raw = false,
                   const client_settings& c = test::trusting(),
                   const server_settings& s = test::serving())
        : client_side(c), server_side(s), ends(over(memory_pipe::make(loop, habits))) {
        if (!raw)
            run_all(loop, test::shake_hands(client), test::shake_hands(server));
    }

  private:
    test::stream_pair over(memory_pipe::ends pipe) {
        client_below = pipe.client.get();
        server_below = pipe.server.get();
        return {std::move(pipe.client), std::move(pipe.server), client_side, server_side};
    }
};

/// An echo server that has nothing of ours but its end of the pipe: libssl over memory BIOs.
class openssl_echo {
  public:
    explicit openssl_echo(std::unique_ptr<memory_pipe> below)
        : below_(std::move(below)), context_(SSL_CTX_new(TLS_server_method())) {
        REQUIRE(SSL_CTX_use_certificate_chain_file(context_.get(),
                                                   test::pki("server.pem").c_str()) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey_file(context_.get(), test::pki("server.key").c_str(),
                                            SSL_FILETYPE_PEM) == 1);
        ssl_.reset(SSL_new(context_.get()));
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_accept_state(ssl_.get());
    }

    /// Until the client closes.
    task<> serve() {
        bytes arrived(5000);
        while (!closed_cleanly()) {
            const auto count = co_await below_->read(arrived);
            REQUIRE(count > 0);
            REQUIRE(BIO_write(SSL_get_rbio(ssl_.get()), arrived.data(), int(count)) == int(count));
            echo();
            bytes answer(BIO_ctrl_pending(SSL_get_wbio(ssl_.get())));
            BIO_read(SSL_get_wbio(ssl_.get()), answer.data(), int(answer.size()));

            for (auto rest = std::span<const std::byte>(answer); !rest.empty();) {
                const auto part = rest.first(std::min<std::size_t>(rest.size(), 32768));
                co_await below_->write(part);
                rest = rest.subspan(part.size());
            }
        }
    }

    [[nodiscard]] bool closed_cleanly() const {
        return SSL_get_shutdown(ssl_.get()) == (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }

  private:
    void echo() {
        std::array<char, 16384> buffer{};
        int count = 0;
        while ((count = SSL_read(ssl_.get(), buffer.data(), int(buffer.size()))) > 0)
            REQUIRE(SSL_write(ssl_.get(), buffer.data(), count) == count);
        if (SSL_get_error(ssl_.get(), count) == SSL_ERROR_ZERO_RETURN)
            SSL_shutdown(ssl_.get());
    }

    struct free_context {
        void operator()(SSL_CTX* old) const noexcept { SSL_CTX_free(old); }
    };
    struct free_ssl {
        void operator()(SSL* old) const noexcept { SSL_free(old); }
    };

    std::unique_ptr<memory_pipe> below_;
    std::unique_ptr<SSL_CTX, free_context> context_;
    std::unique_ptr<SSL, free_ssl> ssl_;
};

/// How an operation ended, kept for when its coroutine has.
struct ending {
    bool over = false;
    std::optional<error> failure;
    std::size_t count = 0;
};

task<> write_and_tell(stream& to, std::span<const std::byte> from, ending& how) {
    const auto end = co_await as_result(to.write(from));
    how.over = true;
    if (!end)
        how.failure = end.error();
}

task<> read_and_tell(stream& from, ending& how) {
    std::array<std::byte, 64> buffer;
    const auto end = co_await as_result(from.read(buffer));
    how.over = true;
    if (end)
        how.count = *end;
    else
        how.failure = end.error();
}

task<> shake_and_tell(stream& with, ending& how) {
    const auto end = co_await as_result(with.handshake());
    how.over = true;
    if (!end)
        how.failure = end.error();
}

task<> ask_early(stream& at) {
    co_await at.write(replayable("ask"));
    std::array<std::byte, 3> answer;
    co_await at.read_exactly(answer);
    co_await at.shutdown();
}

task<> answer_early(stream& at, bool expected) {
    std::array<std::byte, 64> buffer;
    const auto first = co_await at.read_early(buffer);
    CHECK(first.size() == (expected ? 3 : 0));
    if (expected) {
        const auto more = co_await at.read_early(buffer);
        CHECK(more.empty());
    } else {
        co_await at.read_exactly(std::span(buffer).first(3));
    }
    co_await at.write("yes");
    co_await at.shutdown();
}

/// What arrives is what was sent.
task<> carries(stream& from, stream& to, std::size_t size) {
    const auto sent = test::random_bytes(size, static_cast<unsigned>(size));
    bytes got(size);
    co_await when_all(test::write_all(from, sent), test::read_all(to, got));
    CHECK(got == sent);
}

} // namespace

TEST_CASE("every size passes over a pipe, however it treats the bytes") {
    for (const std::size_t most : {std::size_t(1), std::size_t(13), pipe_habits::unlimited}) {
        for (const int turns : {0, 2}) {
            for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
                CAPTURE(most);
                CAPTURE(turns);
                pipe_habits habits;
                habits.most = most;
                habits.turns = turns;
                habits.capacity = most == 1 ? 1 : 20000;
                // Not shaken hands: tickets would wait for the client to read.
                piped link(habits, true, test::only(test::trusting(), version),
                           test::only(test::serving(), version));
                for (const auto size : test::sizes) {
                    if (most != pipe_habits::unlimited && size > 16385)
                        continue; // a byte at a time, that takes long
                    link.loop.run(carries(link.client, link.server, size));
                    link.loop.run(carries(link.server, link.client, size));
                }
                run_all(link.loop, test::shut_down(link.client), test::shut_down(link.server));
            }
        }
    }
}

TEST_CASE("a write completes when the byte_stream has completed its own") {
    pipe_habits habits;
    habits.capacity = 1000;
    piped link(habits);
    const auto sent = test::random_bytes(2000);
    ending how;
    link.loop.spawn(write_and_tell(link.client, sent, how));
    link.loop.run(test::settle(link.loop));
    CHECK(!how.over);
    CHECK(link.client_below->written < link.client_below->writes);
    bytes got(2000);
    link.loop.run(test::read_all(link.server, got));
    link.loop.run(test::settle(link.loop));
    CHECK(how.over);
    CHECK(!how.failure);
    CHECK(link.client_below->written == link.client_below->writes);
    CHECK(got == sent);
}

TEST_CASE("so does a handshake, a key update and a close") {
    pipe_habits habits;
    habits.turns = 3;
    piped link(habits);
    const auto all_taken = [](const memory_pipe& below) { return below.written == below.writes; };
    CHECK(all_taken(*link.client_below));
    CHECK(all_taken(*link.server_below));
    link.loop.run([](stream& at) -> task<> {
        co_await at.key_update(key_update_request::not_requested);
    }(link.client));
    CHECK(all_taken(*link.client_below));
    link.loop.run([](stream& at) -> task<> { co_await at.close_write(); }(link.client));
    CHECK(all_taken(*link.client_below));
}

TEST_CASE("a byte_stream is read only while an operation waits for input") {
    piped link;
    link.loop.run([](stream& to) -> task<> { co_await to.write("some"); }(link.server));
    link.loop.run(test::settle(link.loop));
    const auto before = link.client_below->reads;
    const auto waiting = link.client_below->waiting();
    link.loop.run(test::settle(link.loop));
    CHECK(link.client_below->reads == before);
    CHECK(waiting > 0);
    CHECK(link.client_below->waiting() == waiting);
    ending how;
    link.loop.run(read_and_tell(link.client, how));
    CHECK(how.count == 4);
    link.loop.run(); // nothing waits, so that it ends
}

TEST_CASE("what a write that nobody takes keeps is bounded") {
    pipe_habits habits;
    habits.capacity = 1000;
    piped link(habits);
    const bytes much(1 << 20);
    link.loop.run([](stream& to, const bytes& from) -> task<> {
        std::size_t accepted = 0;
        for (int i = 0; i < 10; ++i) {
            const auto end = co_await as_result(to.write(from).within(0s));
            REQUIRE(!end);
            CHECK(end.error().code() == errc::timed_out);
            accepted += end.error().bytes();
        }
        CHECK(accepted < 200'000);
    }(link.client, much));
}

TEST_CASE("a key update that is cancelled over and over is made once") {
    pipe_habits habits;
    habits.capacity = 10;
    piped link(habits, false, test::trusting(), test::serving().tickets(0));
    link.loop.run([](stream& at) -> task<> {
        for (int i = 0; i < 50; ++i) {
            const auto end =
                co_await as_result(at.key_update(key_update_request::not_requested).within(0s));
            CHECK(!end);
        }
        CHECK(at.counters().key_updates_sent == 1);
    }(link.client));
}

TEST_CASE("those that wait for a byte_stream leave each other alone") {
    pipe_habits habits;
    habits.capacity = 10;
    piped link(habits, false, test::trusting(), test::serving().tickets(0));
    const bytes some(10);
    ending writing;
    link.loop.spawn(write_and_tell(link.client, some, writing));
    link.loop.spawn([](stream& at) -> task<> {
        const auto end = co_await as_result(at.key_update(key_update_request::not_requested));
        CHECK(!end);
    }(link.client));
    link.loop.run(test::settle(link.loop));
    const auto before = link.client.counters().other_waits;
    link.loop.run(test::settle(link.loop));
    CHECK(!writing.over);
    CHECK(link.client.counters().other_waits == before);
    test::drop(link.client);
    link.loop.run();
}

TEST_CASE("a stream destroyed before its byte_stream was called leaves nothing behind") {
    for (const bool reading : {true, false}) {
        CAPTURE(reading);
        piped link({}, false, test::trusting(), test::serving().tickets(0));
        const bytes some(10);
        link.loop.run([](piped& on, const bytes& from, bool reads) -> task<> {
            ending how;
            const auto begun = [](stream& at, const bytes& out, bool in,
                                  ending& tells) -> test::started {
                std::array<std::byte, 8> buffer;
                if (in) {
                    const auto end = co_await as_result(at.read(buffer));
                    tells.over = !end;
                } else {
                    const auto end = co_await as_result(at.write(out));
                    tells.over = !end;
                }
            }(on.client, from, reads, how);
            test::drop(on.client);
            co_await test::settle(on.loop);
            CHECK(how.over);
        }(link, some, reading));
    }
}

TEST_CASE("a byte_stream's failure to read is the stream's, for good, with code and text") {
    piped link;
    link.loop.run([](stream& to) -> task<> { co_await to.write("last"); }(link.server));
    std::array<std::byte, 2> two;
    link.loop.run(test::read_all(link.client, two));
    link.client_below->fails_read = link.client_below->reads + 1;
    link.loop.run(test::read_all(link.client, two)); // what came before is still read
    for (int i = 0; i < 2; ++i) {
        ending how;
        link.loop.run(read_and_tell(link.client, how));
        REQUIRE(how.failure);
        CHECK(how.failure->code() == std::errc::connection_reset);
        CHECK(std::string(how.failure->what()).find("pipe broke") != std::string::npos);
        CHECK(how.failure->subject() == "localhost");
    }
    ending writing;
    link.loop.run(write_and_tell(link.client, two, writing));
    REQUIRE(writing.failure);
    CHECK(writing.failure->code() == std::errc::connection_reset);
    CHECK(link.client_below->reads == link.client_below->fails_read);
}

TEST_CASE("a code that means to try again is a failure all the same") {
    for (const int code : {EAGAIN, EINTR}) {
        piped link;
        link.loop.run([](stream& to) -> task<> { co_await to.write("x"); }(link.server));
        link.client_below->fails_read = link.client_below->reads + 1;
        link.client_below->fails_with = code;
        ending how;
        link.loop.run(read_and_tell(link.client, how));
        REQUIRE(how.failure);
        CHECK(how.failure->code() == std::error_code(code, std::system_category()));
    }
}

TEST_CASE("what is thrown with the code of success is a failure all the same") {
    for (const bool reads : {true, false}) {
        piped link;
        link.client_below->fails_with = 0;
        link.client_below->fails_write_with = 0;
        (reads ? link.client_below->fails_read : link.client_below->fails_write) =
            (reads ? link.client_below->reads : link.client_below->writes) + 1;
        if (reads)
            link.loop.run([](stream& to) -> task<> { co_await to.write("x"); }(link.server));
        ending how;
        link.loop.run(reads ? read_and_tell(link.client, how)
                            : write_and_tell(link.client, test::random_bytes(10), how));
        REQUIRE(how.failure);
        CHECK(how.failure->code() == std::errc::io_error);
    }
}

TEST_CASE("its failure to write ends writing, and reading goes on") {
    piped link;
    link.client_below->fails_write = link.client_below->writes + 1;
    const auto some = test::random_bytes(10);
    for (int i = 0; i < 2; ++i) {
        ending how;
        link.loop.run(write_and_tell(link.client, some, how));
        REQUIRE(how.failure);
        CHECK(how.failure->code() == std::errc::broken_pipe);
        CHECK(std::string(how.failure->what()).find("pipe is closed") != std::string::npos);
    }
    CHECK(link.client_below->writes == link.client_below->fails_write);
    bytes got(10);
    run_all(link.loop, test::write_all(link.server, some), test::read_all(link.client, got));
    CHECK(got == some);
}

TEST_CASE("a write that waits for room fails when the byte_stream does") {
    pipe_habits habits;
    habits.capacity = 1000;
    piped link(habits);
    const bytes much(1 << 20);
    ending how;
    link.loop.spawn(write_and_tell(link.client, much, how));
    link.loop.run(test::settle(link.loop));
    CHECK(!how.over);
    test::drop(link.server);
    link.loop.run(test::settle(link.loop));
    REQUIRE(how.failure);
    CHECK(how.failure->code() == std::errc::broken_pipe);
}

TEST_CASE("a handshake fails with what the byte_stream fails with") {
    for (const bool reading : {true, false}) {
        CAPTURE(reading);
        piped link({}, true);
        (reading ? link.client_below->fails_read : link.client_below->fails_write) = 1;
        ending how;
        link.loop.run(shake_and_tell(link.client, how));
        REQUIRE(how.failure);
        CHECK(how.failure->operation() == "handshake");
        CHECK(how.failure->code() ==
              (reading ? std::errc::connection_reset : std::errc::broken_pipe));
        CHECK(std::string(how.failure->what()).find("pipe") != std::string::npos);
    }
}

TEST_CASE("a handshake fails too if only its last flight is refused") {
    piped link({}, true, test::only(test::trusting(), tls_version::tls_1_3));
    link.client_below->fails_write = 2; // the ClientHello, and then Finished
    link.loop.spawn([](stream& at) -> task<> {
        static_cast<void>(co_await as_result(at.handshake()));
    }(link.server));
    ending how;
    link.loop.run(shake_and_tell(link.client, how));
    REQUIRE(how.failure);
    CHECK(how.failure->operation() == "handshake");
    CHECK(how.failure->code() == std::errc::broken_pipe);
    test::drop(link.client);
    test::drop(link.server);
    link.loop.run();
}

TEST_CASE("a key update beside one who writes without end is made, and ends") {
    for (const std::size_t size : {1000, 100'000}) {
        CAPTURE(size);
        piped link({}, false, test::trusting(), test::serving().tickets(0));
        bool over = false;
        link.loop.spawn([](stream& to, std::size_t each, const bool& enough) -> task<> {
            const bytes some(each);
            while (!enough)
                co_await to.write(some);
            co_await to.close_write();
        }(link.client, size, over));
        link.loop.spawn([](stream& from) -> task<> {
            bytes buffer(65536);
            for (std::size_t count = 1; count > 0;)
                count = co_await from.read(buffer);
        }(link.server));
        link.loop.run([](event_loop& loop, stream& at, bool& ended) -> task<> {
            co_await test::settle(loop);
            bool updated = false;
            loop.spawn([](stream& of, bool& done) -> task<> {
                co_await of.key_update(key_update_request::not_requested);
                done = true;
            }(at, updated));
            co_await test::settle(loop, 50);
            CHECK(updated);
            ended = true;
            while (!updated)
                co_await loop.yield();
        }(link.loop, link.client, over));
        link.loop.run();
    }
}

TEST_CASE("the alert that explains a failure to write takes its place") {
    piped link;
    const auto forged = std::string("\x17\x03\x03\0\x15", 5) + "not under a known key";
    link.loop.run(link.client_below->write(std::as_bytes(std::span(forged))));
    ending refusing;
    link.loop.run(read_and_tell(link.server, refusing));
    REQUIRE(refusing.failure);
    const auto some = test::random_bytes(10);
    link.client_below->fails_write = link.client_below->writes + 1;
    ending how;
    link.loop.run(write_and_tell(link.client, some, how));
    REQUIRE(how.failure);
    REQUIRE(how.failure->alert());
    CHECK(how.failure->alert()->name() == "bad record mac");
}

TEST_CASE("a pipe that ends early is truncation, and no end of a clean close") {
    for (const bool clean : {true, false}) {
        CAPTURE(clean);
        piped link;
        if (clean)
            link.loop.run([](stream& at) -> task<> { co_await at.close_write(); }(link.server));
        link.server_below->close_write();
        ending how;
        link.loop.run(read_and_tell(link.client, how));
        if (clean) {
            CHECK(!how.failure);
            CHECK(how.count == 0);
        } else {
            REQUIRE(how.failure);
            CHECK(how.failure->code() == errc::truncated);
        }
    }
    piped link({}, true);
    link.server_below->close_write();
    ending how;
    link.loop.run(shake_and_tell(link.client, how));
    REQUIRE(how.failure);
    CHECK(how.failure->code() == errc::truncated);
}

TEST_CASE("a shutdown takes the plain end of the pipe for an answer") {
    piped link;
    link.server_below->close_write();
    link.loop.run(test::shut_down(link.client));
}

TEST_CASE("a read of more than there was room for is a failure, not a disaster") {
    piped link;
    link.loop.run([](stream& to) -> task<> { co_await to.write("x"); }(link.server));
    link.client_below->lies = 1'000'000;
    ending how;
    link.loop.run(read_and_tell(link.client, how));
    REQUIRE(how.failure);
    CHECK(how.failure->code() == std::errc::io_error);
    CHECK(std::string(how.failure->what()).find("more than it was asked for") != std::string::npos);
}

TEST_CASE("no byte_stream is refused by name") {
    const client_context client(test::trusting());
    const server_context server(test::serving());
    const auto refused = [](auto make) {
        try {
            make();
            return std::string();
        } catch (const error& why) {
            CHECK(why.code() == std::errc::invalid_argument);
            return std::string(why.what());
        }
    };
    const auto no_client = refused([&] { stream(nullptr, client, "localhost"); });
    const auto no_server = refused([&] { stream(nullptr, server); });
    CHECK(no_client == "stream: Invalid argument: there is no byte_stream");
    CHECK(no_server == no_client);
}

TEST_CASE("counters tell of a byte_stream's calls, and of all its bytes") {
    piped link;
    link.loop.run(carries(link.client, link.server, 50000));
    const auto client = link.client.counters();
    const auto server = link.server.counters();
    CHECK(client.sends == static_cast<std::uint64_t>(link.client_below->writes));
    CHECK(server.receives == static_cast<std::uint64_t>(link.server_below->reads));
    CHECK(client.bytes_sent == server.bytes_received);
    CHECK(client.bytes_sent > 50000);
    CHECK(server.read_waits > 0);
}

TEST_CASE("a byte_stream that never waits lets others have their turn") {
    pipe_habits habits;
    habits.capacity = 10'000'000;
    habits.most = 100;
    piped link(habits);
    const auto much = test::random_bytes(400'000);
    link.loop.run(test::write_all(link.server, much));
    std::size_t most = 0;
    bool over = false;
    link.loop.spawn([](stream& from, std::size_t size, bool& done) -> task<> {
        bytes got(size);
        co_await from.read_exactly(got);
        done = true;
    }(link.client, much.size(), over));
    link.loop.run([](piped& on, const bool& done, std::size_t& in_a_turn) -> task<> {
        while (!done) {
            const auto before = on.client_below->reads;
            co_await on.loop.yield();
            in_a_turn =
                std::max(in_a_turn, static_cast<std::size_t>(on.client_below->reads - before));
        }
    }(link, over, most));
    CHECK(link.client_below->reads > 3000);
    CHECK(most <= 64);
}

TEST_CASE("a deadline that has passed still answers what a byte_stream has without waiting") {
    test::loopback outer;
    auto inner = test::inside(std::move(outer.ends), outer.client_side, outer.server_side);
    run_all(outer.loop, test::shake_hands(inner.client), test::shake_hands(inner.server));
    outer.loop.run([](stream& to) -> task<> { co_await to.write("here"); }(inner.server));
    outer.loop.run([](stream& from) -> task<> {
        std::array<std::byte, 4> buffer;
        co_await from.read_exactly(buffer).within(0s);
        const auto late = co_await as_result(from.read(buffer).within(0s));
        REQUIRE(!late);
        CHECK(late.error().code() == errc::timed_out);
    }(inner.client));
}

TEST_CASE("TLS inside TLS inside TLS echoes, and closes cleanly from the inside out") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        event_loop loop;
        const client_context client(test::only(test::trusting(), version));
        const server_context server(test::only(test::serving(), version));
        test::stream_pair outer(test::connected_pair(loop, 1), client, server);
        {
            test::stream_pair middle(std::make_unique<tls_byte_stream>(outer.client),
                                     std::make_unique<tls_byte_stream>(outer.server), client,
                                     server);
            auto inner = test::inside(std::move(middle), client, server);
            for (const auto size : test::sizes) {
                loop.run(carries(inner.client, inner.server, size));
                loop.run(carries(inner.server, inner.client, size));
            }
            run_all(loop, test::shut_down(inner.client), test::shut_down(inner.server));
        }
        run_all(loop, test::shut_down(outer.client), test::shut_down(outer.server));
    }
}

TEST_CASE("a stream inside another knows the other's peer, and a pipe knows none") {
    event_loop loop;
    const client_context client(test::trusting());
    const server_context server(test::serving());
    test::stream_pair outer(test::connected_tcp_pair(loop), client, server);
    const auto peer = outer.client.peer_address();
    const stream inner(std::make_unique<tls_byte_stream>(std::move(outer.client)), client, "x");
    CHECK(inner.peer_address() == peer);
    CHECK(&inner.loop() == &loop);
    piped link;
    CHECK_THROWS_AS(static_cast<void>(link.client.peer_address()), error);
    CHECK(&link.client.loop() == &link.loop);
}

TEST_CASE("what ends the outer stream is what the inner one reports") {
    test::loopback outer;
    const int fd = outer.ends.server_fd;
    auto inner = test::inside(std::move(outer.ends), outer.client_side, outer.server_side);
    run_all(outer.loop, test::shake_hands(inner.client), test::shake_hands(inner.server));
    REQUIRE(::shutdown(fd, SHUT_RDWR) == 0);
    ending how;
    outer.loop.run(read_and_tell(inner.client, how));
    REQUIRE(how.failure);
    CHECK(how.failure->code() == errc::truncated);
    CHECK(how.failure->operation() == "read");
    CHECK(std::string(how.failure->what()).find("read: localhost: truncated") != std::string::npos);
}

TEST_CASE("the alert of who refuses inside reaches the peer, also if the stream goes at once") {
    test::loopback outer;
    const client_context distrusting{client_settings()};
    auto inner = test::inside(std::move(outer.ends), distrusting, outer.server_side);
    ending refused;
    ending told;
    outer.loop.spawn(shake_and_tell(inner.server, told));
    outer.loop.run([](stream& with, ending& how) -> task<> {
        co_await shake_and_tell(with, how);
        test::drop(with);
    }(inner.client, refused));
    outer.loop.run();
    REQUIRE(refused.failure);
    CHECK(refused.failure->code() == errc::verify_failed);
    REQUIRE(told.failure);
    REQUIRE(told.failure->alert());
    CHECK(told.failure->alert()->name() == "unknown CA");
}

TEST_CASE("a write that data keeps from a renegotiation's end ends with the byte_stream") {
    for (const bool fails : {false, true}) {
        CAPTURE(fails);
        piped link({}, false,
                   test::only(test::trusting(), tls_version::tls_1_2).danger_allow_renegotiation(),
                   test::only(test::serving(), tls_version::tls_1_2).danger_allow_renegotiation());
        REQUIRE(SSL_renegotiate(link.client.native_handle()) == 1);
        const auto some = test::random_bytes(10);
        link.loop.run(test::write_all(link.server, some)); // stands in the way
        ending how;
        link.loop.spawn(write_and_tell(link.client, some, how));
        link.loop.run(test::settle(link.loop));
        CHECK(!how.over);
        link.client_below->fails_read = fails ? link.client_below->reads + 1 : 0;
        if (fails)
            link.loop.run(test::write_all(link.server, some)); // for the read under way
        else
            link.server_below->close_write();
        link.loop.run(test::settle(link.loop));
        REQUIRE(how.failure);
        CHECK(how.failure->code() == std::errc::broken_pipe);
    }
}

TEST_CASE("a peer that is OpenSSL alone understands, and is understood") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        event_loop loop;
        const client_context client(test::only(test::trusting(), version));
        auto pipe = memory_pipe::make(loop);
        openssl_echo peer(std::move(pipe.server));
        stream ours(std::move(pipe.client), client, "localhost");
        run_all(loop, peer.serve(), [](stream& with) -> task<> {
            for (const auto size : test::sizes) {
                const auto sent = test::random_bytes(size);
                bytes got(size);
                co_await when_all(test::write_all(with, sent), test::read_all(with, got));
                CHECK(got == sent);
            }
            co_await with.shutdown();
        }(ours));
        CHECK(peer.closed_cleanly());
    }
}

TEST_CASE("early data and sessions work over a byte_stream") {
    const client_context c(test::trusting().sessions(session_cache()));
    const server_context s(test::serving().early_data(16384));
    for (const bool again : {false, true}) {
        event_loop loop;
        auto pipe = memory_pipe::make(loop);
        test::stream_pair ends(std::move(pipe.client), std::move(pipe.server), c, s);
        run_all(loop, ask_early(ends.client), answer_early(ends.server, again));
        CHECK(ends.client.resumed() == again);
        CHECK((ends.client.early_data() == early_data_status::accepted) == again);
    }
}

} // namespace ringtls
