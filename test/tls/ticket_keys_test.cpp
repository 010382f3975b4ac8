// SPDX-License-Identifier: MIT
// Who can open whose tickets, and for how long.
#include "../../lib/tls/ticket_keys.hpp"
#include "../support/visit.hpp"

#include <ringtls/tls/ticket_keys.hpp>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace ringtls {
namespace {

using detail::ticket_key_ring;
using test::visit_once;
using test::visit_with;

/// The rings' time, in which nothing happens by itself. Far from a period's borders.
std::chrono::system_clock::time_point time_now;

std::chrono::system_clock::time_point test_time() {
    return time_now;
}

void begin_time() {
    time_now = std::chrono::sys_days(std::chrono::year(2030) / 1 / 1) + 30min;
}

constexpr auto period = std::chrono::seconds(1h);

ticket_key_ring ring_of(unsigned seed) {
    return {period, secret_bytes(test::random_bytes(32, seed)), test_time};
}

bool opens(ticket_key_ring& ring, const detail::ticket_key& key) {
    const auto found = ring.opening(key.name());
    return found && found->key.material == key.material;
}

server_context serving_with(const ticket_keys& keys) {
    return server_context(test::serving().session_lifetime(1h).seal_tickets_with(keys));
}

std::string refusal_of(const server_settings& settings) {
    try {
        const server_context made(settings);
        return "";
    } catch (const error& refused) {
        CHECK(refused.code() == errc::invalid_setting);
        return std::string(refused.subject());
    }
}

} // namespace

TEST_CASE("a key seals for one period, opens for one more, and is gone then") {
    begin_time();
    for (const bool random : {true, false}) {
        CAPTURE(random);
        ticket_key_ring ring(
            period, random ? std::nullopt : std::optional(secret_bytes(test::random_bytes(32))),
            test_time);
        const auto first = ring.sealing();
        CHECK(ring.sealing().material == first.material);
        CHECK(ring.opening(first.name())->current);
        time_now += period;
        const auto second = ring.sealing();
        CHECK(second.material != first.material);
        REQUIRE(opens(ring, first));
        CHECK(!ring.opening(first.name())->current);
        time_now += period;
        CHECK(!ring.opening(first.name()));
        CHECK(opens(ring, second));
        time_now += 5 * period;
        CHECK(!ring.opening(second.name()));
        CHECK(opens(ring, ring.sealing()));
        const auto ahead = ring.sealing();
        time_now -= 5 * period; // the clock is set right
        CHECK(!ring.opening(ahead.name()));
        CHECK(opens(ring, ring.sealing()));
    }
}

TEST_CASE("random keys are nobody else's") {
    begin_time();
    ticket_key_ring one(period, std::nullopt, test_time);
    ticket_key_ring other(period, std::nullopt, test_time);
    CHECK(!other.opening(one.sealing().name()));
}

TEST_CASE("a secret leads to the same keys, whoever has it and whenever they began") {
    begin_time();
    auto early = ring_of(1);
    time_now += 7 * period;
    auto late = ring_of(1);
    auto stranger = ring_of(2);
    const auto key = early.sealing();
    CHECK(late.sealing().material == key.material);
    CHECK(!stranger.opening(key.name()));
    // A clock that is ahead or behind by less than a period.
    for (const auto skew : {-period, period}) {
        time_now += skew;
        auto skewed = ring_of(1);
        CHECK(opens(skewed, key));
        CHECK(skewed.sealing().material != key.material);
        time_now -= skew;
    }
}

TEST_CASE("a replaced secret's keys open until their tickets have expired") {
    begin_time();
    auto ring = ring_of(1);
    const auto old = ring.sealing();
    ring.replace(secret_bytes(test::random_bytes(32, 2)));
    CHECK(ring.sealing().material == ring_of(2).sealing().material);
    REQUIRE(opens(ring, old));
    CHECK(!ring.opening(old.name())->current);
    time_now += period;
    CHECK(opens(ring, old));
    time_now += period;
    CHECK(!ring.opening(old.name()));
}

TEST_CASE("secrets and periods that are too short are refused") {
    const auto refused = [](auto call) {
        try {
            call();
            return false;
        } catch (const error& failure) {
            return failure.code() == errc::invalid_setting;
        }
    };
    const auto short_secret = test::random_bytes(31);
    CHECK(refused([&] { (void)ticket_keys::shared(short_secret); }));
    CHECK(refused([] { (void)ticket_keys::shared(test::random_bytes(32), 0s); }));
    CHECK(refused([] { (void)ticket_keys(0s); }));
    CHECK(refused([&] { ticket_keys().replace(short_secret); }));
    CHECK(ticket_keys().period() == ticket_keys::default_period);
}

