// SPDX-License-Identifier: MIT
// Warmed up, reading, writing and retrying allocate nothing on our side. OpenSSL's own
// allocations are counted apart, by its own hooks.
#include "../support/counted_memory.hpp"
#include "../support/loopback.hpp"

namespace ringtls {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::loopback;

task<> echo_for_ever(stream& peer, bytes& buffer) {
    while (const auto count = co_await peer.read(buffer).within(1h))
        co_await peer.write(std::span(buffer).first(count)).within(1h);
}

task<> ask(stream& peer, const bytes& request, bytes& answer, std::stop_token token, int times) {
    for (int i = 0; i < times; ++i) {
        co_await peer.write(request).within(1h).cancel_on(token);
        co_await peer.read_exactly(answer).within(1h).cancel_on(token);
    }
}

/// Allocations per side in so many round trips, the coroutines being under way already.
struct tally {
    long ours = test::ours.allocations;
    long openssls = test::openssls.allocations;
};

task<tally> measure(stream& peer, const bytes& request, bytes& answer, std::stop_token token) {
    co_await ask(peer, request, answer, token, 50); // warms up
    const tally before;
    for (int i = 0; i < 200; ++i) {
        co_await peer.write(request).within(1h).cancel_on(token);
        co_await peer.read_exactly(answer).within(1h).cancel_on(token);
    }
    const tally after;
    co_return tally{after.ours - before.ours, after.openssls - before.openssls};
}

} // namespace

TEST_CASE("reads and writes that wait, with deadline and stop token, allocate nothing") {
    REQUIRE(test::counts_openssl);
    for (const std::size_t size : {1UL, 1024UL, 16384UL}) {
        CAPTURE(size);
        loopback link;
        const auto request = test::random_bytes(size);
        bytes answer(size);
        bytes buffer(16384);
        std::stop_source stop;
        link.loop.spawn(echo_for_ever(link.server, buffer));
        const auto counted = link.loop.run(measure(link.client, request, answer, stop.get_token()));
        CHECK(counted.ours == 0);
        MESSAGE("OpenSSL's own in 200 round trips of " << size << " bytes: " << counted.openssls);
        CHECK(link.client.counters().read_waits >= 200);
    }
}

TEST_CASE("a write that waits many times, and its reader, allocate nothing") {
    loopback link(1);
    const auto data = test::random_bytes(1 << 20);
    bytes got(data.size());
    const auto writer = [](stream& to, const bytes& all, long& count) -> task<> {
        co_await to.write(all); // warms up
        const long before = test::ours.allocations;
        co_await to.write(all);
        count = test::ours.allocations - before;
    };
    const auto reader = [](stream& from, bytes& into) -> task<> {
        co_await from.read_exactly(into);
        co_await from.read_exactly(into);
    };
    long count = -1;
    link.loop.spawn(reader(link.server, got));
    link.loop.run(writer(link.client, data, count));
    link.loop.run();
    CHECK(count == 0);
    CHECK(link.client.counters().write_waits >= 20);
}

TEST_CASE("the retries of a handshake allocate nothing on our side") {
    // One byte a turn, so that the handshake is retried for each: what it allocates must not grow
    // with the number of retries. A wait for each descriptor warms up the loop's own tables.
    long counts[2] = {-1, -1};
    std::uint64_t waits[2] = {0, 0};
    for (int round = 0; round < 2; ++round) {
        loopback link(0, test::trusting(), test::serving(), true);
        const auto shake = [](stream& with, int fd, long& count) -> task<> {
            co_await with.loop().poll(fd, poll_events::writable);
            const long before = test::ours.allocations;
            co_await with.handshake();
            count = test::ours.allocations - before;
        };
        long client = -1;
        long server = -1;
        link.loop.spawn(shake(link.server, link.ends.server_fd, server));
        link.loop.run(shake(link.client, link.ends.client_fd, client));
        link.loop.run();
        counts[round] = client + server;
        waits[round] = link.client.counters().read_waits + link.server.counters().read_waits;
    }
    CHECK(counts[1] == 0);
    CHECK(waits[1] >= 2);
}

} // namespace ringtls
