// SPDX-License-Identifier: MIT
// Two TLS streams connected to each other on one loop, and what tests need around them.
#pragma once

#include <ringtls/ringtls.hpp>

#include <doctest/doctest.h>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ringtls::test {

using bytes = std::vector<std::byte>;

/// A file that make_pki.sh made.
inline std::string pki(const std::string& name) {
    return std::string(RINGTLS_TEST_PKI "/") + name;
}

inline identity named_identity(const std::string& name) {
    return {pem::file(pki(name + ".pem")), pem::file(pki(name + ".key"))};
}
inline server_settings serving() {
    return server_settings(named_identity("server"));
}
inline client_settings trusting() {
    return client_settings().trust(pem::file(pki("ca.pem")));
}

/// The sizes that every operation is tried with.
inline constexpr std::array<std::size_t, 9> sizes = {0, 1, 5, 13, 64, 1024, 16384, 16385, 1048576};

/// Bytes that repeat nowhere soon, the same for the same seed.
inline bytes random_bytes(std::size_t size, unsigned seed = 1) {
    std::mt19937_64 generator(seed);
    bytes made(size);
    for (auto& each : made)
        each = static_cast<std::byte>(generator());
    return made;
}

inline void check_system(bool good) {
    if (!good)
        throw std::system_error(errno, std::system_category());
}

/// Two connected sockets.
struct socket_pair {
    socket client;
    socket server;
};

inline void limit_send_buffer(int fd, int size) {
    if (size > 0)
        check_system(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

/// Unix sockets. buffer: SO_SNDBUF of both, 0: the system's. The kernel doubles it and has a least.
inline socket_pair connected_pair(event_loop& loop, int buffer = 0) {
    std::array<int, 2> fds{};
    check_system(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    for (const int fd : fds)
        limit_send_buffer(fd, buffer);
    return {socket(loop, fds[0]), socket(loop, fds[1])};
}

/// TCP over loopback. buffer: as of connected_pair(). What the peer does not read still takes some
/// 64 KiB, its first window.
inline socket_pair connected_tcp_pair(event_loop& loop, int buffer = 0) {
    auto listening = listener::bind(loop, address("127.0.0.1", 0));
    auto made = loop.run([](event_loop& on, listener& at) -> task<socket_pair> {
        auto client = co_await ringtls::connect(on, at.local_address());
        auto server = co_await at.accept();
        co_return socket_pair{std::move(client), std::move(server)};
    }(loop, listening));
    limit_send_buffer(made.client.fd(), buffer);
    limit_send_buffer(made.server.fd(), buffer);
    return made;
}

/// What a matrix of tests is run over.
struct variant {
    const char* name;
    bool tcp;
    tls_version version;
};
inline constexpr std::array<variant, 4> variants = {{
    {"TLS 1.3 over unix sockets", false, tls_version::tls_1_3},
    {"TLS 1.2 over unix sockets", false, tls_version::tls_1_2},
    {"TLS 1.3 over TCP", true, tls_version::tls_1_3},
    {"TLS 1.2 over TCP", true, tls_version::tls_1_2},
}};

/// Runs a test over all of them, with the client and with the server in its leading part.
template<class Test>
void over_all(Test test) {
    for (const auto& how : variants) {
        for (const bool by_client : {true, false}) {
            CAPTURE(how.name);
            CAPTURE(by_client);
            test(how, by_client);
        }
    }
}

inline socket_pair connected(event_loop& loop, const variant& how, int buffer = 0) {
    return how.tcp ? connected_tcp_pair(loop, buffer) : connected_pair(loop, buffer);
}

/// Settings for a protocol version alone.
template<class Settings>
Settings only(Settings settings, tls_version version) {
    settings.minimum_version(version).maximum_version(version);
    return settings;
}

/// A client and a server stream, not yet shaken hands.
struct stream_pair {
    int client_fd;
    int server_fd;
    stream client;
    stream server;

    stream_pair(socket_pair sockets, const client_context& c, const server_context& s,
                const std::string& name = "localhost")
        : client_fd(sockets.client.fd()),
          server_fd(sockets.server.fd()),
          client(std::move(sockets.client), c, name),
          server(std::move(sockets.server), s) {}
    /// Over another transport.
    stream_pair(std::unique_ptr<byte_stream> below_client,
                std::unique_ptr<byte_stream> below_server, const client_context& c,
                const server_context& s)
        : client_fd(-1),
          server_fd(-1),
          client(std::move(below_client), c, "localhost"),
          server(std::move(below_server), s) {}
};

/// TLS inside the pair's TLS.
inline stream_pair inside(stream_pair outer, const client_context& c, const server_context& s) {
    return {std::make_unique<tls_byte_stream>(std::move(outer.client)),
            std::make_unique<tls_byte_stream>(std::move(outer.server)), c, s};
}

template<class... T>
void run_all(event_loop& loop, task<T>... work) {
    loop.run(when_all(std::move(work)...));
}

inline task<> shake_hands(stream& with) {
    co_await with.handshake();
}
inline task<> write_all(stream& to, std::span<const std::byte> from) {
    co_await to.write(from);
}
inline task<> read_all(stream& from, std::span<std::byte> into) {
    co_await from.read_exactly(into);
}
inline task<> shut_down(stream& one) {
    co_await one.shutdown();
}

/// Destroys a stream or a socket: its peer sees the end of TCP.
template<class End>
void drop(End& one) {
    const auto gone = std::move(one);
}

/// What arrives until close_notify.
inline task<bytes> read_to_end(stream& from) {
    bytes all;
    bytes buffer(16384);
    for (;;) {
        const auto count = co_await from.read(buffer);
        if (count == 0)
            co_return all;
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
    }
}

/// Lets everything that is ready happen, and what that makes ready.
inline task<> settle(event_loop& loop, int turns = 20) {
    for (int i = 0; i < turns; ++i)
        co_await loop.yield();
}

/// Turns the loop until this is so.
inline task<> until(event_loop& loop, const bool& so) {
    while (!so)
        co_await loop.yield();
}

/// A loop, both contexts, and an established pair: what most tests start from.
struct loopback {
    bool over_tcp = false;
    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};
    client_context client_side;
    server_context server_side;
    stream_pair ends;
    stream& client = ends.client;
    stream& server = ends.server;

    /// buffer: as of connected_pair(). The handshake is done unless raw is set.
    explicit loopback(int buffer = 0, const client_settings& c = trusting(),
                      const server_settings& s = serving(), bool raw = false)
        : client_side(c),
          server_side(s),
          ends(connected_pair(loop, buffer), client_side, server_side) {
        if (!raw)
            run_all(loop, shake_hands(client), shake_hands(server));
    }
    /// Over one of the variants.
    explicit loopback(const variant& how, int buffer = 0, const client_settings& c = trusting(),
                      const server_settings& s = serving(), bool raw = false)
        : over_tcp(how.tcp),
          client_side(only(c, how.version)),
          server_side(only(s, how.version)),
          ends(connected(loop, how, buffer), client_side, server_side) {
        if (!raw)
            run_all(loop, shake_hands(client), shake_hands(server));
    }

    /// One end, and its peer: end(!client).
    stream& end(bool is_client) noexcept { return is_client ? client : server; }
};

} // namespace ringtls::test
