// SPDX-License-Identifier: MIT
// A TLS echo server: one coroutine a connection, on as many threads as wanted.
#include "common/command_line.hpp"
#include "common/program.hpp"
#include "common/secret_file.hpp"
#include "common/serving.hpp"

#include <ringtls/ringtls.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "echo_server";
constexpr const char* usage =
    R"(usage: echo_server [--listen ADDR:PORT] [--cert FILE --key FILE] [--client-ca FILE]
                   [--alpn NAME,...] [--threads N] [--save-cert FILE] [--driver io_uring|epoll]
                   [--preset modern|intermediate] [--ticket-secret FILE] [--ocsp FILE] [--quiet]

Sends back what it receives. SIGINT and SIGTERM close every connection and end it.

  --listen ADDR:PORT        default 127.0.0.1:8443; port 0 picks a free one
  --cert FILE --key FILE    the server's certificate chain and its key, read again when they
                            change; without them a throwaway certificate for localhost,
                            127.0.0.1 and ::1
  --save-cert FILE          write the throwaway certificate, for the client's --ca
  --client-ca FILE          refuse clients without a certificate from these authorities
  --alpn NAME,...           accept these protocols only, the preferred one first
  --preset NAME             versions, ciphers and groups of Mozilla's guidelines: modern (TLS 1.3
                            alone) or intermediate
  --ticket-secret FILE      seal session tickets with keys of this secret, at least 32 random
                            bytes: servers that share it resume each other's sessions
  --ocsp FILE               staple this OCSP response (DER)
  --threads N               event loops, each on a thread of its own (default 1)
  --driver io_uring|epoll   how the event loop waits (default: io_uring, or epoll where that is
                            refused, with a line on stderr that says why)
  --quiet                   no line on stderr for that, or for a connection that failed
  --help, --version         print this, or the version
)";

constexpr std::size_t most_connections = 100'000; // the descriptors end before
constexpr std::size_t least_ticket_secret = 32;   // bytes, of ticket_keys::shared()
constexpr auto idle_limit = 5min;
constexpr auto farewell_limit = 3s;

struct options {
    ringtls::address listen{"127.0.0.1", 8443};
    std::string cert;
    std::string key;
    std::string client_ca;
    std::string save_cert;
    std::vector<std::string> alpn;
    std::size_t threads = 1;
    std::string driver;
    std::optional<ringtls::tls_preset> preset;
    std::string ticket_secret;
    std::string ocsp;
    bool quiet = false;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("listen", [&o](const auto& text) { o.listen = sample::parse_listen(text); });
    line.value("cert", o.cert);
    line.value("key", o.key);
    line.value("client-ca", o.client_ca);
    line.value("save-cert", o.save_cert);
    line.value("alpn", [&o](const auto& text) { o.alpn = sample::parse_protocols(text); });
    line.value("threads",
               [&o](const auto& text) { o.threads = sample::parse_number(text, 1, 256); });
    line.value("driver", [&o](const auto& text) { o.driver = sample::parse_driver(text); });
    line.value("preset", [&o](const auto& text) { o.preset = sample::parse_preset(text); });
    line.value("ticket-secret", o.ticket_secret);
    line.value("ocsp", o.ocsp);
    line.flag("quiet", o.quiet);
    line.parse(argc, argv, {});
    if (o.cert.empty() != o.key.empty())
        throw sample::usage_error(o.key.empty() ? "--cert needs --key" : "--key needs --cert");
    if (!o.save_cert.empty() && !o.cert.empty())
        throw sample::usage_error("--save-cert saves the throwaway certificate: not with --cert");
    return o;
}

/// The certificate of the command line, or a throwaway one.
ringtls::identity make_identity(const options& o) {
    if (!o.cert.empty())
        return {ringtls::pem::file(o.cert), ringtls::pem::file(o.key)};
    const std::array<std::string, 3> names{"localhost", "127.0.0.1", "::1"};
    auto made = ringtls::self_signed(names);
    if (!o.save_cert.empty()) {
        std::ofstream file(o.save_cert);
        file << made.chain.content() << std::flush;
        if (!file)
            throw std::system_error(errno, std::system_category(), o.save_cert);
    }
    return made;
}

/// Made once, and given to each context: their tickets stay good when a certificate is renewed.
ringtls::ticket_keys make_ticket_keys(const options& o) {
    if (o.ticket_secret.empty())
        return ringtls::ticket_keys();
    const auto secret = sample::read_secret(o.ticket_secret);
    if (!secret)
        throw std::system_error(ENOENT, std::system_category(), o.ticket_secret);
    if (secret->bytes().size() < least_ticket_secret)
        throw std::runtime_error(o.ticket_secret + ": shorter than 32 bytes");
    return ringtls::ticket_keys::shared(secret->bytes());
}

ringtls::server_context make_context(const options& o, const ringtls::ticket_keys& keys) {
    ringtls::server_settings settings(make_identity(o));
    settings.alpn(o.alpn).seal_tickets_with(keys);
    if (o.preset)
        settings.preset(*o.preset);
    if (!o.ocsp.empty())
        settings.staple_ocsp_file(o.ocsp);
    if (!o.client_ca.empty())
        settings.require_client_certificate(ringtls::pem::file(o.client_ca));
    return ringtls::server_context(settings);
}

bool was_canceled(const auto& outcome) {
    return !outcome && outcome.error().code() == ringtls::errc::canceled;
}

/// Sends back what comes, until the peer closes or a stop is requested; then closes.
task<> echo(ringtls::stream peer, std::stop_token stop) {
    std::array<std::byte, 16384> buffer;
    for (;;) {
        const auto got = co_await ringtls::as_result(peer.read(buffer).cancel_on(stop));
        if (was_canceled(got))
            break;
        const auto data = std::span(buffer).first(got.value());
        if (data.empty())
            break;
        const auto sent = co_await ringtls::as_result(peer.write(data).cancel_on(stop));
        if (sent)
            continue;
        if (!was_canceled(sent))
            throw sent.error();
        // A stop leaves less time for the rest of what was read, but does not drop it.
        co_await peer.write(data.subspan(sent.error().bytes())).within(farewell_limit);
    }
    co_await peer.shutdown().within(farewell_limit);
}

int echo_server(int argc, char** argv) {
    const options o = parse(argc, argv);
    ringtls::signal_set signals{SIGINT, SIGTERM};
    sample::raise_descriptor_limit();
    const auto keys = make_ticket_keys(o);
    const ringtls::context_reloader tls([&o, keys] { return make_context(o, keys); });

    auto how = ringtls::server_options()
                   .listen(o.listen)
                   .threads(o.threads)
                   .loops(ringtls::event_loop_options().driver(o.driver))
                   .max_connections(most_connections)
                   .idle_within(idle_limit)
                   .write_within(idle_limit)
                   .grace(farewell_limit + 1s);
    if (!o.quiet)
        how.on_failure([](const auto& of) { sample::report(name, of); });
    ringtls::server server(tls, echo, how);
    server.stop_on(signals);
    if (!o.cert.empty())
        server.loop().spawn(sample::watch_certificate(name, server.loop(), tls, o.cert, o.key));
    sample::announce(name, server, o.quiet);
    server.run();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, echo_server);
}
