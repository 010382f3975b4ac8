// SPDX-License-Identifier: MIT
// Fetches one https URL: connect, directly or through an https proxy, verify, send the request,
// read the response to its end, shut down.
#include "common/command_line.hpp"
#include "common/connection_facts.hpp"
#include "common/console.hpp"
#include "common/http_response.hpp"
#include "common/https_proxy.hpp"
#include "common/output_file.hpp"
#include "common/program.hpp"
#include "common/url.hpp"

#include <ringtls/ringtls.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "https_get";
constexpr const char* usage =
    R"(usage: https_get [--ca FILE] [--proxy https://HOST[:PORT]] [--proxy-ca FILE]
                 [--timeout SECONDS] [--output FILE] [--verbose] https://HOST[:PORT]/PATH

Fetches the URL. The body goes to stdout, or to FILE, which appears only when it is whole.
Exits 1 if the body was cut short, and for a status of 400 and more.

  --ca FILE          trust the certificates in FILE, not the system's
  --proxy URL        connect through this proxy with CONNECT: TLS to it, and TLS to the host inside
  --proxy-ca FILE    trust the certificates in FILE for the proxy, not the system's
  --timeout SECONDS  for connecting, and for each wait for the server (default 30)
  --output FILE      write the body to FILE
  --verbose          print the connection's facts and the response's header on stderr
  --help, --version  print this, or the version
)";

struct options {
    sample::url url;
    std::string ca;
    std::optional<sample::url> proxy;
    std::string proxy_ca;
    std::chrono::milliseconds timeout = 30s;
    std::string output;
    bool verbose = false;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("ca", o.ca);
    line.value("proxy", [&o](const auto& text) { o.proxy = sample::parse_proxy(text); });
    line.value("proxy-ca", o.proxy_ca);
    line.value("timeout", [&o](const auto& text) { o.timeout = sample::parse_seconds(text); });
    line.value("output", o.output);
    line.flag("verbose", o.verbose);
    const auto operands = line.parse(argc, argv, {"URL"});
    o.url = sample::parse_url(operands[0]);
    if (!o.proxy && !o.proxy_ca.empty())
        throw sample::usage_error("--proxy-ca without --proxy");
    return o;
}

/// "12.3 of 64.0 MiB" on a terminal, a few times a second.
class progress {
  public:
    progress(const ringtls::event_loop& loop, bool shown) : loop_(loop), shown_(shown) {}
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress() { clear(); }

    void add(std::size_t bytes, const sample::http_body& of) {
        bytes_ += bytes;
        if (!shown_ || loop_.now() < next_)
            return;
        next_ = loop_.now() + 200ms;
        constexpr double mebibyte = 1024.0 * 1024.0;
        clear();
        std::fprintf(stderr, "%.1f", double(bytes_) / mebibyte);
        if (of.framing == sample::http_framing::length)
            std::fprintf(stderr, " of %.1f", double(of.length) / mebibyte);
        std::fputs(" MiB", stderr);
    }
    void clear() const {
        if (shown_)
            std::fputs("\r\033[K", stderr);
    }

  private:
    const ringtls::event_loop& loop_;
    bool shown_;
    std::uint64_t bytes_ = 0;
    ringtls::loop_clock::time_point next_;
};

/// In pieces that nobody has to join first: they share a record.
task<> send_request(ringtls::stream& peer, const options& o) {
    const std::string request_line = "GET " + o.url.target + " HTTP/1.1\r\n";
    const std::string host = "Host: " + o.url.authority + "\r\n";
    const std::string rest = "User-Agent: ringtls-https_get/" + std::string(ringtls::version) +
                             "\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    const std::array<std::span<const std::byte>, 3> pieces{
        std::as_bytes(std::span(request_line)),
        std::as_bytes(std::span(host)),
        std::as_bytes(std::span(rest)),
    };
    co_await peer.write(pieces).within(o.timeout);
}

