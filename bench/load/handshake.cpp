// SPDX-License-Identifier: MIT
// Handshakes: so many connections at once, each opened, shaken hands on, closed, and again.
#include "crowd.hpp"
#include "histogram.hpp"
#include "report.hpp"
#include "window.hpp"
#include "works.hpp"

#include <limits>
#include <stdexcept>

namespace load {

namespace {

class handshake_load {
  public:
    explicit handshake_load(const options& options)
        : options_(options), client_(options), slots_(options.connections) {}

    void run() {
        const allocation_counter counter(options_.allocations);
        if (options_.resume) { // the one that gives the session
            left_ = 1;
            start_all();
            serve_rest();
        }
        if (options_.requests == 0) {
            left_ = std::numeric_limits<std::uint64_t>::max();
            start_all();
            serve_until(now() + nanoseconds(options_.warm));
        }
        latencies_.reset();
        resumed_ = 0;
        window window(options_, counter);
        if (options_.requests == 0) {
            serve_until(window.opened() + nanoseconds(options_.seconds));
        } else {
            left_ = options_.requests;
            start_all();
            serve_rest();
        }
        window.close();
        report(window);
        left_ = 0;
        serve_rest();
    }

  private:
    enum class phase { handshaking, waiting_for_ticket, closing, reading_end };

    struct slot {
        std::unique_ptr<connection> with;
        phase at = phase::handshaking;
        std::uint64_t began = 0;
    };

    void start_all() {
        for (std::size_t index = 0; index < slots_.size() && left_ > 0; ++index)
            start(index);
    }

    void start(std::size_t index) {
        auto& slot = slots_[index];
        --left_;
        ++running_;
        slot.at = phase::handshaking;
        slot.began = now();
        slot.with.reset(); // the descriptor first
        slot.with =
            std::make_unique<connection>(client_, poller_, static_cast<std::uint32_t>(index));
    }

    /// Each phase may lead into the next one at once.
    void advance(std::size_t index) {
        auto& slot = slots_[index];
        if (slot.at == phase::handshaking) {
            if (!slot.with->establish())
                return;
            latencies_.record(now() - slot.began);
            resumed_ += slot.with->resumed() ? 1 : 0;
            slot.at = options_.resume ? phase::waiting_for_ticket : phase::closing;
        }
        if (slot.at == phase::waiting_for_ticket) {
            if (!slot.with->has_session() && options_.tls == TLS1_3_VERSION &&
                slot.with->read(buffer_) > 0)
                throw std::runtime_error("the server sent data where a ticket was expected");
            // A resumed connection of TLS 1.2 goes on with the session that it has.
            if (!slot.with->has_session() && options_.tls == TLS1_3_VERSION)
                return;
            slot.at = phase::closing;
        }
        if (slot.at == phase::closing) {
            if (!slot.with->close_writing())
                return;
            slot.at = phase::reading_end;
        }
        if (!slot.with->ended())
            return;
        slot.with.reset();
        --running_;
        if (left_ > 0)
            start(index);
    }

    bool serve(std::uint64_t deadline) {
        const auto events = poller_.wait(deadline);
        for (const auto& event : events) {
            slots_[event.data.u32].with->notice(event.events);
            advance(event.data.u32);
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
                throw std::runtime_error("the server does not go on with the handshakes");
    }

    void report(const window& window) const {
        const auto count = static_cast<double>(latencies_.count());
        auto report = begin_report(options_);
        report.add("seconds", window.seconds()).add("handshakes", latencies_.count());
        report.add("rate", count / window.seconds());
        report.add("resumed", count == 0 ? 0 : static_cast<double>(resumed_) / count);
        add_latencies(report, latencies_);
        window.report(report);
        print(report);
    }

    const options& options_;
    client client_;
    poller poller_;
    std::vector<slot> slots_;
    std::array<std::byte, 64> buffer_{};
    histogram latencies_;
    std::uint64_t resumed_ = 0;
    std::uint64_t left_ = 0; // may still be started
    std::size_t running_ = 0;
};

} // namespace

void run_handshakes(const options& options) {
    handshake_load(options).run();
}

} // namespace load
