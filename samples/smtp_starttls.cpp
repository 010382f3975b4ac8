// SPDX-License-Identifier: MIT
// SMTP that begins in plain text and goes on under TLS (RFC 3207): sends a message, or only looks.
#include "common/command_line.hpp"
#include "common/connection_facts.hpp"
#include "common/console.hpp"
#include "common/http.hpp"
#include "common/program.hpp"
#include "common/smtp.hpp"

#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "smtp_starttls";
constexpr const char* usage =
    R"(usage: smtp_starttls [--ca FILE] [--server-name NAME] [--helo NAME] [--from MAILBOX --to MAILBOX]
                     [--timeout SECONDS] [--verbose] HOST PORT

Connects to a mail server, begins TLS with STARTTLS, and verifies the server's certificate. With
--from and --to it sends the message on stdin (at most 16 MiB); without, it sends none. A server
that offers no STARTTLS is given up: nothing is sent in plain text.

  --ca FILE            trust the certificates in FILE, not the system's
  --server-name NAME   the name to verify and to ask for (default HOST)
  --helo NAME          who we are (default localhost)
  --from MAILBOX       the envelope's sender
  --to MAILBOX         the envelope's recipient
  --timeout SECONDS    for connecting, and for each step, the whole message too (default 30)
  --verbose            print the conversation and the connection's facts on stderr
  --help, --version    print this, or the version
)";

constexpr std::size_t message_bound = 16U << 20;

struct options {
    std::string host;
    std::uint16_t port = 0;
    std::string ca;
    std::string server_name;
    std::string helo = "localhost";
    std::string from;
    std::string to;
    std::chrono::milliseconds timeout = 30s;
    bool verbose = false;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("ca", o.ca);
    line.value("server-name", o.server_name);
    line.value("helo", [&o](const auto& text) { o.helo = sample::smtp_domain(text); });
    line.value("from", [&o](const auto& text) { o.from = sample::smtp_mailbox(text); });
    line.value("to", [&o](const auto& text) { o.to = sample::smtp_mailbox(text); });
    line.value("timeout", [&o](const auto& text) { o.timeout = sample::parse_seconds(text); });
    line.flag("verbose", o.verbose);
    const auto operands = line.parse(argc, argv, {"HOST", "PORT"});
    o.host = operands[0];
    o.port = sample::parse_port_operand(operands[1]);
    if (o.server_name.empty())
        o.server_name = o.host;
    if (o.from.empty() != o.to.empty())
        throw sample::usage_error("--from and --to belong together");
    return o;
}

/// Commands and replies over a socket or a stream, which read and write alike.
template<class Transport>
class conversation {
  public:
    conversation(Transport over, const options& o) : over_(std::move(over)), options_(o) {}

    task<sample::smtp_reply> reply() {
        std::array<std::byte, 4096> buffer;
        for (;;) {
            auto whole = replies_.take();
            if (whole) {
                show(*whole);
                co_return *std::move(whole);
            }
            const auto count = co_await over_.read(buffer).within(options_.timeout);
            if (count == 0)
                throw sample::smtp_error("the server closed the connection");
            replies_.add(std::span(buffer).first(count));
        }
    }
    task<sample::smtp_reply> expect(int code, const char* to) {
        auto got = co_await reply();
        if (got.code != code)
            throw sample::smtp_error(std::string(to) + ": answered " + std::to_string(got.code) +
                                     " " + sample::printable(got.lines.back()));
        co_return got;
    }
    task<sample::smtp_reply> command(std::string line, int code) {
        if (options_.verbose)
            std::fprintf(stderr, "> %s\n", line.c_str());
        const auto name_of_it = line.substr(0, line.find(' '));
        line += "\r\n";
        co_await over_.write(line).within(options_.timeout);
        auto got = co_await expect(code, name_of_it.c_str());
        co_return got;
    }

