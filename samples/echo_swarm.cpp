// SPDX-License-Identifier: MIT
// Many echo clients as coroutines on one thread: all connected at once, every byte checked.
#include "common/command_line.hpp"
#include "common/program.hpp"
#include "common/swarm_report.hpp"

#include <ringtls/ringtls.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr const char* name = "echo_swarm";
constexpr const char* usage =
    R"(usage: echo_swarm [--ca FILE] [--server-name NAME] [--connections N] [--messages N] [--size BYTES]
                  [--timeout SECONDS] [--json] [--quiet] HOST PORT

Opens all connections, and when all are open sends random messages on each, checks every byte that
comes back, and closes cleanly. Exits 1 if one message was lost or wrong, or one connection failed.

  --ca FILE           trust the certificates in FILE, not the system's
  --server-name NAME  the name to verify and to ask for (default HOST)
  --connections N     default 100
  --messages N        on each connection (default 10)
  --size BYTES        of each message (default 1024)
  --timeout SECONDS   for each connection to be made, and for each wait (default 30)
  --json              print the result as JSON
  --quiet             no progress on stderr
  --help, --version   print this, or the version
)";

constexpr std::size_t handshakes_at_once = 256;
constexpr std::size_t descriptors_besides = 32; ///< that are no connections
constexpr std::size_t piece_size = 16384;       ///< of a message, in memory at a time

struct options {
    std::string host;
    std::uint16_t port = 0;
    std::string ca;
    std::string server_name;
    std::size_t connections = 100;
    std::uint64_t messages = 10;
    std::uint64_t size = 1024;
    std::chrono::milliseconds timeout = 30s;
    bool json = false;
    bool quiet = false;
};

