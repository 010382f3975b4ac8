// SPDX-License-Identifier: MIT
// Bytes in masses: to a sink, from a source, or both at once on each connection.
#include "crowd.hpp"
#include "report.hpp"
#include "window.hpp"
#include "works.hpp"

#include <algorithm>
#include <stdexcept>

namespace load {

namespace {

class bulk_load {
  public:
    explicit bulk_load(const options& options)
        : options_(options),
          client_(options),
          record_(std::min(options.size, connection::record)),
          output_(connection::chunk / record_ * record_),
          input_(connection::chunk),
          connections_(open_crowd(client_, poller_)),
          queued_(options.connections) {
        for (std::size_t index = 0; index < connections_.size(); ++index)
            queue(index);
    }

    void run() {
        const allocation_counter counter(options_.allocations);
        serve_until(now() + nanoseconds(options_.warm));
        written_ = read_ = 0;
        window window(options_, counter);
        serve_until(window.opened() + nanoseconds(options_.seconds));
        window.close();
        if (written_ + read_ == 0)
            throw std::runtime_error("no byte was moved");
        report(window);
        // A source never stops to write by itself: it has to be cut off.
        if (options_.kind == work::sink)
            close_crowd(connections_, poller_);
    }

  private:
    void queue(std::size_t index) {
        if (!queued_[index])
            ready_.push_back(index);
        queued_[index] = true;
    }

    /// One piece each way; true when there may be more to do at once.
    bool advance(connection& with) {
        bool more = false;
        if (options_.kind != work::source) {
            written_ += with.write(output_, record_);
            more = with.writable();
        }
        if (options_.kind != work::sink) {
            std::size_t count = 0;
            for (std::size_t total = 0; total < connection::chunk; total += count) {
                count = with.read(input_);
                if (count == 0)
                    return more;
                read_ += count;
            }
            more = true;
        }
        return more;
    }

    void serve_until(std::uint64_t deadline) {
        std::vector<std::size_t> turn;
        while (now() < deadline) {
            for (const auto& event : poller_.wait(ready_.empty() ? deadline : 0)) {
                connections_[event.data.u32]->notice(event.events);
                queue(event.data.u32);
            }
            turn.swap(ready_);
            for (const auto index : turn) {
                queued_[index] = false;
                if (advance(*connections_[index]))
                    queue(index);
            }
            turn.clear();
        }
    }

    void report(const window& window) const {
        const auto bytes = written_ + read_;
        const double gb = static_cast<double>(bytes) * 1e-9;
        auto report = begin_report(options_);
        report.add("size", options_.size).add("seconds", window.seconds()).add("bytes", bytes);
        report.add("bytes_to_server", written_).add("bytes_from_server", read_);
        report.add("gb_per_s", gb / window.seconds());
        window.report(report);
        std::optional<double> per_gb;
        if (const auto cpu = window.server_cpu(); cpu && bytes > 0)
            per_gb = *cpu / gb;
        report.add("server_s_per_gb", per_gb);
        print(report);
    }

    const options& options_;
    client client_;
    poller poller_;
    std::size_t record_;            // --size, or a full record where that is larger
    std::vector<std::byte> output_; // what one send carries: whole records
    std::vector<std::byte> input_;
    crowd connections_;
    std::vector<std::size_t> ready_; // those that could go on at once
    std::vector<bool> queued_;
    std::uint64_t written_ = 0;
    std::uint64_t read_ = 0;
};

} // namespace

void run_bulk(const options& options) {
    bulk_load(options).run();
}

} // namespace load