void print_head(const sample::http_head& head) {
    std::fprintf(stderr, "%d %s\n", head.status, sample::printable(head.reason).c_str());
    for (const auto& field : head.fields)
        std::fprintf(stderr, "%s: %s\n", field.name.c_str(),
                     sample::printable(field.value).c_str());
    std::fputs("\n", stderr);
}

/// What this program asks of a server, and of a proxy.
ringtls::client_context context_trusting(const std::string& ca) {
    ringtls::client_settings settings;
    settings.alpn({"http/1.1"});
    if (!ca.empty())
        settings.trust(ringtls::pem::file(ca));
    return ringtls::client_context(settings);
}

struct trust {
    explicit trust(const options& o) : server(context_trusting(o.ca)) {
        if (o.proxy)
            proxy.emplace(context_trusting(o.proxy_ca));
    }
    ringtls::client_context server;
    std::optional<ringtls::client_context> proxy;
};

task<ringtls::stream> connect(ringtls::event_loop& loop, const trust& tls, const options& o) {
    if (o.proxy) {
        auto through = co_await sample::connect_through(loop, *o.proxy, *tls.proxy, o.url,
                                                        tls.server, loop.now() + o.timeout);
        co_return through;
    }
    auto direct =
        co_await ringtls::connect(loop, tls.server, o.url.host, o.url.port).within(o.timeout);
    co_return direct;
}

/// Completes with the response's head when its body is where it belongs.
task<sample::http_head> fetch(ringtls::event_loop& loop, const trust& tls, const options& o) {
    std::optional<sample::output_file> file;
    if (!o.output.empty())
        file.emplace(o.output);

    auto peer = co_await connect(loop, tls, o);
    if (o.verbose)
        sample::print_facts(peer.info());
    co_await send_request(peer, o);

    const int to = file ? file->fd() : STDOUT_FILENO;
    const char* const to_name = file ? o.output.c_str() : "stdout";
    sample::http_response response;
    progress shown(loop, file && ::isatty(STDERR_FILENO));
    std::vector<std::byte> buffer(16384);
    bool head_shown = !o.verbose;
    while (!response.complete()) {
        const std::size_t count = co_await peer.read(buffer).within(o.timeout);
        if (count == 0) {
            response.close();
            break;
        }
        const auto body = response.take(std::span(buffer).first(count));
        if (response.has_head() && !std::exchange(head_shown, true))
            print_head(response.head());
        co_await sample::write_all(loop, to, to_name, body);
        shown.add(body.size(), response.body());
    }
    shown.clear();
    if (file)
        file->commit();
    // The body is whole: how the connection ends takes nothing from it.
    (void)co_await ringtls::as_result(peer.shutdown().within(2s));
    co_return response.head();
}

/// The process's exit status, after a line on stderr if the server did not give what was asked for.
int judge(const sample::http_head& head, const std::string& where) {
    if (head.status < 300)
        return 0;
    std::string line =
        where + ": answered " + std::to_string(head.status) + " " + sample::printable(head.reason);
    if (const auto location = head.field("Location"); location && head.status < 400)
        line += ", not followed: " + sample::printable(*location);
    sample::report(name, line);
    return head.status < 400 ? 0 : 1;
}

/// Stopping the loop destroys what it runs, and with it the unfinished file.
task<> stop_at_signal(ringtls::event_loop& loop, ringtls::signal_set& signals, bool& interrupted) {
    co_await signals.next(loop);
    interrupted = true;
    loop.stop();
}

int https_get(int argc, char** argv) {
    const options o = parse(argc, argv);
    const trust tls(o);
    ringtls::signal_set signals{SIGINT, SIGTERM};
    ringtls::event_loop loop;
    bool interrupted = false;
    loop.spawn(stop_at_signal(loop, signals, interrupted));

    const std::string where = sample::host_and_port(o.url.host, o.url.port);
    try {
        return judge(loop.run(fetch(loop, tls, o)), where);
    } catch (const std::exception& failure) {
        throw std::runtime_error(where + ": " + (interrupted ? "interrupted" : failure.what()));
    }
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, https_get);
}
