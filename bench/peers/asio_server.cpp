// SPDX-License-Identifier: MIT
// The server with Boost.Asio: ssl::stream and awaitables, single-threaded without locks. Built on
// epoll and on io_uring. OpenSSL's modes are as ssl::stream sets them: it has buffers of its own
// and releases none.
#include "common.h"

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ssl.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using asio::awaitable;
using asio::ip::tcp;

/// Operations on these sockets are awaited unless told otherwise, and throw nothing.
using awaited = asio::as_tuple_t<asio::use_awaitable_t<>>;
using socket_type = awaited::as_default_on_t<tcp::socket>;
using acceptor_type = awaited::as_default_on_t<tcp::acceptor>;
using stream = ssl::stream<socket_type>;

awaitable<void> echo(stream& peer) {
    std::array<char, echo_buffer_size> buffer;
    for (;;) {
        const auto [failed, count] = co_await peer.async_read_some(asio::buffer(buffer));
        if (failed)
            co_return;
        const auto [refused, sent] =
            co_await asio::async_write(peer, asio::buffer(buffer, count), awaited());
        if (refused)
            co_return;
    }
}

/// Each read against a timer, as users write it.
awaitable<void> echo_within(stream& peer, std::chrono::seconds limit) {
    using namespace asio::experimental::awaitable_operators;
    std::array<char, echo_buffer_size> buffer;
    asio::steady_timer timer(peer.get_executor());
    for (;;) {
        timer.expires_after(limit);
        const auto first = co_await (peer.async_read_some(asio::buffer(buffer), awaited()) ||
                                     timer.async_wait(awaited()));
        if (first.index() != 0)
            co_return;
        const auto [failed, count] = std::get<0>(first);
        if (failed)
            co_return;
        const auto [refused, sent] =
            co_await asio::async_write(peer, asio::buffer(buffer, count), awaited());
        if (refused)
            co_return;
    }
}

awaitable<void> sink(stream& peer, std::size_t size) {
    std::vector<char> buffer(size);
    for (;;) {
        const auto [failed, count] = co_await peer.async_read_some(asio::buffer(buffer));
        if (failed)
            co_return;
    }
}

awaitable<void> source(stream& peer, std::size_t size) {
    const std::vector<char> buffer(size);
    for (;;) {
        const auto [failed, count] =
            co_await asio::async_write(peer, asio::buffer(buffer), awaited());
        if (failed)
            co_return;
    }
}

awaitable<void> work_on(stream& peer, const options& o) {
    using namespace asio::experimental::awaitable_operators;
    switch (o.work) {
    case work_echo:
        return o.deadline == 0 ? echo(peer) : echo_within(peer, std::chrono::seconds(o.deadline));
    case work_sink:
        return sink(peer, o.size);
    case work_source:
        return source(peer, o.size);
    case work_both:
        return sink(peer, o.size) && source(peer, o.size);
    case work_http: // not taken
        break;
    }
    throw std::logic_error("work");
}

awaitable<void> serve(socket_type socket, ssl::context& tls, const options& o) {
    socket.set_option(tcp::no_delay(true));
    stream peer(std::move(socket), tls);
    const auto [refused] = co_await peer.async_handshake(stream::server);
    if (refused)
        co_return;
    co_await work_on(peer, o);
    // A shutdown waits for the peer's own close_notify: without end, if the connection was reset.
    if ((SSL_get_shutdown(peer.native_handle()) & SSL_RECEIVED_SHUTDOWN) != 0)
        co_await peer.async_shutdown();
}

ssl::context make_tls(const options& o) {
    ssl::context tls(ssl::context::tls_server);
    tls.use_certificate_chain_file(o.cert);
    tls.use_private_key_file(o.key, ssl::context::pem);
    SSL_CTX* const native = tls.native_handle();
    if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(native, "X25519") != 1 ||
        SSL_CTX_set_ciphersuites(native, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(native, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1)
        throw std::runtime_error("the TLS settings were refused");
    return tls;
}

awaitable<void> accept_all(const options& o) {
    auto tls = make_tls(o);
    const auto executor = co_await asio::this_coro::executor;
    const tcp::endpoint at(asio::ip::address_v4::loopback(), o.port);
    acceptor_type acceptor(executor, at.protocol());
    acceptor.set_option(acceptor_type::reuse_address(true));
    acceptor.bind(at);
    acceptor.listen(backlog);
    announce(acceptor.local_endpoint().port());
    for (;;) {
        auto [failed, socket] = co_await acceptor.async_accept();
        // Its failure is nobody else's: whatever it throws is dropped.
        if (!failed)
            asio::co_spawn(executor, serve(std::move(socket), tls, o), asio::detached);
    }
}

} // namespace

int main(int argc, char** argv) {
    const options o = parse_options(argc, argv, takes_deadline);
    prepare_process();
    try {
        asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
        asio::co_spawn(context, accept_all(o), [](const std::exception_ptr& failure) {
            if (failure)
                std::rethrow_exception(failure);
        });
        context.run();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
