// SPDX-License-Identifier: MIT
// What all connections of a soak run share.
#pragma once

#include "tally.hpp"

#include <ringtls/ringtls.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace ringtls::soak {

/// A thread that requests stops, as an application's other threads may.
class other_thread {
  public:
    void request_stop(std::stop_source of) {
        {
            const std::scoped_lock lock(mutex_);
            asked_.push_back(std::move(of));
            ++pending_;
        }
        news_.notify_one();
    }
    /// Whether all that were asked for have been requested.
    [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }

  private:
    void run(const std::stop_token& until) {
        std::unique_lock lock(mutex_);
        while (news_.wait(lock, until, [this] { return !asked_.empty(); })) {
            auto sources = std::exchange(asked_, {});
            lock.unlock();
            for (auto& each : sources) {
                each.request_stop();
                --pending_;
            }
            sources.clear();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable_any news_;
    std::vector<std::stop_source> asked_;
    std::atomic<std::size_t> pending_ = 0;
    std::jthread thread_{[this](const std::stop_token& until) { run(until); }};
};

struct world {
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    other_thread elsewhere;
    tally count;
};

} // namespace ringtls::soak
