// SPDX-License-Identifier: MIT
// New certificates for a server that goes on.
#pragma once

#include <ringtls/coro/task.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/tls/server_context.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ringtls::detail {
struct reloader_state;
}

namespace [[gnu::visibility("default")]] ringtls {

/// A server_context that is made anew when its files change. Connections keep the context that they
/// began with, so that none is dropped; new ones get the new one.
///
///     context_reloader tls([=] { return server_context(server_settings(identity(cert, key))); });
///     loop.spawn(tls.watch(loop, {"cert.pem", "key.pem"}, report));
///     ... stream(std::move(socket), tls.current());
///
/// Copies are the same reloader. Thread rule: current(), replace() and reload() on any thread.
class context_reloader {
  public:
    using maker = std::function<server_context()>;
    /// Told of each reload: null if it succeeded, or why there is no new context.
    using reporter = std::function<void(std::exception_ptr failure)>;

    /// Makes the first context, and throws what that throws.
    explicit context_reloader(maker make);

    /// For the next connection.
    [[nodiscard]] server_context current() const;
    /// Exchanges it, for all that call current() from now on.
    void replace(server_context next);
    /// Makes it anew. Throws what the maker throws; then the last one stays.
    void reload();

    /// Reloads when one of these files changes, after nothing has changed for `quiet`: a
    /// certificate and its key are two files, written one after the other. A reload that fails
    /// keeps the last context, reports, and the next change is another try. Ends with
    /// errc::canceled when a stop is requested; what the reporter throws ends it, too. The task
    /// may outlive this object; the loop outlives the task.
    [[nodiscard]] task<> watch(event_loop& loop, std::vector<std::string> files, reporter report,
                               limits until = limits(),
                               loop_clock::duration quiet = std::chrono::milliseconds(200)) const;

  private:
    std::shared_ptr<detail::reloader_state> state_;
};

} // namespace ringtls
