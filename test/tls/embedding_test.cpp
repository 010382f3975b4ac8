// SPDX-License-Identifier: MIT
// Conversations on a loop that a plain epoll loop drives.
#include "../support/foreign_loop.hpp"
#include "../support/loopback.hpp"

#include <thread>

namespace {

using namespace ringtls::test;
using namespace std::chrono_literals;
using ringtls::task;

task<> answer(ringtls::stream& peer, std::size_t size) {
    bytes buffer(size);
    co_await peer.read_exactly(buffer);
    co_await peer.write(buffer);
}
task<> ask(ringtls::stream& peer, const bytes& question, bytes& heard, int& ended) {
    co_await peer.write(question);
    co_await peer.read_exactly(heard);
    ++ended;
}

} // namespace

TEST_CASE("An echo is driven by another loop: handshake, more than sockets hold, shutdown") {
    for (const auto& how : variants) {
        CAPTURE(how.name);
        loopback on(how, 0, trusting(), serving(), true);
        foreign_loop foreign(on.loop);
        const auto sent = random_bytes(2'000'000);
        bytes received(sent.size());
        on.loop.spawn(write_all(on.client, sent));
        on.loop.spawn(read_all(on.client, received));
        on.loop.spawn(answer(on.server, sent.size()));
        foreign.run();
        CHECK(received == sent);
        on.loop.spawn(shut_down(on.client));
        on.loop.spawn(shut_down(on.server));
        foreign.run();
        foreign.rest();
    }
}

TEST_CASE("Deadlines, a stop and another thread's calls reach streams of a driven loop") {
    loopback on;
    foreign_loop foreign(on.loop);
    std::stop_source source;
    int timed_out = 0;
    int stopped = 0;
    const auto late = [](ringtls::stream& of, int& count) -> task<> {
        bytes buffer(1);
        const auto ended = co_await ringtls::as_result(of.read(buffer).within(1h));
        count += ended.error().code() == ringtls::errc::timed_out ? 1 : 0;
    };
    const auto unwanted = [](ringtls::stream& of, std::stop_token token, int& count) -> task<> {
        bytes buffer(1);
        const auto ended = co_await ringtls::as_result(of.read(buffer).cancel_on(std::move(token)));
        count += ended.error().code() == ringtls::errc::canceled ? 1 : 0;
    };
    on.loop.spawn(late(on.client, timed_out));
    on.loop.spawn(unwanted(on.server, source.get_token(), stopped));
    CHECK(foreign.step());
    foreign.rest();
    on.clock.advance(2h);
    on.loop.run_ready();
    foreign.rest();
    CHECK(timed_out == 1);
    {
        const std::jthread other([&] { source.request_stop(); });
        foreign.run();
    }
    CHECK(stopped == 1);

    const auto question = random_bytes(100'000);
    bytes heard(question.size());
    int ended = 0;
    {
        const std::jthread other([&] {
            on.loop.post([&] {
                on.loop.spawn(answer(on.server, question.size()));
                on.loop.spawn(ask(on.client, question, heard, ended));
            });
        });
        foreign.run();
    }
    CHECK(ended == 1);
    CHECK(heard == question);
    foreign.rest();
}
