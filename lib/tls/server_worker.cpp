// SPDX-License-Identifier: MIT
//   accept_all() --socket--> quota, place among the connections --> group.spawn(live())
//                                                                     |
//     live(): place among the handshakes, handshake, handler  <-------+
//
// The accept loop waits for a place among the connections with the next one in its hand, so that
// what is beyond the limit stays in the kernel's queue.
#include "server_worker.hpp"

#include <ringtls/coro/as_result.hpp>

#include "../net/system_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <new>
#include <string>
#include <utility>

namespace ringtls::detail {
namespace {

using namespace std::chrono_literals;

/// After a lack of memory.
constexpr auto pause = 100ms;

void count(server_totals::counter& one) noexcept {
    one.fetch_add(1, std::memory_order_relaxed);
}

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

class server_worker::admission {
  public:
    admission(gate::place among_all, address_quota::place of_peer,
              server_totals::counter& open) noexcept
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
    server_totals::counter* open_;
};

void server_worker::adopt(int fd, const listen_options& how) {
    listeners_.reserve(listeners_.size() + 1); // once it is a listener's, nothing may throw
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        throw system_failure(errno, "listen", "descriptor " + std::to_string(fd));
    try {
        listeners_.push_back(listener::adopt(loop_, own, how));
    } catch (...) {
        ::close(own);
        throw;
    }
}

/// A worker's whole life. Leaving destroys what is left of its connections.
task<> server_worker::serve() {
    task_group connections(loop_);
    std::exception_ptr failure;
    {
        task_group accepting(loop_);
        accepting.on_error([this, &failure](const std::exception_ptr& thrown) {
            failure = failure ? failure : thrown;
            shared_.stopping.request_stop(); // the other listeners, and threads
        });
        for (auto& each : listeners_)
            accepting.spawn(accept_all(each, connections));
        co_await accepting.join();
    }
    close();
    auto joining = connections.join();
    try {
        co_await joining.within(shared_.options.grace()).cancel_on(shared_.ending.get_token());
    } catch (const std::exception&) { // no grace is left, or no memory to say so
        shared_.done.abandoned.fetch_add(connections.size(), std::memory_order_relaxed);
    }
    if (failure)
        std::rethrow_exception(failure);
}

/// A lack of memory costs a connection at most. What the kernel has accepted before a stop is taken
/// after it, for it would be reset if the listener were closed over it; no more than a queue of it,
/// so that a stop has an end.
task<> server_worker::accept_all(listener& from, task_group& connections) {
    int left = shared_.options.listening().backlog();
    for (bool waits = true;;) {
        bool goes_on = true;
        std::exception_ptr thrown;
        try {
            auto taking = take(from, connections, waits);
            goes_on = co_await std::move(taking);
        } catch (...) {
            thrown = std::current_exception();
        }
        if (thrown) {
            if (!is_shortage(thrown))
                std::rethrow_exception(thrown);
            shared_.report(server_stage::accepting, std::nullopt, thrown);
            const auto stop = shared_.stopping.get_token();
            (void)co_await as_result(loop_.sleep(pause).cancel_on(stop));
        }
        if (waits)
            waits = goes_on;
        else if (!goes_on || --left <= 0)
            co_return;
    }
}

/// One connection, which it waits for until a stop, or not. False if there is none.
task<bool> server_worker::take(listener& from, task_group& connections, bool waits) {
    auto accepting = from.accept();
    const auto how =
        waits ? accepting.cancel_on(shared_.stopping.get_token()) : accepting.until(loop_.now());
    auto accepted = co_await as_result(limited(how));
    if (!accepted && (!waits || accepted.error().code() == errc::canceled))
        co_return false;
    auto admitting = admit(std::move(accepted.value()), connections);
    co_return co_await std::move(admitting);
}

/// False if there is no place for it, and a stop.
task<bool> server_worker::admit(socket accepted, task_group& connections) {
    count(shared_.done.accepted);
    const auto peer = peer_of(accepted);
    if (!peer)
        co_return true; // gone again
    auto of_peer = shared_.quota.enter(*peer);
    if (!of_peer) {
        count(shared_.done.refused);
        shared_.report(server_stage::admission, peer,
                       std::make_exception_ptr(error(errc::over_limit, "accept")));
        co_return true;
    }
    auto place = shared_.connections.try_enter(); // whatever stop there may be
    if (!place) {
        const auto stop = shared_.stopping.get_token();
        auto waited = co_await as_result(shared_.connections.enter(loop_).cancel_on(stop));
        if (!waited) {
            count(shared_.done.abandoned);
            co_return false;
        }
        place.emplace(std::move(*waited));
    }
    connections.spawn(live(std::move(accepted),
                           admission(std::move(*place), *std::move(of_peer), shared_.done.open)));
    co_return true;
}

task<> server_worker::shake_hands(stream& with) {
    const auto deadline = later(loop_.now(), shared_.options.handshake_limit());
    const auto place = co_await shared_.handshakes.enter(loop_).until(deadline);
    co_await with.handshake().until(deadline);
}

/// Its failure is nobody else's.
task<> server_worker::live(socket accepted, admission held) {
    const auto keep = std::move(held); // a parameter is destroyed later than the stream should be
    const auto peer = peer_of(accepted);
    auto stage = server_stage::handshake;
    try {
        stream connected(std::move(accepted), shared_.current());
        connected.limit_waits(shared_.options.idle_limit(), shared_.options.write_limit());
        {
            auto shaking = shake_hands(connected);
            co_await std::move(shaking);
        }
        stage = server_stage::handler;
        const auto stop = shared_.stopping.get_token();
        auto handling = shared_.handle(std::move(connected), stop);
        co_await std::move(handling);
        count(shared_.done.served);
    } catch (...) {
        count(stage == server_stage::handshake ? shared_.done.failed_handshakes
                                               : shared_.done.failed_handlers);
        shared_.report(stage, peer, std::current_exception());
    }
}

} // namespace ringtls::detail
