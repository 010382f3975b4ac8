// SPDX-License-Identifier: MIT
// What a server listens on, and what it allows its connections.
#pragma once

#include <ringtls/loop/event_loop.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/listener.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// Where in a connection's life it failed.
enum class server_stage {
    accepting, ///< before it was counted: no descriptors or memory left, so that others wait, too
    admission, ///< one more than max_per_address() allows: errc::over_limit
    handshake,
    handler, ///< what the handler threw
};

/// A connection that failed; what server_options::on_failure() is given.
struct connection_failure {
    server_stage stage;
    std::optional<address> peer; ///< none if it is not known, or gone
    std::exception_ptr cause;
};

/// How a server is made. Each setter returns the options, so that they chain.
class server_options {
  public:
    using failure_handler = std::function<void(const connection_failure&)>;

    server_options() = default;

    /// Listens here, too. Port 0 is a free one, the same for all threads.
    server_options& listen(const address& at) {
        addresses_.push_back(at);
        return *this;
    }
    /// Takes connections of a stream socket that listens already, such as an activated_socket. The
    /// server duplicates it, leaves this descriptor to the caller, and makes the socket
    /// non-blocking for all who share it.
    server_options& listen(int fd) {
        descriptors_.push_back(fd);
        return *this;
    }
    /// How. share_port() is for other processes to have the port, too: the threads share it anyway.
    /// on_pressure() is called besides on_failure().
    server_options& listening(listen_options how) {
        listening_ = std::move(how);
        return *this;
    }
    /// Loops, each on a thread of its own. 1 unless set.
    server_options& threads(std::size_t count) noexcept {
        threads_ = count;
        return *this;
    }
    /// How each loop is made.
    server_options& loops(const event_loop_options& how) noexcept {
        loops_ = how;
        return *this;
    }

    /// Connections at once, over all threads; more wait in the kernel's queue. 10,000 unless set.
    server_options& max_connections(std::size_t count) noexcept {
        max_connections_ = count;
        return *this;
    }
    /// Handshakes at once, over all threads; more wait, which counts against their time. 1,000
    /// unless set.
    server_options& max_handshakes(std::size_t count) noexcept {
        max_handshakes_ = count;
        return *this;
    }
    /// Connections of one peer at once: of an IPv4 address, or an IPv6 network of 64 bits; more are
    /// closed. Nothing to unix sockets. No limit unless set: behind a proxy, all have its address.
    server_options& max_per_address(std::size_t count) noexcept {
        max_per_address_ = count;
        return *this;
    }

    /// For the whole handshake. 10 s unless set.
    template<class Rep, class Period>
    server_options& handshake_within(std::chrono::duration<Rep, Period> time) noexcept {
        handshake_limit_ = detail::loop_duration(time);
        return *this;
    }
    /// For each operation that reads (stream::limit_waits()): how long a connection may be idle. 5
    /// minutes unless set.
    template<class Rep, class Period>
    server_options& idle_within(std::chrono::duration<Rep, Period> time) noexcept {
        idle_limit_ = detail::loop_duration(time);
        return *this;
    }
    /// For each operation that writes or closes. A minute unless set.
    template<class Rep, class Period>
    server_options& write_within(std::chrono::duration<Rep, Period> time) noexcept {
        write_limit_ = detail::loop_duration(time);
        return *this;
    }
    /// How long handlers may go on after server::stop(). 10 s unless set.
    template<class Rep, class Period>
    server_options& grace(std::chrono::duration<Rep, Period> time) noexcept {
        grace_ = detail::loop_duration(time);
        return *this;
    }

    /// Called on the connection's thread, several at the same time if there are several; must not
    /// throw. Nobody is told unless set.
    server_options& on_failure(failure_handler handler) {
        on_failure_ = std::move(handler);
        return *this;
    }

    [[nodiscard]] const std::vector<address>& addresses() const noexcept { return addresses_; }
    [[nodiscard]] const std::vector<int>& descriptors() const noexcept { return descriptors_; }
    [[nodiscard]] const listen_options& listening() const noexcept { return listening_; }
    [[nodiscard]] std::size_t threads() const noexcept { return threads_; }
    [[nodiscard]] const event_loop_options& loops() const noexcept { return loops_; }
    [[nodiscard]] std::size_t max_connections() const noexcept { return max_connections_; }
    [[nodiscard]] std::size_t max_handshakes() const noexcept { return max_handshakes_; }
    [[nodiscard]] std::size_t max_per_address() const noexcept { return max_per_address_; }
    [[nodiscard]] loop_clock::duration handshake_limit() const noexcept { return handshake_limit_; }
    [[nodiscard]] loop_clock::duration idle_limit() const noexcept { return idle_limit_; }
    [[nodiscard]] loop_clock::duration write_limit() const noexcept { return write_limit_; }
    [[nodiscard]] loop_clock::duration grace() const noexcept { return grace_; }
    [[nodiscard]] const failure_handler& on_failure() const noexcept { return on_failure_; }

  private:
    std::vector<address> addresses_;
    std::vector<int> descriptors_;
    listen_options listening_;
    std::size_t threads_ = 1;
    event_loop_options loops_;
    std::size_t max_connections_ = 10'000;
    std::size_t max_handshakes_ = 1'000;
    std::size_t max_per_address_ = static_cast<std::size_t>(-1);
    loop_clock::duration handshake_limit_ = std::chrono::seconds(10);
    loop_clock::duration idle_limit_ = std::chrono::minutes(5);
    loop_clock::duration write_limit_ = std::chrono::minutes(1);
    loop_clock::duration grace_ = std::chrono::seconds(10);
    failure_handler on_failure_;
};

} // namespace ringtls