options parse(int argc, char** argv) {
    options o;
    const auto number = [](auto& place, std::uint64_t most) {
        return [&place, most](const std::string& text) {
            place = sample::parse_number(text, 1, most);
        };
    };
    sample::command_line line(name, usage);
    line.value("ca", o.ca);
    line.value("server-name", o.server_name);
    line.value("connections", number(o.connections, 1'000'000));
    line.value("messages", number(o.messages, 1'000'000'000));
    line.value("size", number(o.size, 1 << 30));
    line.value("timeout", [&o](const auto& text) { o.timeout = sample::parse_seconds(text); });
    line.flag("json", o.json);
    line.flag("quiet", o.quiet);
    const auto operands = line.parse(argc, argv, {"HOST", "PORT"});
    o.host = operands[0];
    o.port = sample::parse_port_operand(operands[1]);
    if (o.server_name.empty())
        o.server_name = o.host;
    return o;
}

/// Random bytes; a copy gives the same ones again.
class random_bytes {
  public:
    explicit random_bytes(std::uint64_t seed) : engine_(seed) {}

    void fill(std::span<std::byte> place) {
        while (!place.empty()) {
            const auto word = engine_();
            const auto count = std::min(place.size(), sizeof word);
            std::memcpy(place.data(), &word, count);
            place = place.subspan(count);
        }
    }

  private:
    std::mt19937_64 engine_;
};

class swarm {
  public:
    swarm(ringtls::event_loop& loop, const ringtls::client_context& tls, const options& o,
          sample::swarm_report& report)
        : loop_(loop), tls_(tls), options_(o), report_(report) {}

    task<> run() {
        addresses_ =
            co_await ringtls::resolve(loop_, options_.host, options_.port).within(options_.timeout);
        report_.connecting = co_await timed(connect_all());
        report_.echoing = co_await timed(converse_all());
    }

  private:
    task<std::chrono::nanoseconds> timed(task<> work) {
        const auto begun = loop_.now();
        co_await std::move(work);
        co_return loop_.now() - begun;
    }

    /// Ends when all connections are open, or have failed.
    task<> connect_all() {
        std::vector<task<>> openers;
        for (std::size_t i = 0; i < std::min(options_.connections, handshakes_at_once); ++i)
            openers.push_back(connect_some());
        co_await ringtls::when_all(std::move(openers));
    }

    /// Opens one after the other, as long as there are any left to open.
    task<> connect_some() {
        while (begun_ < options_.connections) {
            ++begun_;
            try {
                auto peer = co_await connect_one();
                peers_.push_back(std::move(peer));
                ++report_.connected;
            } catch (const std::exception& failure) {
                ++report_.failures[failure.what()];
            }
        }
    }

    task<ringtls::stream> connect_one() {
        const auto deadline = loop_.now() + options_.timeout;
        auto socket = co_await dial(deadline);
        ringtls::stream peer(std::move(socket), tls_, options_.server_name);
        co_await peer.handshake().until(deadline);
        co_return peer;
    }

    /// Tries the host's addresses in turn, until one has worked: then only that one.
    task<ringtls::socket> dial(ringtls::loop_clock::time_point deadline) {
        for (;;) {
            const std::size_t tried = address_;
            auto socket = co_await ringtls::as_result(
                ringtls::connect(loop_, addresses_[tried]).until(deadline));
            if (socket) {
                address_works_ = true;
                co_return std::move(*socket);
            }
            if (address_works_ || tried + 1 == addresses_.size())
                throw socket.error();
            address_ = std::max(address_, tried + 1);
        }
    }

    task<> converse_all() {
        std::vector<task<>> conversations;
        for (std::size_t i = 0; i < peers_.size(); ++i)
            conversations.push_back(converse(peers_[i], i));
        co_await ringtls::when_all(std::move(conversations));
    }

    task<> converse(ringtls::stream& peer, std::uint64_t seed) {
        try {
            random_bytes random(seed);
            for (std::uint64_t i = 0; i < options_.messages; ++i) {
                const auto begun = loop_.now();
                co_await exchange(peer, random);
                report_.latency.record(loop_.now() - begun);
                report_.bytes += options_.size;
            }
            co_await peer.shutdown().within(options_.timeout);
        } catch (const std::exception& failure) {
            ++report_.failures[failure.what()];
        }
    }

    /// One message. A long one is sent and received at the same time: its echo may have to be taken
    /// before its end can be sent.
    task<> exchange(ringtls::stream& peer, random_bytes& random) {
        random_bytes again = random;
        if (options_.size > piece_size) {
            co_await ringtls::when_all(send(peer, random), check(peer, again));
        } else {
            co_await send(peer, random);
            co_await check(peer, again);
        }
    }

    task<> send(ringtls::stream& peer, random_bytes& random) {
        std::vector<std::byte> buffer(std::min<std::uint64_t>(options_.size, piece_size));
        for (std::uint64_t left = options_.size; left > 0;) {
            const auto piece = std::span(buffer).first(std::min<std::uint64_t>(left, piece_size));
            random.fill(piece);
            co_await peer.write(piece).within(options_.timeout);
            left -= piece.size();
        }
    }

    task<> check(ringtls::stream& peer, random_bytes& random) {
        std::vector<std::byte> buffer(std::min<std::uint64_t>(options_.size, piece_size));
        auto expected = buffer;
        for (std::uint64_t left = options_.size; left > 0;) {
            const auto piece = std::span(buffer).first(std::min<std::uint64_t>(left, piece_size));
            co_await peer.read_exactly(piece).within(options_.timeout);
            random.fill(std::span(expected).first(piece.size()));
            if (!std::equal(piece.begin(), piece.end(), expected.begin()))
                throw std::runtime_error("echo: other bytes than were sent");
            left -= piece.size();
        }
    }

    ringtls::event_loop& loop_;
    const ringtls::client_context& tls_;
    const options& options_;
    sample::swarm_report& report_;
    std::vector<ringtls::address> addresses_;
    std::size_t address_ = 0;
    bool address_works_ = false;
    std::size_t begun_ = 0;
    std::vector<ringtls::stream> peers_;
};

/// Until the loop goes.
task<> show_progress(ringtls::event_loop& loop, const sample::swarm_report& report) {
    for (;;) {
        co_await loop.sleep(200ms);
        report.print_progress();
    }
}

int echo_swarm(int argc, char** argv) {
    const options o = parse(argc, argv);
    const std::string where = sample::host_and_port(o.host, o.port);
    const auto descriptors = sample::raise_descriptor_limit();
    if (descriptors < o.connections + descriptors_besides)
        throw std::runtime_error("--connections: this process may have only " +
                                 std::to_string(descriptors) + " open descriptors (ulimit -Hn)");
    ringtls::client_settings settings;
    if (!o.ca.empty())
        settings.trust(ringtls::pem::file(o.ca));
    const ringtls::client_context tls(settings);

    sample::swarm_report report(o.connections, o.messages);
    ringtls::event_loop loop;
    const bool progress = !o.quiet && ::isatty(STDERR_FILENO);
    if (progress)
        loop.spawn(show_progress(loop, report));
    try {
        swarm all(loop, tls, o, report);
        loop.run(all.run());
    } catch (const std::exception& failure) {
        throw std::runtime_error(where + ": " + failure.what());
    }
    if (progress)
        sample::swarm_report::clear_progress();
    o.json ? report.print_json() : report.print_text();
    if (!report.succeeded())
        throw std::runtime_error(where + ": " + report.what_failed());
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return sample::run_program(name, argc, argv, echo_swarm);
}
