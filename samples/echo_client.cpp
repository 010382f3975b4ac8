// SPDX-License-Identifier: MIT
// TLS for the console: stdin to the peer and the peer's bytes to stdout, both at once.
#include "common/command_line.hpp"
#include "common/connection_facts.hpp"
#include "common/console.hpp"
#include "common/program.hpp"
#include "common/secret_file.hpp"

#include <ringtls/ringtls.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "echo_client";
constexpr const char* usage =
    R"(usage: echo_client [--ca FILE] [--server-name NAME] [--cert FILE --key FILE] [--alpn NAME,...]
                   [--pin SHA256] [--require-ocsp] [--session FILE] [--key-log]
                   [--timeout SECONDS] [--verbose] HOST PORT

Copies stdin to the peer and the peer's bytes to stdout, both at once; half-closes at the end of
stdin; exits 0 when the peer has closed cleanly.

  --ca FILE                 trust the certificates in FILE, not the system's
  --server-name NAME        the name to verify and to ask for (default HOST)
  --cert FILE --key FILE    present this certificate
  --alpn NAME,...           offer these protocols
  --pin SHA256              accept a server with this public key alone: the key that --verbose
                            prints
  --require-ocsp            refuse a server that staples no good OCSP response
  --session FILE            resume the session in FILE, if there is one, and leave the next there
  --key-log                 append the connection's secrets to the file that SSLKEYLOGFILE names
  --timeout SECONDS         for connecting, and after the end of stdin for each wait for the peer
                            (default 30)
  --verbose                 print the connection's facts on stderr
  --help, --version         print this, or the version
)";

struct options {
    std::string host;
    std::uint16_t port = 0;
    std::string ca;
    std::string server_name;
    std::string cert;
    std::string key;
    std::vector<std::string> alpn;
    std::string pin;
    bool require_ocsp = false;
    std::string session;
    bool key_log = false;
    std::chrono::milliseconds timeout = 30s;
    bool verbose = false;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("ca", o.ca);
    line.value("server-name", o.server_name);
    line.value("cert", o.cert);
    line.value("key", o.key);
    line.value("alpn", [&o](const auto& text) { o.alpn = sample::parse_protocols(text); });
    line.value("pin", o.pin);
    line.flag("require-ocsp", o.require_ocsp);
    line.value("session", o.session);
    line.flag("key-log", o.key_log);
    line.value("timeout", [&o](const auto& text) { o.timeout = sample::parse_seconds(text); });
    line.flag("verbose", o.verbose);
    const auto operands = line.parse(argc, argv, {"HOST", "PORT"});
    o.host = operands[0];
    o.port = sample::parse_port_operand(operands[1]);
    if (o.key_log && !std::getenv("SSLKEYLOGFILE"))
        throw sample::usage_error("--key-log: SSLKEYLOGFILE is not set");
    if (o.cert.empty() != o.key.empty())
        throw sample::usage_error(o.key.empty() ? "--cert needs --key" : "--key needs --cert");
    return o;
}

ringtls::client_context make_context(const options& o) {
    ringtls::client_settings settings;
    settings.alpn(o.alpn);
    if (!o.ca.empty())
        settings.trust(ringtls::pem::file(o.ca));
    if (!o.cert.empty())
        settings.identify_as({ringtls::pem::file(o.cert), ringtls::pem::file(o.key)});
    if (!o.pin.empty())
        settings.pin_public_key(o.pin);
    if (o.require_ocsp)
        settings.require_stapled_ocsp();
    if (o.key_log)
        settings.danger_log_keys_to_sslkeylogfile();
    return ringtls::client_context(settings);
}

bool was_canceled(const auto& outcome) {
    return !outcome && outcome.error().code() == ringtls::errc::canceled;
}

/// Requests a stop when it goes, however that comes.
class stop_at_end {
  public:
    explicit stop_at_end(std::stop_source& source) : source_(source) {}
    stop_at_end(const stop_at_end&) = delete;
    stop_at_end& operator=(const stop_at_end&) = delete;
    ~stop_at_end() { source_.request_stop(); }

  private:
    std::stop_source& source_;
};

/// One connection, used by two coroutines at once. Each tells the other when it ends, so that
/// neither waits for what cannot come any more.
class conversation {
  public:
    conversation(ringtls::stream& peer, const options& o) : peer_(peer), options_(o) {}

