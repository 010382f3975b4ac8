// SPDX-License-Identifier: MIT
// Takes TLS connections and carries their content to a plain TCP server, and back.
#include "common/command_line.hpp"
#include "common/program.hpp"
#include "common/serving.hpp"

#include <ringtls/ringtls.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "tls_proxy";
constexpr const char* usage =
    R"(usage: tls_proxy --to HOST:PORT [--listen ADDR:PORT] --cert FILE --key FILE [--threads N]
                 [--alpn NAME,...] [--preset modern|intermediate] [--max-connections N]
                 [--grace SECONDS] [--driver io_uring|epoll] [--quiet]

Ends TLS for a server that speaks plain TCP. Each end's half-close is carried over to the other; a
connection that breaks off at one end breaks off at the other, too. SIGINT and SIGTERM end it: no new
connections, and those that there are have the grace time; at once, at the second.

  --to HOST:PORT            the plain server; an IPv6 address in brackets
  --listen ADDR:PORT        port 0 picks a free one (default: the sockets that a service manager hands
                            over, sd_listen_fds(3), or else 127.0.0.1:8443)
  --cert FILE --key FILE    certificate chain and key, read again when they change
  --threads N               event loops, each on a thread of its own (default 1)
  --alpn NAME,...           accept these protocols only, the preferred one first
  --preset NAME             versions, ciphers and groups of Mozilla's guidelines: modern (TLS 1.3
                            alone) or intermediate
  --max-connections N       at once; more wait (default 10000, and half of the descriptors at most)
  --grace SECONDS           default 10
  --driver io_uring|epoll   how the event loop waits (default: io_uring, or epoll where that is
                            refused, with a line on stderr that says why)
  --quiet                   no line on stderr for that, or for a connection that failed
  --help, --version         print this, or the version
)";

constexpr auto connect_limit = 10s;
constexpr auto idle_limit = 5min;
constexpr auto write_limit = 1min;

struct options {
    std::optional<ringtls::address> listen;
    std::optional<sample::host_port> to;
    std::string cert;
    std::string key;
    std::vector<std::string> alpn;
    std::optional<ringtls::tls_preset> preset;
    std::size_t threads = 1;
    std::size_t max_connections = 10'000;
    std::chrono::milliseconds grace = 10s;
    std::string driver;
    bool quiet = false;
};

options parse(int argc, char** argv) {
    options o;
    sample::command_line line(name, usage);
    line.value("listen", [&o](const auto& text) { o.listen = sample::parse_listen(text); });
    line.value("to", [&o](const auto& text) { o.to = sample::parse_host_port(text); });
    line.value("cert", o.cert);
    line.value("key", o.key);
    line.value("alpn", [&o](const auto& text) { o.alpn = sample::parse_protocols(text); });
    line.value("preset", [&o](const auto& text) { o.preset = sample::parse_preset(text); });
    line.value("threads",
               [&o](const auto& text) { o.threads = sample::parse_number(text, 1, 256); });
    line.value("max-connections", [&o](const auto& text) {
        o.max_connections = sample::parse_number(text, 1, 1'000'000);
    });
    line.value("grace", [&o](const auto& text) { o.grace = sample::parse_seconds(text); });
    line.value("driver", [&o](const auto& text) { o.driver = sample::parse_driver(text); });
    line.flag("quiet", o.quiet);
    line.parse(argc, argv, {});
    if (!o.to)
        throw sample::usage_error("--to HOST:PORT is missing");
    if (o.cert.empty() || o.key.empty())
        throw sample::usage_error(o.cert.empty() ? "--cert FILE is missing"
                                                 : "--key FILE is missing");
    return o;
}

ringtls::server_context make_context(const options& o) {
    ringtls::server_settings settings(
        ringtls::identity(ringtls::pem::file(o.cert), ringtls::pem::file(o.key)));
    settings.alpn(o.alpn);
    if (o.preset)
        settings.preset(*o.preset);
    return ringtls::server_context(settings);
}

void listen(ringtls::server_options& how, const options& o) {
    if (o.listen) {
        how.listen(*o.listen);
        return;
    }
    const auto handed_over = ringtls::activated_sockets();
    for (const auto& each : handed_over)
        how.listen(each.fd);
    if (handed_over.empty())
        how.listen({"127.0.0.1", 8443});
}

/// When something last passed, in either direction: one may be silent while the other is busy.
class activity {
  public:
    explicit activity(ringtls::event_loop& loop) : loop_(loop), last_(loop.now()) {}
    void seen() noexcept { last_ = loop_.now(); }
    [[nodiscard]] ringtls::loop_clock::time_point end() const noexcept {
        return last_ + idle_limit;
    }
    [[nodiscard]] bool over() const noexcept { return loop_.now() >= end(); }

