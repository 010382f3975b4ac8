// SPDX-License-Identifier: MIT
// A TLS echo server: one event loop a thread, one coroutine a connection.
#include "common/command_line.hpp"
#include "common/program.hpp"
#include "common/secret_file.hpp"
#include "common/termination_signals.hpp"

#include <ringtls/ringtls.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
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
  --driver io_uring|epoll   how the event loop waits (default: the best there is)
  --quiet                   no line on stderr for a connection that failed
  --help, --version         print this, or the version
)";

constexpr auto handshake_limit = 10s;
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

ringtls::address parse_listen(const std::string& text) {
    try {
        const auto address = ringtls::address::parse(text);
        if (address.family() != ringtls::address::family::unix_path)
            return address;
    } catch (const ringtls::error&) {
    }
    throw std::invalid_argument("'" + text +
                                "' is not ADDR:PORT, an IP address (IPv6 in brackets) "
                                "and a port from 0 to 65535");
}

ringtls::tls_preset parse_preset(const std::string& text) {
    if (text == "modern")
        return ringtls::tls_preset::modern;
    if (text == "intermediate")
        return ringtls::tls_preset::intermediate;
    throw std::invalid_argument("'" + text + "' is neither modern nor intermediate");
}

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("listen", [&o](const auto& text) { o.listen = parse_listen(text); });
    line.value("cert", o.cert);
    line.value("key", o.key);
    line.value("client-ca", o.client_ca);
    line.value("save-cert", o.save_cert);
    line.value("alpn", [&o](const auto& text) { o.alpn = sample::parse_protocols(text); });
    line.value("threads",
               [&o](const auto& text) { o.threads = sample::parse_number(text, 1, 256); });
    line.value("driver", [&o](const auto& text) {
        if (text != "io_uring" && text != "epoll")
            throw std::invalid_argument("'" + text + "' is neither io_uring nor epoll");
        o.driver = text;
    });
    line.value("preset", [&o](const auto& text) { o.preset = parse_preset(text); });
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
task<> echo(ringtls::stream& peer, std::stop_token stop) {
    const auto met =
        co_await ringtls::as_result(peer.handshake().within(handshake_limit).cancel_on(stop));
    if (was_canceled(met))
        co_return;
    met.value();
    std::array<std::byte, 16384> buffer;
    for (;;) {
        const auto got =
            co_await ringtls::as_result(peer.read(buffer).within(idle_limit).cancel_on(stop));
        if (was_canceled(got))
            break;
        const auto data = std::span(buffer).first(got.value());
        if (data.empty())
            break;
        const auto sent =
            co_await ringtls::as_result(peer.write(data).within(idle_limit).cancel_on(stop));
        if (sent)
            continue;
        if (!was_canceled(sent))
            throw sent.error();
        // A stop leaves less time for the rest of what was read, but does not drop it.
        co_await peer.write(data.subspan(sent.error().bytes())).within(farewell_limit);
    }
    co_await peer.shutdown().within(farewell_limit);
}

/// Owns one connection. Its failure is nobody else's.
task<> serve(ringtls::socket from, ringtls::server_context tls, std::stop_token stop, bool quiet) {
    std::string where = "a peer that is gone";
    try {
        where = from.peer_address().to_string();
        ringtls::stream peer(std::move(from), tls);
        co_await echo(peer, stop);
    } catch (const std::exception& failure) {
        if (!quiet)
            sample::report(name, where + ": " + failure.what());
    }
}

/// One thread's share of the server.
class worker {
  public:
    worker(const options& o, const ringtls::address& at, const ringtls::context_reloader& tls)
        : quiet_(o.quiet),
          tls_(tls),
          loop_(ringtls::event_loop_options().driver(o.driver)),
          listener_(ringtls::listener::bind(loop_, at, how_to_listen(o))) {}

    [[nodiscard]] ringtls::event_loop& loop() noexcept { return loop_; }
    [[nodiscard]] ringtls::address local_address() const { return listener_.local_address(); }

    /// Returns when a stop was requested and the last connection is closed.
    void run(std::stop_token stop) {
        loop_.spawn(accept_all(std::move(stop)));
        loop_.run();
    }

  private:
    static ringtls::listen_options how_to_listen(const options& o) {
        ringtls::listen_options how;
        return o.threads > 1 ? how.share_port() : how;
    }

    task<> accept_all(std::stop_token stop) {
        bool failing = false;
        for (;;) {
            auto accepted = co_await ringtls::as_result(listener_.accept().cancel_on(stop));
            if (accepted) {
                failing = false;
                loop_.spawn(serve(std::move(*accepted), tls_.current(), stop, quiet_));
                continue;
            }
            if (was_canceled(accepted))
                co_return;
            // Out of descriptors, most likely: it passes when connections end.
            if (!std::exchange(failing, true))
                sample::report(name, accepted.error().what());
            co_await loop_.sleep(100ms);
        }
    }

    bool quiet_;
    const ringtls::context_reloader& tls_;
    ringtls::event_loop loop_;
    ringtls::listener listener_;
};

/// The first takes the port, the others share it.
std::vector<std::unique_ptr<worker>> make_workers(const options& o,
                                                  const ringtls::context_reloader& tls) {
    // Sharing would let this server join another one's port unnoticed. Without sharing, it is
    // refused.
    if (o.threads > 1 && o.listen.port() != 0) {
        ringtls::event_loop loop(ringtls::event_loop_options().driver(o.driver));
        (void)ringtls::listener::bind(loop, o.listen);
    }
    std::vector<std::unique_ptr<worker>> workers;
    while (workers.size() < o.threads) {
        const auto at = workers.empty() ? o.listen : workers.front()->local_address();
        workers.push_back(std::make_unique<worker>(o, at, tls));
    }
    return workers;
}

void report_reload(const std::exception_ptr& failure) {
    try {
        if (failure)
            std::rethrow_exception(failure);
        sample::report(name, "the certificate was read again");
    } catch (const std::exception& why) {
        sample::report(name, std::string("going on with the old certificate: ") + why.what());
    }
}

task<> renew_certificate(const options& o, ringtls::event_loop& loop,
                         const ringtls::context_reloader& tls, std::stop_token stop) {
    auto watching =
        tls.watch(loop, {o.cert, o.key}, report_reload, ringtls::limits().cancel_on(stop));
    const auto ended = co_await ringtls::as_result(std::move(watching));
    if (!was_canceled(ended))
        ended.value();
}

task<> stop_at_signal(ringtls::event_loop& loop, sample::termination_signals& signals,
                      std::stop_source stop) {
    co_await signals.arrival(loop);
    stop.request_stop();
}

int echo_server(int argc, char** argv) {
    const options o = parse(argc, argv);
    sample::termination_signals signals;
    sample::raise_descriptor_limit();
    const auto keys = make_ticket_keys(o);
    const ringtls::context_reloader tls([&o, keys] { return make_context(o, keys); });
    const auto workers = make_workers(o, tls);
    std::cout << "listening on " << workers.front()->local_address().to_string() << std::endl;
    if (!std::cout)
        throw std::runtime_error("stdout: cannot be written to");

    std::stop_source stop;
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < workers.size(); ++i)
        threads.emplace_back([&worker = *workers[i], &stop] { worker.run(stop.get_token()); });
    auto& first = *workers.front();
    first.loop().spawn(stop_at_signal(first.loop(), signals, stop));
    if (!o.cert.empty())
        first.loop().spawn(renew_certificate(o, first.loop(), tls, stop.get_token()));
    first.run(stop.get_token());
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, echo_server);
}
