// SPDX-License-Identifier: MIT
// Connections that are only there: what they cost the server in memory.
#include "crowd.hpp"
#include "report.hpp"
#include "server_stats.hpp"
#include "window.hpp"
#include "works.hpp"

#include <csignal>
#include <ctime>
#include <stdexcept>

namespace load {

namespace {

/// Waits until the server has done nothing for 200 ms: it has its part of a handshake still before
/// it when ours is done.
void settle(pid_t server) {
    constexpr timespec pause = {0, 200'000'000};
    for (auto before = cpu_of(server).nanoseconds;;) {
        ::nanosleep(&pause, nullptr);
        const auto after = cpu_of(server).nanoseconds;
        if (after == before)
            return;
        before = after;
    }
}

json_object memory(const options& options) {
    json_object result;
    if (options.server == 0)
        return result;
    const auto usage = memory_of(options.server);
    result.add("server_rss_kib", usage.rss_kib).add("server_pss_kib", usage.pss_kib);
    result.add("server_private_kib", usage.private_kib);
    return result;
}

/// One echo on each, one after the other.
void exchange_on_each(crowd& connections, poller& poller, std::size_t size) {
    const std::vector<std::byte> request(size, std::byte{'x'});
    std::vector<std::byte> buffer(connection::record);
    for (std::size_t index = 0; index < connections.size(); ++index) {
        auto& with = *connections[index];
        std::size_t sent = 0;
        for (std::size_t received = 0; received < size;) {
            if (sent < size)
                sent += with.write(std::span(request).subspan(sent));
            const auto count = with.read(buffer);
            received += count;
            if (count > 0)
                continue;
            const auto events = poller.wait(now() + patience);
            if (events.empty())
                throw std::runtime_error("the server does not answer");
            for (const auto& event : events)
                connections[event.data.u32]->notice(event.events);
        }
    }
}

void wait_for_signal(const sigset_t& signals) {
    int number = 0;
    sigwait(&signals, &number);
}

} // namespace

void run_idle(const options& options) {
    client client(options);
    poller poller;
    auto report = begin_report(options);
    report.add("size", options.size).add("before", memory(options));
    auto connections = open_crowd(client, poller);
    if (options.server != 0)
        settle(options.server);
    report.add("after_handshakes", memory(options));
    exchange_on_each(connections, poller, options.size);
    if (options.server != 0)
        settle(options.server);
    report.add("after_exchange", memory(options));
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    print(report);
    wait_for_signal(signals);
    // Without an exchange the server may be one that only writes and would never see our end.
    if (!options.never_reads())
        close_crowd(connections, poller);
}

} // namespace load
