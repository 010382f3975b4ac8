// SPDX-License-Identifier: MIT
#include <ringtls/tls/counters.hpp>

#include "../support/loopback.hpp"

namespace ringtls {
namespace {

using test::bytes;
using test::loopback;

task<> ignore_failure(stream& with) {
    static_cast<void>(co_await as_result(with.handshake()));
    test::drop(with);
}

/// What a loop counts of one handshake between these.
tls_counters shake(const client_settings& client, const server_settings& server) {
    event_loop loop;
    const client_context c(client);
    const server_context s(server);
    test::stream_pair ends(test::connected_pair(loop), c, s);
    loop.spawn(ignore_failure(ends.client));
    loop.spawn(ignore_failure(ends.server));
    loop.run();
    return counters_of(loop);
}

std::uint64_t all_of(const failed_handshakes& failed) {
    return failed.certificate + failed.decision + failed.by_peer + failed.protocol + failed.closed +
           failed.system + failed.abandoned;
}

client_settings of_tls_1_2(client_settings settings) {
    settings.maximum_version(tls_version::tls_1_2);
    return settings;
}

} // namespace

TEST_CASE("what one end has sent is what the other has received") {
    for (const auto& how : test::variants) {
        CAPTURE(how.name);
        loopback link(how);
        const auto data = test::random_bytes(100'000);
        bytes got(data.size());
        test::run_all(link.loop, test::write_all(link.client, data),
                      test::read_all(link.server, got));
        test::run_all(link.loop, test::write_all(link.server, data),
                      test::read_all(link.client, got));
        test::run_all(link.loop, test::shut_down(link.client), test::shut_down(link.server));
        const auto client = link.client.counters();
        const auto server = link.server.counters();
        CHECK(client.bytes_sent == server.bytes_received);
        CHECK(server.bytes_sent == client.bytes_received);
        CHECK(client.records_sent == server.records_received);
        CHECK(server.records_sent == client.records_received);
        CHECK(client.records_sent >= 7 + 1); // of 16 KiB, and close_notify
        CHECK(client.sends > 0);
        CHECK(client.receives > 0);
    }
}

TEST_CASE("a record is counted once, however many sends and receives it takes") {
    loopback link(4096);
    const auto before = link.client.counters();
    const auto data = test::random_bytes(16384);
    bytes got(data.size());
    test::run_all(link.loop, test::write_all(link.client, data), test::read_all(link.server, got));
    const auto client = link.client.counters();
    CHECK(client.sends - before.sends > 1);
    CHECK(client.write_waits > before.write_waits);
    CHECK(client.records_sent - before.records_sent == 1);
    CHECK(link.server.counters().records_received == link.client.counters().records_sent);
}

TEST_CASE("key updates are counted, those that answer a request too") {
    loopback link;
    link.loop.run([](stream& by, stream& to) -> task<> {
        co_await by.key_update(key_update_request::requested);
        co_await by.write("a");
        std::array<std::byte, 1> one{};
        co_await to.read_exactly(one);
        co_await to.write(one);
        co_await by.read_exactly(one);
    }(link.client, link.server));
    CHECK(link.client.counters().key_updates_sent == 1);
    CHECK(link.server.counters().key_updates_received == 1);
    CHECK(link.server.counters().key_updates_sent == 1);
    CHECK(link.client.counters().key_updates_received == 1);
}

TEST_CASE("a loop's counters are the sum of its streams', also of those that are gone") {
    loopback link;
    const auto data = test::random_bytes(1000);
    bytes got(data.size());
    test::run_all(link.loop, test::write_all(link.client, data), test::read_all(link.server, got));
    const auto client = link.client.counters();
    auto sum = client;
    sum += link.server.counters();
    auto all = counters_of(link.loop);
    CHECK(all.made == 2);
    CHECK(all.open == 2);
    CHECK(all.streams.bytes_sent == sum.bytes_sent);
    CHECK(all.streams.records_received == sum.records_received);
    test::drop(link.server);
    all = counters_of(link.loop);
    CHECK(all.open == 1);
    CHECK(all.streams.bytes_sent == sum.bytes_sent);
    CHECK(all.streams.records_received == sum.records_received);
    link.client = stream(std::move(link.client)); // moved, and no other
    CHECK(counters_of(link.loop).made == 2);
    test::drop(link.client);
    CHECK(counters_of(link.loop).open == 0);
    CHECK(counters_of(link.loop).streams.bytes_sent == sum.bytes_sent);
    CHECK(all_of(counters_of(link.loop).failed) == 0);
}

TEST_CASE("a loop without streams counts nothing") {
    event_loop loop;
    const auto all = counters_of(loop);
    CHECK(all.made == 0);
    CHECK(all.streams.sends == 0);
}

TEST_CASE("handshakes are counted as full and as resumed") {
    event_loop loop;
    const client_context client(test::trusting().sessions(session_cache()));
    const server_context server(test::serving());
    for (const bool resumes : {false, true}) {
        test::stream_pair ends(test::connected_pair(loop), client, server);
        test::run_all(loop, test::shake_hands(ends.client), test::shake_hands(ends.server));
        const auto one = test::random_bytes(1);
        bytes got(1);
        test::run_all(loop, test::write_all(ends.server, one), test::read_all(ends.client, got));
        CHECK(counters_of(loop).full_handshakes == 2);
        CHECK(counters_of(loop).resumed_handshakes == (resumes ? 2 : 0));
    }
    CHECK(all_of(counters_of(loop).failed) == 0);
}

TEST_CASE("handshakes that fail are counted once, by their reason") {
    // The server of TLS 1.3 is done before it hears that its certificate was refused.
    const auto untrusting = client_settings().trust(pem::file(test::pki("other-ca.pem")));
    auto all = shake(of_tls_1_2(untrusting), test::serving());
    CHECK(all.failed.certificate == 1);
    CHECK(all.failed.by_peer == 1);
    CHECK(all_of(all.failed) == 2);

    auto newest = test::serving();
    newest.minimum_version(tls_version::tls_1_3);
    all = shake(of_tls_1_2(test::trusting()), newest);
    CHECK(all.failed.protocol == 1);
    CHECK(all.failed.by_peer == 1);
    CHECK(all_of(all.failed) == 2);

    auto refusing = test::serving();
    refusing.on_client_hello([](const client_hello&) -> task<client_hello_answer> {
        co_return client_hello_answer::refuse(refusal_alert::access_denied);
    });
    all = shake(test::trusting(), refusing);
    CHECK(all.failed.decision == 1);
    CHECK(all.failed.by_peer == 1);
    CHECK(all_of(all.failed) == 2);
    CHECK(all.full_handshakes == 0);
}

TEST_CASE("a handshake whose peer is gone, or that nobody goes on with, is counted as that") {
    event_loop loop;
    const client_context c(test::trusting());
    const server_context s(test::serving());
    {
        test::stream_pair ends(test::connected_pair(loop), c, s);
        test::drop(ends.server);
        loop.run(ignore_failure(ends.client));
    }
    const auto all = counters_of(loop);
    CHECK(all.failed.abandoned == 1);
    CHECK(all.failed.closed == 1);
    CHECK(all_of(all.failed) == 2);
}

} // namespace ringtls