    /// What the server has said beyond its last reply. In plain text, that is somebody else's
    /// attempt to have it taken for a reply under TLS (CVE-2011-0411).
    [[nodiscard]] bool has_more() const noexcept { return !replies_.empty(); }
    [[nodiscard]] Transport& transport() noexcept { return over_; }

  private:
    void show(const sample::smtp_reply& got) const {
        if (!options_.verbose)
            return;
        for (const auto& line : got.lines)
            std::fprintf(stderr, "< %d %s\n", got.code, sample::printable(line).c_str());
    }

    Transport over_;
    const options& options_;
    sample::smtp_replies replies_;
};

task<ringtls::socket> connect(ringtls::event_loop& loop, const options& o) {
    const auto addresses = co_await ringtls::resolve(loop, o.host, o.port).within(o.timeout);
    std::optional<ringtls::error> failed;
    for (const auto& each : addresses) {
        auto made = co_await ringtls::as_result(ringtls::connect(loop, each).within(o.timeout));
        if (made)
            co_return *std::move(made);
        failed = made.error();
    }
    throw *failed;
}

task<std::string> read_message(ringtls::event_loop& loop) {
    std::string all;
    std::vector<std::byte> buffer(65536);
    for (;;) {
        const auto count = co_await sample::read_stdin(loop, buffer, {});
        if (count == 0)
            co_return all;
        if (all.size() + count > message_bound)
            throw std::runtime_error("the message is longer than 16 MiB");
        all.append(reinterpret_cast<const char*>(buffer.data()), count);
    }
}

/// The plain part of it: until the server is ready for TLS.
task<ringtls::socket> up_to_tls(ringtls::socket connected, const options& o) {
    conversation plain(std::move(connected), o);
    co_await plain.expect(220, "connecting");
    const auto offered = co_await plain.command("EHLO " + o.helo, 250);
    if (!offered.offers("STARTTLS"))
        throw sample::smtp_error("the server does not offer STARTTLS");
    co_await plain.command("STARTTLS", 220);
    if (plain.has_more())
        throw sample::smtp_error("the server sent plain text behind its answer to STARTTLS");
    co_return std::move(plain.transport());
}

/// What was said before TLS counts for nothing: the server is asked anew what it offers.
task<> run(ringtls::event_loop& loop, const ringtls::client_context& tls, const options& o) {
    const bool sends = !o.from.empty();
    std::string message;
    if (sends) {
        const auto text = co_await read_message(loop);
        message = sample::smtp_data(text);
    }
    auto connected = co_await connect(loop, o);
    auto ready = co_await up_to_tls(std::move(connected), o);
    conversation secure(ringtls::stream(std::move(ready), tls, o.server_name), o);
    auto& peer = secure.transport();
    co_await peer.handshake().within(o.timeout);
    if (o.verbose)
        sample::print_facts(peer.info());
    co_await secure.command("EHLO " + o.helo, 250);
    if (sends) {
        co_await secure.command("MAIL FROM:<" + o.from + ">", 250);
        co_await secure.command("RCPT TO:<" + o.to + ">", 250);
        co_await secure.command("DATA", 354);
        co_await peer.write(message).within(o.timeout);
        const auto taken = co_await secure.expect(250, "the message");
        std::printf("%s\n", sample::printable(taken.lines.back()).c_str());
    } else {
        co_await secure.command("NOOP", 250);
    }
    co_await secure.command("QUIT", 221);
    // The message is taken: how the connection ends takes nothing from it.
    static_cast<void>(co_await ringtls::as_result(peer.shutdown().within(2s)));
}

int smtp_starttls(int argc, char** argv) {
    const options o = parse(argc, argv);
    ringtls::client_settings settings;
    if (!o.ca.empty())
        settings.trust(ringtls::pem::file(o.ca));
    const ringtls::client_context tls(settings);
    ringtls::event_loop loop;
    try {
        loop.run(run(loop, tls, o));
    } catch (const std::exception& failure) {
        throw std::runtime_error(sample::host_and_port(o.host, o.port) + ": " + failure.what());
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, smtp_starttls);
}