TEST_CASE("servers of the same keys resume each other's sessions, others do not") {
    const auto secret = test::random_bytes(32);
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        const client_context client(test::only(test::trusting(), version));
        const auto one = serving_with(ticket_keys::shared(secret));
        const auto other = serving_with(ticket_keys::shared(secret));
        const auto stranger = serving_with(ticket_keys());
        const auto made = visit_once(client, one);
        REQUIRE(made.session);
        CHECK(visit_with(*made.session, client, other).resumed);
        CHECK(!visit_with(*made.session, client, stranger).resumed);
        const auto copied = ticket_keys();
        CHECK(visit_with(*visit_once(client, serving_with(copied)).session, client,
                         serving_with(copied))
                  .resumed);
    }
}

TEST_CASE("sessions outlive one rotation, are sealed anew by it, and end with the second") {
    begin_time();
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        CAPTURE(static_cast<int>(version));
        const client_context client(test::only(test::trusting(), version));
        const auto server = serving_with(
            ticket_keys(std::make_shared<ticket_key_ring>(period, std::nullopt, test_time)));
        const auto first = *visit_once(client, server).session;
        time_now += period;
        const auto again = visit_with(first, client, server);
        CHECK(again.resumed);
        REQUIRE(again.session);
        time_now += period;
        CHECK(!visit_with(first, client, server).resumed);
        CHECK(visit_with(*again.session, client, server).resumed);
    }
}

TEST_CASE("a server that asks for certificates does not resume what one that asks for none made") {
    const auto keys = ticket_keys();
    const client_context client(test::trusting().identify_as(test::named_identity("client")));
    const auto open = serving_with(keys);
    const server_context strict(test::serving().seal_tickets_with(keys).require_client_certificate(
        pem::file(test::pki("ca.pem"))));
    CHECK(!visit_with(*visit_once(client, open).session, client, strict).resumed);
    const auto proven = *visit_once(client, strict).session;
    CHECK(!visit_with(proven, client, open).resumed);
    CHECK(visit_with(proven, client, strict).resumed);
}

TEST_CASE("a client whose certificate has expired is not resumed") {
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        for (const char* name : {"client", "expired"}) {
            CAPTURE(name);
            const server_context server(
                test::serving()
                    .require_client_certificate(pem::file(test::pki("ca.pem")))
                    .danger_accept_any_purpose());
            // As if it had expired after it was verified.
            X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(server.native_handle()),
                                        X509_V_FLAG_NO_CHECK_TIME);
            const client_context client(
                test::only(test::trusting().identify_as(test::named_identity(name)), version));
            const auto first = visit_once(client, server).session;
            REQUIRE(first);
            CHECK(visit_with(*first, client, server).resumed == (name == std::string("client")));
        }
    }
}

TEST_CASE("the number of tickets and the sessions' lifetime are the server's to say") {
    for (const unsigned count : {1U, 3U}) {
        const session_cache cache;
        visit_once(client_context(test::trusting().sessions(cache)),
                   server_context(test::serving().tickets(count)));
        CHECK(cache.size() == count);
    }
    for (const auto version : {tls_version::tls_1_2, tls_version::tls_1_3}) {
        const client_context client(test::only(test::trusting(), version));
        const server_context none(test::serving().tickets(0));
        const auto made = visit_once(client, none).session;
        CHECK(!(made && visit_with(*made, client, none).resumed));
        const auto brief =
            *visit_once(client, server_context(test::serving().session_lifetime(5min))).session;
        const auto left = brief.expires() - std::chrono::system_clock::now();
        CHECK(left <= 5min);
        CHECK(left > 1min);
    }
}

TEST_CASE("a lifetime that nobody can keep is refused") {
    CHECK(refusal_of(test::serving().session_lifetime(0s)) == "session lifetime");
    CHECK(refusal_of(test::serving()
                         .seal_tickets_with(ticket_keys(24h * 30))
                         .session_lifetime(24h * 7 + 1s)) == "session lifetime");
    CHECK(refusal_of(test::serving().session_lifetime(13h)) == "session lifetime");
    CHECK(refusal_of(
              test::serving().seal_tickets_with(ticket_keys(24h * 7)).session_lifetime(24h * 7))
              .empty());
}

TEST_CASE("threads may use keys while their secret is replaced") {
    auto keys = ticket_keys::shared(test::random_bytes(32, 1));
    const client_context client(test::trusting());
    const auto server = serving_with(keys);
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&client, &server] {
            for (int j = 0; j < 5; ++j) {
                const auto made = visit_once(client, server);
                CHECK(visit_with(*made.session, client, server).resumed);
            }
        });
    }
    for (unsigned seed = 2; seed < 50; ++seed)
        keys.replace(test::random_bytes(32, seed));
    for (auto& each : threads)
        each.join();
}

} // namespace ringtls
