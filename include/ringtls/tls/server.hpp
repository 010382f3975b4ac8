// SPDX-License-Identifier: MIT
// Accepts connections on several threads, and runs a coroutine for each.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/signal_set.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/tls/context_reloader.hpp>
#include <ringtls/tls/server_context.hpp>
#include <ringtls/tls/server_options.hpp>
#include <ringtls/tls/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace ringtls::detail {
class server_core;
}

namespace [[gnu::visibility("default")]] ringtls {

/// What a server has done so far, over all threads. What was gone again when the server came to it,
/// or found no memory to be taken in, is accepted and nothing else.
struct server_counters {
    std::uint64_t accepted = 0;          ///< connections taken from the kernel
    std::uint64_t refused = 0;           ///< of them, for max_per_address()
    std::uint64_t failed_handshakes = 0; ///< of them
    std::uint64_t failed_handlers = 0;   ///< handlers that threw
    std::uint64_t served = 0;            ///< handlers that ended without
    std::uint64_t abandoned = 0;         ///< connections that a stop did not wait for, or place
    std::uint64_t open = 0;              ///< connections that there are now
};

/// A TLS server: one loop a thread, one coroutine a connection.
///
///     server echo(context, [](stream peer, std::stop_token stop) -> task<> { ... },
///                 server_options().listen({"127.0.0.1", 8443}).threads(2));
///     echo.stop_on(signals);
///     echo.run();
///
/// A connection's life: accepted, counted, its handshake performed, and then the handler called
/// with its stream, on the loop that it stays on. The handler is called on all threads, at the same
/// time; captures are kept until the server is gone. That it returns or throws is the connection's
/// end: it closes the stream, so await stream::shutdown() first. Its operations have the options'
/// limits. What goes wrong with one connection is told to on_failure(), and disturbs no other.
///
/// Stopping: stop() has the listening sockets take what waits in their queues, as far as
/// max_connections() has places for it, and close. Handlers go on; those that take a
/// std::stop_token see the stop there, to say goodbye at a convenient moment. Connections that have
/// not ended within the grace time are destroyed, handlers and all: to them, a cancel that nobody
/// hears of, and to their peers a truncation.
///
/// Thread rule: made and run by one thread; stop(), stop_now(), counters() and local_address() on
/// any.
class server {
  public:
    /// What it is given is there until its task has ended, taken by value or not.
    using handler = std::function<task<>(stream&&, const std::stop_token&)>;

    /// Listens from now on, so that local_address() tells the port; run() accepts. Throws error
    /// with the system's code, or std::errc::invalid_argument, naming it, for a limit or a number
    /// of threads that is 0 or less, or for nothing to listen on.
    server(const server_context& context, handler serve, const server_options& options);
    /// New connections have the reloader's current context.
    server(const context_reloader& contexts, handler serve, const server_options& options);
    /// The same for handlers that need no stop_token.
    template<class Contexts, class Handler>
        requires std::is_invocable_r_v<task<>, const Handler&, stream>
    server(const Contexts& contexts, Handler serve, const server_options& options)
        : server(contexts, without_token(std::move(serve)), options) {}
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server();

    /// Serves until stop(), on this thread and, for more than one, on others that it starts and
    /// joins. Throws the first error that keeps a thread from going on, after all have stopped;
    /// error with errc::busy if it has been called before.
    void run();

    /// From any thread, also before run().
    void stop() noexcept;
    /// The same, without grace.
    void stop_now() noexcept;
    /// stop() at the first of these signals, stop_now() at the second. Before run(); the signals
    /// outlive the server.
    void stop_on(signal_set& signals);

    /// Where it listens, in the order of server_options::listen(), descriptors last. Throws
    /// std::out_of_range.
    [[nodiscard]] address local_address(std::size_t index = 0) const;
    /// The loop that this thread's run() runs: for tasks of the application, spawned before that.
    /// Those that have not ended when the server has are destroyed with it.
    [[nodiscard]] event_loop& loop() noexcept;
    [[nodiscard]] server_counters counters() const noexcept;

  private:
    template<class Handler>
    static handler without_token(Handler serve) {
        if constexpr (requires { serve == nullptr; }) {
            if (serve == nullptr)
                return nullptr;
        }
        return [kept = std::move(serve)](stream&& peer, const std::stop_token& /*stop*/) {
            return kept(std::move(peer));
        };
    }

    std::unique_ptr<detail::server_core> core_;
};

} // namespace ringtls
