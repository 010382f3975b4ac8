// SPDX-License-Identifier: MIT
// Exchanges in a closed loop: each connection sends, waits for the whole answer, checks it, again.
// What is said is the Dialogue's:
//
//   struct state                                  of one connection, default at its beginning
//   std::span<const std::byte> request(state&)    the next one, valid until the dialogue ends
//   bool take(state&, std::span<const std::byte>) true when the answer is whole; throws if wrong
//
#pragma once

#include "crowd.hpp"
#include "histogram.hpp"
#include "report.hpp"
#include "window.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace load {

/// The connections, which are opened once and measured on in several windows.
class open_connections {
  public:
    explicit open_connections(const options& options)
        : options_(options),
          counter_(options.allocations),
          client_(options),
          crowd_(open_crowd(client_, poller_)) {}

    void close() { close_crowd(crowd_, poller_); }

    [[nodiscard]] const options& settings() const { return options_; }
    [[nodiscard]] const allocation_counter& counter() const { return counter_; }
    [[nodiscard]] poller& events() { return poller_; }
    [[nodiscard]] connection& operator[](std::size_t index) { return *crowd_[index]; }

  private:
    const options& options_;
    allocation_counter counter_;
    client client_;
    poller poller_;
    crowd crowd_;
};

/// One window. At its end no exchange is under way.
template<class Dialogue>
class closed_loop {
  public:
    /// On the first `active` of the connections.
    closed_loop(open_connections& on, Dialogue& dialogue, std::size_t active)
        : options_(on.settings()),
          on_(on),
          dialogue_(dialogue),
          buffer_(connection::record),
          exchanges_(active) {}

    void run() {
        if (options_.requests == 0) {
            start_all();
            serve_until(now() + nanoseconds(options_.warm));
            latencies_.reset();
        }
        window window(options_, on_.counter());
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
    }

  private:
    struct exchange {
        std::uint64_t began = 0;
        std::span<const std::byte> unsent;
        typename Dialogue::state state;
        bool running = false;
    };

    void start_all() {
        for (std::size_t index = 0; index < exchanges_.size() && left_ > 0; ++index)
            start(index, now());
    }

    void start(std::size_t index, std::uint64_t time) {
        auto& exchange = exchanges_[index];
        exchange.began = time;
        exchange.unsent = dialogue_.request(exchange.state);
        exchange.running = true;
        --left_;
        ++running_;
        send(on_[index], exchange);
    }

    static void send(connection& with, exchange& exchange) {
        while (!exchange.unsent.empty()) {
            const auto count = with.write(exchange.unsent);
            if (count == 0)
                return;
            exchange.unsent = exchange.unsent.subspan(count);
        }
    }

    /// True when the answer is whole. It is not tried to read on then: nothing else can be there.
    bool receive(connection& with, exchange& exchange) {
        for (;;) {
            const auto count = with.read(buffer_);
            if (count == 0)
                return false;
            if (dialogue_.take(exchange.state, std::span(buffer_).first(count)))
                return true;
        }
    }

    void advance(std::size_t index) {
        auto& exchange = exchanges_[index];
        auto& with = on_[index];
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
        const auto events = on_.events().wait(deadline);
        for (const auto& event : events) {
            const auto index = event.data.u32;
            on_[index].notice(event.events);
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
        report.add("active", exchanges_.size()).add("size", dialogue_.size());
        report.add("seconds", window.seconds()).add("requests", latencies_.count());
        report.add("rate", static_cast<double>(latencies_.count()) / window.seconds());
        add_latencies(report, latencies_);
        window.report(report);
        print(report);
    }

    const options& options_;
    open_connections& on_;
    Dialogue& dialogue_;
    std::vector<std::byte> buffer_;
    std::vector<exchange> exchanges_; // one for each of the active connections
    histogram latencies_;
    std::uint64_t left_ = std::numeric_limits<std::uint64_t>::max(); // may still be started
    std::size_t running_ = 0;
};

} // namespace load