    std::optional<ringtls::error> refused; ///< why the backend takes no more

  private:
    ringtls::event_loop& loop_;
    ringtls::loop_clock::time_point last_;
};

task<> end_writing(ringtls::stream& to, std::stop_token stop) {
    co_await to.close_write().within(write_limit).cancel_on(stop);
}
/// One that is gone has shown why to who reads from it.
task<> end_writing(ringtls::socket& to, std::stop_token /*stop*/) {
    try {
        to.shutdown_write();
    } catch (const ringtls::error& failure) {
        if (failure.code() != std::errc::not_connected)
            throw;
    }
    co_return;
}

constexpr bool is_backend(const ringtls::socket& /*to*/) {
    return true;
}
constexpr bool is_backend(const ringtls::stream& /*to*/) {
    return false;
}
bool is_of_the_peer(const ringtls::error& failure) {
    return failure.code() == std::errc::broken_pipe ||
           failure.code() == std::errc::connection_reset;
}

/// One direction, to its end. A backend that takes no more may have answered before, which the
/// other direction is to read first.
template<class From, class To>
task<> carry(From& from, To& to, activity& both, std::stop_token stop) {
    std::array<std::byte, 16384> buffer;
    for (;;) {
        auto reading = from.read(buffer);
        const auto got = co_await ringtls::as_result(reading.until(both.end()).cancel_on(stop));
        if (!got && got.error().code() == ringtls::errc::timed_out && !both.over())
            continue; // nothing is lost
        const auto data = std::span(buffer).first(got.value());
        if (data.empty())
            break;
        both.seen();
        auto writing = to.write(data);
        const auto sent = co_await ringtls::as_result(writing.within(write_limit).cancel_on(stop));
        if (!sent && is_backend(to) && is_of_the_peer(sent.error())) {
            both.refused = sent.error();
            co_return;
        }
        if (!sent)
            throw ringtls::error(sent.error());
        both.seen();
    }
    if (both.refused) // a reset that the write has told of: whether this was all, nobody knows
        throw ringtls::error(*both.refused);
    auto ending = end_writing(to, stop);
    co_await std::move(ending);
}

/// The peer is to see that what it got is not all: a close would look like the end.
void reset_on_close(const ringtls::socket& peer, bool on) {
    const linger how{on ? 1 : 0, 0};
    if (::setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &how, sizeof how) != 0)
        throw std::system_error(errno, std::system_category(), "SO_LINGER");
}

task<> proxy(ringtls::stream client, const sample::host_port& to) {
    auto& loop = client.loop();
    auto connecting = ringtls::connect(loop, to.host, to.port);
    auto backend = co_await connecting.within(connect_limit);
    reset_on_close(backend, true);
    activity both(loop);
    ringtls::task_group directions(loop);
    directions.spawn(carry(client, backend, both, directions.token()));
    directions.spawn(carry(backend, client, both, directions.token()));
    co_await directions.join();
    if (both.refused)
        throw ringtls::error(*both.refused);
    reset_on_close(backend, false);
}

int tls_proxy(int argc, char** argv) {
    const options o = parse(argc, argv);
    ringtls::signal_set signals{SIGINT, SIGTERM};
    const auto descriptors = sample::raise_descriptor_limit();
    const ringtls::context_reloader tls([&o] { return make_context(o); });

    // Two descriptors a connection, and some for each loop and all else.
    const std::size_t others = 100 + 8 * o.threads;
    const auto room = descriptors > 2 * others ? (descriptors - others) / 2
                                               : std::max<std::size_t>(descriptors / 4, 1);
    auto how = ringtls::server_options()
                   .threads(o.threads)
                   .loops(ringtls::event_loop_options().driver(o.driver))
                   .max_connections(std::min<std::size_t>(o.max_connections, room))
                   .idle_within(ringtls::loop_clock::duration::max()) // by activity, above
                   .write_within(write_limit)
                   .grace(o.grace);
    listen(how, o);
    if (!o.quiet)
        how.on_failure([](const auto& of) { sample::report(name, of); });
    ringtls::server server(
        tls, [&o](ringtls::stream client) { return proxy(std::move(client), *o.to); }, how);
    server.stop_on(signals);
    server.loop().spawn(sample::watch_certificate(name, server.loop(), tls, o.cert, o.key));
    sample::announce(name, server, o.quiet);
    server.run();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, tls_proxy);
}