    /// Completes when the peer has closed cleanly.
    task<> run() {
        const auto [sent, answered] = co_await ringtls::when_all(
            ringtls::as_result(send_input()), ringtls::as_result(print_answers()));
        // The one that was only told to end does not know why.
        if (!answered)
            throw was_canceled(answered) ? sent.error() : answered.error();
        // Both sides have said what they had to say: how TCP ends takes nothing from it.
        (void)co_await ringtls::as_result(peer_.shutdown().within(options_.timeout));
    }

    /// Whether the peer was told the end of the input, with all that came before it.
    [[nodiscard]] bool all_sent() const noexcept { return all_sent_; }
    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

  private:
    /// Until the input ends, or the peer closes.
    task<> send_input() {
        const stop_at_end tell(input_ended_);
        const auto peer_ended = peer_ended_.get_token();
        std::vector<std::byte> buffer(65536);
        for (;;) {
            const auto got =
                co_await ringtls::as_result(sample::read_stdin(peer_.loop(), buffer, peer_ended));
            const auto data = std::span(buffer).first(got.value());
            if (data.empty())
                break;
            const auto sent = co_await ringtls::as_result(peer_.write(data).cancel_on(peer_ended));
            // Even a peer that takes no more may have answered before.
            answers_may_come_ = !sent;
            sent_ += sent.value();
        }
        answers_may_come_ = true;
        co_await peer_.close_write().within(options_.timeout);
        all_sent_ = true;
    }

    task<> print_answers() {
        const stop_at_end tell(peer_ended_);
        std::array<std::byte, 16384> buffer;
        while (const std::size_t count = co_await read_answer(buffer)) {
            received_ += count;
            co_await sample::write_all(peer_.loop(), STDOUT_FILENO, "stdout",
                                       std::span(buffer).first(count));
        }
    }

    /// While there is input, waits for as long as it takes; once there is none, only so long.
    task<std::size_t> read_answer(std::span<std::byte> into) {
        const auto input_ended = input_ended_.get_token();
        const auto got = co_await ringtls::as_result(peer_.read(into).cancel_on(input_ended));
        if (!was_canceled(got) || !answers_may_come_)
            co_return got.value();
        co_return co_await peer_.read(into).within(options_.timeout);
    }

    ringtls::stream& peer_;
    const options& options_;
    std::stop_source input_ended_;
    std::stop_source peer_ended_;
    bool answers_may_come_ = false; ///< though the input has ended
    bool all_sent_ = false;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
};

void print_amount(std::uint64_t sent, std::uint64_t received, std::chrono::nanoseconds time) {
    const double seconds = std::chrono::duration<double>(time).count();
    std::fprintf(stderr, "sent:     %" PRIu64 " bytes\nreceived: %" PRIu64 " bytes\n", sent,
                 received);
    std::fprintf(stderr, "rate:     %.1f MiB/s\n", double(received) / 1048576 / seconds);
}

ringtls::endpoint make_endpoint(const options& o) {
    auto to = ringtls::endpoint(o.host, o.port).server_name(o.server_name);
    if (o.session.empty())
        return to;
    if (const auto kept = sample::read_secret(o.session)) {
        const auto session = ringtls::session::deserialize(kept->bytes());
        to.resume(session);
        if (session.single_use()) // a second use would let an observer link the two
            ::unlink(o.session.c_str());
    }
    return to;
}

/// A session of TLS 1.3 is for one use: there may be no other yet.
void keep_session(const ringtls::stream& of, const std::string& path) {
    if (const auto next = of.session())
        sample::write_secret(path, next->serialize().bytes());
}

task<> converse(ringtls::event_loop& loop, const ringtls::client_context& tls, const options& o) {
    const auto to = make_endpoint(o);
    auto peer = co_await ringtls::connect(loop, tls, to).within(o.timeout);
    if (o.verbose)
        sample::print_facts(peer.info());

    const auto begun = loop.now();
    conversation both(peer, o);
    co_await both.run();
    if (!o.session.empty())
        keep_session(peer, o.session);
    if (!both.all_sent())
        sample::report(name, sample::host_and_port(o.host, o.port) +
                                 ": the peer closed before the end of the input");

    if (o.verbose)
        print_amount(both.sent(), both.received(), loop.now() - begun);
}

int echo_client(int argc, char** argv) {
    const options o = parse(argc, argv);
    const auto tls = make_context(o);
    ringtls::event_loop loop;
    try {
        loop.run(converse(loop, tls, o));
    } catch (const std::exception& failure) {
        throw std::runtime_error(sample::host_and_port(o.host, o.port) + ": " + failure.what());
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, echo_client);
}
