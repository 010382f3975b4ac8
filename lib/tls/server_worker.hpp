// SPDX-License-Identifier: MIT
// One thread of a server: a loop, its listeners, and the group of its connections.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/task_group.hpp>
#include <ringtls/net/listener.hpp>
#include <ringtls/tls/server.hpp>

#include "../loop/gate.hpp"
#include "../net/address_quota.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

namespace ringtls::detail {

/// server_counters, while they count.
struct server_totals {
    using counter = std::atomic<std::uint64_t>;

    counter accepted = 0;
    counter refused = 0;
    counter failed_handshakes = 0;
    counter failed_handlers = 0;
    counter served = 0;
    counter abandoned = 0;
    counter open = 0;
};

/// What a server's threads have in common. Safe on all of them.
struct server_shared {
    using contexts = std::function<server_context()>;

    server_shared(contexts from, server::handler serve, const server_options& how)
        : current(std::move(from)),
          handle(std::move(serve)),
          options(how),
          connections(how.max_connections()),
          handshakes(how.max_handshakes()),
          quota(how.max_per_address()) {}

    void report(server_stage stage, const std::optional<address>& peer,
                std::exception_ptr cause) const noexcept {
        if (options.on_failure())
            options.on_failure()({stage, peer, std::move(cause)});
    }

    const contexts current;
    const server::handler handle;
    const server_options options;
    gate connections;
    gate handshakes;
    address_quota quota;
    server_totals done;
    std::stop_source stopping; ///< no new connections
    std::stop_source ending;   ///< no more grace
};

/// One thread's share. Made by the server's thread, and then run by its own.
class server_worker {
  public:
    explicit server_worker(server_shared& shared)
        : shared_(shared), loop_(shared.options.loops()) {}

    void listen(const address& at, const listen_options& how) {
        listeners_.push_back(listener::bind(loop_, at, how));
    }
    /// On a duplicate of this descriptor.
    void adopt(int fd, const listen_options& how);
    /// Serves until a stop, and what grace there is after it. Throws what keeps it from going on.
    void run() { loop_.run(serve()); }
    /// No longer listens.
    void close() noexcept { listeners_.clear(); }
    [[nodiscard]] const std::vector<listener>& listeners() const noexcept { return listeners_; }
    [[nodiscard]] event_loop& loop() noexcept { return loop_; }

  private:
    /// What a connection has for as long as it lives.
    class admission;

    task<> serve();
    task<> accept_all(listener& from, task_group& connections);
    task<bool> take(listener& from, task_group& connections, bool waits);
    task<bool> admit(socket accepted, task_group& connections);
    task<> live(socket accepted, admission held);
    task<> shake_hands(stream& with);

    server_shared& shared_;
    event_loop loop_; ///< outlives the listeners
    std::vector<listener> listeners_;
};

} // namespace ringtls::detail
