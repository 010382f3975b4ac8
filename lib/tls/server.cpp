// SPDX-License-Identifier: MIT
// One worker a thread: a loop, its listeners, and the group of its connections.
//
//   accept_all() --socket--> quota, place among the connections --> group.spawn(live())
//                                                                     |
//     live(): place among the handshakes, handshake, handler  <-------+
//
// The accept loop waits for a place among the connections with the next one in its hand, so that
// what is beyond the limit stays in the kernel's queue.
#include <ringtls/tls/server.hpp>

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/task_group.hpp>

#include "../loop/gate.hpp"
#include "../net/address_quota.hpp"
#include "../net/system_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

namespace ringtls {
namespace detail {
namespace {

using namespace std::chrono_literals;

/// After a lack of memory, or of whatever else time may bring.
constexpr auto pause = 100ms;

using counter = std::atomic<std::uint64_t>;

void count(counter& one) noexcept {
    one.fetch_add(1, std::memory_order_relaxed);
}

struct totals {
    counter accepted = 0;
    counter refused = 0;
    counter failed_handshakes = 0;
    counter failed_handlers = 0;
    counter served = 0;
    counter abandoned = 0;
    counter open = 0;
};

std::optional<address> peer_of(const socket& connected) noexcept {
    try {
        return connected.peer_address();
    } catch (...) { // gone again, or no memory to say so
        return std::nullopt;
    }
}

bool is_shortage(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const error& failure) {
        return failure.code() == std::errc::not_enough_memory;
    } catch (...) {
        return false;
    }
}

} // namespace

/// What the threads share.
class server_core {
  public:
    using contexts = std::function<server_context()>;

    server_core(contexts from, server::handler serve, const server_options& how);

    void run();
    void stop() noexcept { stopping.request_stop(); }
    void stop_now() noexcept {
        stop();
        ending.request_stop();
    }
    void stop_on(signal_set& signals);
    [[nodiscard]] const address& local_address(std::size_t index) const {
        return local_addresses_.at(index);
    }
    [[nodiscard]] event_loop& first_loop() noexcept;

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
    totals done;
    std::stop_source stopping; ///< no new connections
    std::stop_source ending;   ///< no more grace

  private:
    class worker;

    void listen();
    void run_other(worker& one) noexcept;
    void other_is_over() noexcept;
    template<class Run>
    void guard(worker& one, Run run) noexcept;

    std::list<worker> workers_;
    std::vector<address> local_addresses_;
    std::atomic<bool> ran_ = false;
    std::atomic<std::size_t> others_ = 0; ///< workers but the first that have not ended
    std::stop_source others_over_;
    std::mutex mutex_; ///< guards what follows
    std::exception_ptr failure_;
};

/// One thread's share.
class server_core::worker {
  public:
    explicit worker(server_core& of) : of_(of), loop(of.options.loops()) {}

    void listen(const address& at, const listen_options& how) {
        listeners_.push_back(listener::bind(loop, at, how));
    }
    void adopt(int fd, const listen_options& how);
    void run() { loop.run(serve()); }
    /// The same, and goes on until this: the application's tasks on the loop, and who waits for
    /// signals, are there for the other threads, too.
    void run_until(std::stop_token others_over) { loop.run(outlast(std::move(others_over))); }
    void close() noexcept { listeners_.clear(); }
    [[nodiscard]] const std::vector<listener>& listeners() const noexcept { return listeners_; }

  private:
    /// What a connection has for as long as it lives.
    class admission;

    task<> serve();
    task<> outlast(std::stop_token others_over);
    task<bool> accept_one(listener& from, task_group& connections);
    task<> accept_all(listener& from, task_group& connections);
    task<> drain(listener& from, task_group& connections);
    task<bool> admit(socket accepted, task_group& connections);
    task<> live(socket accepted, admission held);
    task<> shake_hands(stream& with);

    server_core& of_;

  public:
    event_loop loop; ///< outlives the listeners

