// SPDX-License-Identifier: MIT
// Echoes in a closed loop: each connection sends, waits for the whole answer, checks it, again.
#include "crowd.hpp"
#include "histogram.hpp"
#include "report.hpp"
#include "window.hpp"
#include "works.hpp"

#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>

namespace load {

namespace {

class echo_load {
  public:
    explicit echo_load(const options& options)
        : options_(options),
          client_(options),
          pattern_(options.size + variants),
          buffer_(connection::record),
          connections_(open_crowd(client_, poller_)),
          exchanges_(options.active) {
        std::minstd_rand random; // NOLINT(bugprone-random-generator-seed): the same each time
        for (auto& byte : pattern_)
            byte = static_cast<std::byte>(random() >> 8);
    }

    void run() {
        const allocation_counter counter(options_.allocations);
        if (options_.requests == 0) {
            start_all();
            serve_until(now() + nanoseconds(options_.warm));
            latencies_.reset();
        }
        window window(options_, counter);
        if (options_.requests != 0) {
            left_ = options_.requests;
            start_all();
            serve_rest();
            window.close();
        } else {
            serve_until(window.opened() + nanoseconds(options_.seconds));
            window.close();
        }
        report(window);
        left_ = 0;
        serve_rest();
        close_crowd(connections_, poller_);
    }

  private:
    /// A request begins at one of so many places of the pattern, so that an old answer is noticed.
    static constexpr std::size_t variants = 251;

    struct exchange {
        std::uint64_t began = 0;
        std::size_t sent = 0;
        std::size_t received = 0;
        std::size_t variant = 0;
        bool running = false;
    };

    void start_all() {
        for (std::size_t index = 0; index < exchanges_.size() && left_ > 0; ++index)
            start(index, now());
    }

    void start(std::size_t index, std::uint64_t time) {
        auto& exchange = exchanges_[index];
        exchange = {time, 0, 0, exchange.variant + 1 == variants ? 0 : exchange.variant + 1, true};
        --left_;
        ++running_;
        send(*connections_[index], exchange);
    }

    void send(connection& with, exchange& exchange) const {
        while (exchange.sent < options_.size) {
            const auto rest = std::span(pattern_).subspan(exchange.variant + exchange.sent,
                                                          options_.size - exchange.sent);
            const auto count = with.write(rest);
            if (count == 0)
                return;
            exchange.sent += count;
        }
    }

    /// True when the answer is whole. It is not tried to read on then: nothing else can be there.
    bool receive(connection& with, exchange& exchange) {
        while (exchange.received < options_.size) {
            const auto count = with.read(buffer_);
            if (count == 0)
                return false;
            if (count > exchange.sent - exchange.received ||
                std::memcmp(buffer_.data(), &pattern_[exchange.variant + exchange.received],
                            count) != 0)
                throw std::runtime_error("an echo differs from what was sent");
            exchange.received += count;
        }
        return true;
    }

    void advance(std::size_t index) {
        auto& exchange = exchanges_[index];
        auto& with = *connections_[index];
        send(with, exchange);
        if (!receive(with, exchange))
            return;
        const auto time = now();
        latencies_.record(time - exchange.began);
        exchange.running = false;
        --running_;
        if (left_ > 0)
            start(index, time);
    }

    bool serve(std::uint64_t deadline) {
        const auto events = poller_.wait(deadline);
        for (const auto& event : events) {
            const auto index = event.data.u32;
            connections_[index]->notice(event.events);
            if (index < exchanges_.size() && exchanges_[index].running)
                advance(index);
        }
        return !events.empty();
    }

    void serve_until(std::uint64_t deadline) {
        while (now() < deadline)
            serve(deadline);
    }

    void serve_rest() {
        while (running_ > 0)
            if (!serve(now() + patience))
                throw std::runtime_error("the server does not answer");
    }

    void report(const window& window) const {
        auto report = begin_report(options_);
        report.add("active", options_.active).add("size", options_.size);
        report.add("seconds", window.seconds()).add("requests", latencies_.count());
        report.add("rate", static_cast<double>(latencies_.count()) / window.seconds());
        add_latencies(report, latencies_);
        window.report(report);
        print(report);
    }

    const options& options_;
    client client_;
    poller poller_;
    std::vector<std::byte> pattern_;
    std::vector<std::byte> buffer_;
    crowd connections_;
    std::vector<exchange> exchanges_; // one for each of the active connections
    histogram latencies_;
    std::uint64_t left_ = std::numeric_limits<std::uint64_t>::max(); // may still be started
    std::size_t running_ = 0;
};

} // namespace

void run_echo(const options& options) {
    echo_load(options).run();
}

} // namespace load
