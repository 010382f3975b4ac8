// SPDX-License-Identifier: MIT
#include <ringtls/tls/context_reloader.hpp>

#include "../support/loopback.hpp"
#include "../support/scratch.hpp"

#include <filesystem>
#include <stop_token>
#include <thread>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

enum class change { succeeded, mismatched, unreadable };

/// A server whose certificate and key are files, and what its reloads came to.
struct renewing : test::scratch {
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    client_context client{test::trusting()};
    context_reloader server;
    std::stop_source source;
    std::vector<change> reports;

    renewing() : server(with("server")) {}

    /// With these as the files' first content.
    context_reloader::maker with(const std::string& name) {
        put_certificate(name);
        put_key(name);
        return [certificate = path("cert.pem"), key = path("key.pem")] {
            return server_context(
                server_settings(identity(pem::file(certificate), pem::file(key))));
        };
    }
    void put_certificate(const std::string& name) const { copy(name + ".pem", "cert.pem"); }
    void put_key(const std::string& name) const { copy(name + ".key", "key.pem"); }
    /// As programs that renew certificates do.
    void copy(const std::string& from, const std::string& to) const {
        fs::copy_file(test::pki(from), path("new"), fs::copy_options::overwrite_existing);
        fs::rename(path("new"), path(to));
    }

    void watch() {
        loop.spawn([](renewing& on) -> task<> {
            auto work = on.server.watch(
                on.loop, on.files(), [&on](auto failure) { on.note(failure); },
                limits().cancel_on(on.source.get_token()));
            const auto ended = co_await as_result(std::move(work));
            CHECK(ended.error().code() == errc::canceled);
        }(*this));
        turn();
    }
    [[nodiscard]] std::vector<std::string> files() const {
        return {path("cert.pem"), path("key.pem")};
    }
    void note(const std::exception_ptr& failure) {
        try {
            if (failure)
                std::rethrow_exception(failure);
            reports.push_back(change::succeeded);
        } catch (const error& thrown) {
            const bool mismatched = thrown.code() == errc::key_mismatch;
            reports.push_back(mismatched ? change::mismatched : change::unreadable);
        }
    }
    void turn() { loop.run(test::settle(loop)); }
    /// Nothing changes for so long that a reload is due.
    void quiet() {
        turn();
        clock.advance(200ms);
        turn();
    }

    test::stream_pair connect() {
        test::stream_pair made(test::connected_pair(loop), client, server.current());
        test::run_all(loop, test::shake_hands(made.client), test::shake_hands(made.server));
        return made;
    }
    static std::string subject_of_key(const test::stream_pair& link) {
        const auto peer = link.client.info().peer;
        REQUIRE(peer.has_value());
        return peer->fingerprint();
    }
    void check_echo(test::stream_pair& link) {
        const auto data = test::random_bytes(1000);
        test::bytes got(data.size());
        test::run_all(loop, test::write_all(link.client, data), test::read_all(link.server, got));
        CHECK(got == data);
    }
    ~renewing() {
        source.request_stop();
        loop.run();
    }
};

} // namespace

TEST_CASE("new connections get a new certificate, and those that there are go on") {
    renewing on;
    on.watch();
    auto before = on.connect();
    const auto old = renewing::subject_of_key(before);
    on.put_certificate("rsa");
    on.put_key("rsa");
    on.quiet();
    CHECK(on.reports == std::vector{change::succeeded});
    auto after = on.connect();
    CHECK(renewing::subject_of_key(after) != old);
    on.check_echo(before);
    on.check_echo(after);
}

TEST_CASE("a file that is no certificate, or not this key's, keeps the old one and is reported") {
    renewing on;
    on.watch();
    auto before = on.connect();
    const auto old = renewing::subject_of_key(before);
    on.put("cert.pem", "no certificate");
    on.quiet();
    on.put_certificate("rsa");
    on.quiet();
    CHECK(on.reports == std::vector{change::unreadable, change::mismatched});
    CHECK(renewing::subject_of_key(on.connect()) == old);
    on.put_key("rsa");
    on.quiet();
    CHECK(on.reports.back() == change::succeeded);
    CHECK(renewing::subject_of_key(on.connect()) != old);
}

TEST_CASE("files that are written one after the other are one change") {
    renewing on;
    on.watch();
    on.put_certificate("rsa");
    for (int i = 0; i < 10; ++i) {
        on.turn();
        on.clock.advance(199ms);
        on.turn();
        on.put_certificate(i % 2 == 0 ? "server" : "rsa");
        on.clock.advance(1ms);
    }
    on.put_key("rsa");
    CHECK(on.reports.empty());
    on.quiet();
    on.quiet();
    CHECK(on.reports == std::vector{change::succeeded});
}

TEST_CASE("what changes while nobody is told is not reported twice") {
    renewing on;
    on.watch();
    on.put_key("server");
    on.quiet();
    on.quiet();
    on.quiet();
    CHECK(on.reports == std::vector{change::succeeded});
}

TEST_CASE("a first context that cannot be made is the caller's error") {
    CHECK_THROWS_AS(context_reloader([]() -> server_context {
                        return server_context(server_settings(identity(
                            pem::file("/nowhere/cert.pem"), pem::file("/nowhere/key.pem"))));
                    }),
                    error);
}

TEST_CASE("reload() throws and keeps the old context, replace() takes what it is given") {
    renewing on;
    const auto old = on.server.current().native_handle();
    on.put("key.pem", "no key");
    CHECK_THROWS_AS(on.server.reload(), error);
    CHECK(on.server.current().native_handle() == old);
    on.put_key("server");
    on.server.reload();
    CHECK(on.server.current().native_handle() != old);
    const server_context other{test::serving()};
    on.server.replace(other);
    CHECK(on.server.current().native_handle() == other.native_handle());
}

TEST_CASE("a context may be exchanged by other threads while connections are made") {
    renewing on;
    std::jthread other([&](const std::stop_token& stop) {
        while (!stop.stop_requested())
            on.server.reload();
    });
    for (int i = 0; i < 20; ++i) {
        auto link = on.connect();
        on.check_echo(link);
    }
}

} // namespace ringtls