  private:
    std::vector<listener> listeners_;
};

class server_core::worker::admission {
  public:
    admission(gate::place among_all, address_quota::place of_peer, counter& open) noexcept
        : among_all_(std::move(among_all)), of_peer_(std::move(of_peer)), open_(&open) {
        count(*open_);
    }
    admission(admission&& other) noexcept
        : among_all_(std::move(other.among_all_)),
          of_peer_(std::move(other.of_peer_)),
          open_(std::exchange(other.open_, nullptr)) {}
    admission& operator=(admission&&) = delete;
    ~admission() {
        if (open_)
            open_->fetch_sub(1, std::memory_order_relaxed);
    }

  private:
    gate::place among_all_;
    address_quota::place of_peer_;
    counter* open_;
};

void server_core::worker::adopt(int fd, const listen_options& how) {
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        throw system_failure(errno, "listen", "descriptor " + std::to_string(fd));
    try {
        listeners_.push_back(listener::adopt(loop, own, how));
    } catch (...) {
        ::close(own);
        throw;
    }
}

/// A worker's whole life. Leaving destroys what is left of its connections.
task<> server_core::worker::serve() {
    task_group connections(loop);
    std::exception_ptr failure;
    {
        task_group accepting(loop);
        for (auto& each : listeners_)
            accepting.spawn(accept_all(each, connections));
        try {
            co_await accepting.join();
        } catch (...) {
            failure = std::current_exception();
            of_.stop(); // the other threads, too
        }
    }
    close();
    auto joining = connections.join();
    const auto left =
        co_await as_result(joining.within(of_.options.grace()).cancel_on(of_.ending.get_token()));
    if (!left)
        of_.done.abandoned.fetch_add(connections.size(), std::memory_order_relaxed);
    if (failure)
        std::rethrow_exception(failure);
}

task<> server_core::worker::outlast(std::stop_token others_over) {
    std::exception_ptr failure;
    try {
        auto serving = serve();
        co_await std::move(serving);
    } catch (...) {
        failure = std::current_exception();
        of_.stop();
    }
    close();
    auto waiting = loop.sleep_until(loop_clock::time_point::max());
    (void)co_await as_result(waiting.cancel_on(std::move(others_over)));
    if (failure)
        std::rethrow_exception(failure);
}

/// A lack of memory costs a connection at most.
task<> server_core::worker::accept_all(listener& from, task_group& connections) {
    for (bool goes_on = true; goes_on;) {
        std::exception_ptr thrown;
        try {
            auto accepting = accept_one(from, connections);
            goes_on = co_await std::move(accepting);
        } catch (...) {
            thrown = std::current_exception();
        }
        if (!thrown)
            continue;
        if (!is_shortage(thrown))
            std::rethrow_exception(thrown);
        of_.report(server_stage::accepting, std::nullopt, thrown);
        (void)co_await as_result(loop.sleep(pause).cancel_on(of_.stopping.get_token()));
    }
    auto draining = drain(from, connections);
    co_await std::move(draining);
}

/// False after a stop.
task<bool> server_core::worker::accept_one(listener& from, task_group& connections) {
    auto accepted = co_await as_result(from.accept().cancel_on(of_.stopping.get_token()));
    if (!accepted && accepted.error().code() == errc::canceled)
        co_return false;
    auto admitting = admit(std::move(accepted.value()), connections);
    co_return co_await std::move(admitting);
}

/// What the kernel has accepted for us would be reset if the listener were closed over it. No more
/// than a queue of it: a stop has an end.
task<> server_core::worker::drain(listener& from, task_group& connections) {
    for (int most = of_.options.listening().backlog(); most > 0; --most) {
        auto accepted = co_await as_result(from.accept().until(loop.now()));
        if (!accepted)
            co_return;
        auto admitting = admit(std::move(*accepted), connections);
        const bool admitted = co_await std::move(admitting);
        if (!admitted)
            co_return;
    }
}

/// False if there is no place for it, and a stop.
task<bool> server_core::worker::admit(socket accepted, task_group& connections) {
    count(of_.done.accepted);
    const auto peer = peer_of(accepted);
    if (!peer)
        co_return true; // gone again
    auto of_peer = of_.quota.enter(*peer);
    if (!of_peer) {
        count(of_.done.refused);
        of_.report(server_stage::admission, peer,
                   std::make_exception_ptr(error(errc::over_limit, "accept")));
        co_return true;
    }
    auto place = of_.connections.try_enter(); // whatever stop there may be
    if (!place) {
        const auto stop = of_.stopping.get_token();
        auto waited = co_await as_result(of_.connections.enter(loop).cancel_on(stop));
        if (!waited) {
            count(of_.done.abandoned);
            co_return false;
        }
        place.emplace(std::move(*waited));
    }
    connections.spawn(live(std::move(accepted),
                           admission(std::move(*place), *std::move(of_peer), of_.done.open)));
    co_return true;
}

task<> server_core::worker::shake_hands(stream& with) {
    const auto deadline = detail::later(loop.now(), of_.options.handshake_limit());
    const auto place = co_await of_.handshakes.enter(loop).until(deadline);
    co_await with.handshake().until(deadline);
}

/// Its failure is nobody else's.
task<> server_core::worker::live(socket accepted, admission held) {
    const auto keep = std::move(held); // a parameter is destroyed later than the stream should be
    const auto peer = peer_of(accepted);
    auto stage = server_stage::handshake;
    try {
        stream connected(std::move(accepted), of_.current());
        connected.limit_waits(of_.options.idle_limit(), of_.options.write_limit());
        {
            auto shaking = shake_hands(connected);
            co_await std::move(shaking);
        }
        stage = server_stage::handler;
        auto handling = of_.handle(std::move(connected), of_.stopping.get_token());
        co_await std::move(handling);
        count(of_.done.served);
    } catch (...) {
        count(stage == server_stage::handshake ? of_.done.failed_handshakes
                                               : of_.done.failed_handlers);
        of_.report(stage, peer, std::current_exception());
    }
}

server_core::server_core(contexts from, server::handler serve, const server_options& how)
    : current(std::move(from)),
      handle(std::move(serve)),
      options(how),
      connections(how.max_connections()),
      handshakes(how.max_handshakes()),
      quota(how.max_per_address()) {
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
    check(static_cast<bool>(handle), "handler");
    while (workers_.size() < how.threads())
        workers_.emplace_back(*this);
    listen();
}

/// The first worker takes each address, and says which port it is; the others share it. A unix
/// socket cannot be shared by its address, but its descriptor can.
void server_core::listen() {
    auto how = options.listening();
    const auto heard = how.on_pressure();
    how.on_pressure([this, heard](const error& shortage) {
        report(server_stage::accepting, std::nullopt, std::make_exception_ptr(shortage));
        if (heard)
            heard(shortage);
    });
    worker& first = workers_.front();
    for (const auto& each : options.addresses()) {
        const bool shared = workers_.size() > 1 && each.family() != address::family::unix_path;
        // Sharing would let this server join another one's port unnoticed.
        if (shared && each.port() != 0)
            (void)listener::bind(first.loop, each, options.listening());
        if (shared)
            how.share_port();
        first.listen(each, how);
        const auto& made = first.listeners().back();
        for (auto other = std::next(workers_.begin()); other != workers_.end(); ++other) {
            if (shared)
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
    others_ = workers_.size(); // and one for the start
    {
        std::vector<std::jthread> threads;
        auto other = std::next(workers_.begin());
        guard(workers_.front(), [&] {
            threads.reserve(workers_.size());
            for (; other != workers_.end(); ++other)
                threads.emplace_back([this, &one = *other] { run_other(one); });
        });
        for (; other != workers_.end(); ++other) { // those that could not be started
            other->close();
            other_is_over();
        }
        other_is_over();
        guard(workers_.front(), [this] { workers_.front().run_until(others_over_.get_token()); });
    }
    if (failure_)
        std::rethrow_exception(failure_);
}

void server_core::run_other(worker& one) noexcept {
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
void server_core::guard(worker& one, Run run) noexcept {
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
                co_await loop.sleep(pause);
            else if (++seen == 1)
                of.stop();
            else
                of.stop_now();
        }
    };
    first_loop().spawn(listen(*this, signals));
}

event_loop& server_core::first_loop() noexcept {
    return workers_.front().loop;
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
    const auto& done = core_->done;
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
