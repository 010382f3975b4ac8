// SPDX-License-Identifier: MIT
#include <ringtls/tls/server.hpp>

#include <ringtls/coro/as_result.hpp>

#include "../net/listener_state.hpp"
#include "../net/system_error.hpp"
#include "server_worker.hpp"

#include <chrono>
#include <iterator>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace ringtls {
namespace detail {

/// The threads of a server: who starts, fails and stops when.
class server_core {
  public:
    server_core(server_shared::contexts from, server::handler serve, const server_options& how);

    void run();
    void stop() noexcept { shared_.stopping.request_stop(); }
    void stop_now() noexcept {
        stop();
        shared_.ending.request_stop();
    }
    void stop_on(signal_set& signals);
    [[nodiscard]] const address& local_address(std::size_t index) const {
        return local_addresses_.at(index);
    }
    [[nodiscard]] event_loop& first_loop() noexcept { return workers_.front().loop(); }
    [[nodiscard]] const server_totals& done() const noexcept { return shared_.done; }

  private:
    void listen();
    void run_other(server_worker& one) noexcept;
    void other_is_over() noexcept;
    task<> wait_for_others();
    template<class Run>
    void guard(server_worker& one, Run run) noexcept;

    server_shared shared_;
    std::list<server_worker> workers_;
    std::vector<address> local_addresses_;
    std::atomic<bool> ran_ = false;
    std::atomic<std::size_t> others_ = 0; ///< workers but the first that have not ended
    std::stop_source others_over_;
    std::mutex mutex_; ///< guards what follows
    std::exception_ptr failure_;
};

server_core::server_core(server_shared::contexts from, server::handler serve,
                         const server_options& how)
    : shared_(std::move(from), std::move(serve), how) {
    const auto check = [](bool good, const char* what) {
        if (!good)
            throw error(std::make_error_code(std::errc::invalid_argument), "server",
                        concerning(what));
    };
    using duration = loop_clock::duration;
    check(how.threads() > 0, "threads");
    check(how.max_connections() > 0, "max_connections");
    check(how.max_handshakes() > 0, "max_handshakes");
    check(how.max_per_address() > 0, "max_per_address");
    check(how.handshake_limit() > duration::zero(), "handshake_within");
    check(how.idle_limit() > duration::zero(), "idle_within");
    check(how.write_limit() > duration::zero(), "write_within");
    check(how.grace() >= duration::zero(), "grace");
    check(!how.addresses().empty() || !how.descriptors().empty(), "nothing to listen on");
    check(static_cast<bool>(shared_.handle), "handler");
    while (workers_.size() < how.threads())
        workers_.emplace_back(shared_);
    listen();
}

/// The first worker takes each address, and says which port it is; the others share it. A unix
/// socket cannot be shared by its address, but its descriptor can.
void server_core::listen() {
    const server_options& options = shared_.options;
    auto how = options.listening();
    const auto heard = how.on_pressure();
    how.on_pressure([this, heard](const error& shortage) {
        shared_.report(server_stage::accepting, std::nullopt, std::make_exception_ptr(shortage));
        if (heard)
            heard(shortage);
    });
    server_worker& first = workers_.front();
    for (const auto& each : options.addresses()) {
        const bool by_port = workers_.size() > 1 && each.family() != address::family::unix_path;
        if (by_port) {
            // Sharing would let this server join another one's unnoticed.
            require_free(first.loop(), each, options.listening());
            how.share_port();
        }
        first.listen(each, how);
        const auto& made = first.listeners().back();
        for (auto other = std::next(workers_.begin()); other != workers_.end(); ++other) {
            if (by_port)
                other->listen(made.local_address(), how);
            else
                other->adopt(made.fd(), how);
        }
    }
    for (auto& each : workers_) {
        for (const int fd : options.descriptors())
            each.adopt(fd, how);
    }
    for (const auto& each : first.listeners())
        local_addresses_.push_back(each.local_address());
}

void server_core::run() {
    if (ran_.exchange(true))
        throw error(errc::busy, "run");
    server_worker& first = workers_.front();
    others_ = workers_.size(); // and one for the start
    {
        std::vector<std::jthread> threads;
        auto other = std::next(workers_.begin());
        guard(first, [&] {
            threads.reserve(workers_.size());
            for (; other != workers_.end(); ++other)
                threads.emplace_back([this, &one = *other] { run_other(one); });
        });
        for (; other != workers_.end(); ++other) { // those that could not be started
            other->close();
            other_is_over();
        }
        other_is_over();
        guard(first, [&first] { first.run(); });
        // The application's tasks on the loop, and who waits for signals, are there for the other
        // threads, too.
        guard(first, [this, &first] { first.loop().run(wait_for_others()); });
    }
    if (failure_)
        std::rethrow_exception(failure_);
}

task<> server_core::wait_for_others() {
    auto waiting = first_loop().sleep_until(loop_clock::time_point::max());
    (void)co_await as_result(waiting.cancel_on(others_over_.get_token()));
}

void server_core::run_other(server_worker& one) noexcept {
    guard(one, [&one] { one.run(); });
    other_is_over();
}

void server_core::other_is_over() noexcept {
    if (others_.fetch_sub(1) == 1)
        others_over_.request_stop();
}

/// The first failure is what run() throws; it stops all threads. One that does not serve must not
/// listen either: the kernel would go on dealing to it.
template<class Run>
void server_core::guard(server_worker& one, Run run) noexcept {
    try {
        run();
    } catch (...) {
        {
            const std::scoped_lock lock(mutex_);
            if (!failure_)
                failure_ = std::current_exception();
        }
        stop();
        one.close();
    }
}

void server_core::stop_on(signal_set& signals) {
    const auto listen = [](server_core& of, signal_set& to) -> task<> {
        event_loop& loop = of.first_loop();
        for (int seen = 0; seen < 2;) {
            const auto came = co_await as_result(to.next(loop));
            if (!came)
                co_await loop.sleep(std::chrono::milliseconds(100)); // the system lacks something
            else if (++seen == 1)
                of.stop();
            else
                of.stop_now();
        }
    };
    first_loop().spawn(listen(*this, signals));
}

} // namespace detail

server::server(const server_context& context, handler serve, const server_options& options)
    : core_(std::make_unique<detail::server_core>([context] { return context; }, std::move(serve),
                                                  options)) {}
server::server(const context_reloader& contexts, handler serve, const server_options& options)
    : core_(std::make_unique<detail::server_core>([contexts] { return contexts.current(); },
                                                  std::move(serve), options)) {}
server::~server() = default;

void server::run() {
    core_->run();
}
void server::stop() noexcept {
    core_->stop();
}
void server::stop_now() noexcept {
    core_->stop_now();
}
void server::stop_on(signal_set& signals) {
    core_->stop_on(signals);
}
address server::local_address(std::size_t index) const {
    return core_->local_address(index);
}
event_loop& server::loop() noexcept {
    return core_->first_loop();
}

server_counters server::counters() const noexcept {
    const auto& done = core_->done();
    server_counters seen;
    seen.accepted = done.accepted.load(std::memory_order_relaxed);
    seen.refused = done.refused.load(std::memory_order_relaxed);
    seen.failed_handshakes = done.failed_handshakes.load(std::memory_order_relaxed);
    seen.failed_handlers = done.failed_handlers.load(std::memory_order_relaxed);
    seen.served = done.served.load(std::memory_order_relaxed);
    seen.abandoned = done.abandoned.load(std::memory_order_relaxed);
    seen.open = done.open.load(std::memory_order_relaxed);
    return seen;
}

} // namespace ringtls
