// SPDX-License-Identifier: MIT
// The server with this library, as its users write it, but without time limits, which none of the
// compared servers has.
#include "common.h"

#include <ringtls/ringtls.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <span>
#include <utility>
#include <vector>

namespace {

using ringtls::task;

task<> echo(ringtls::stream peer) {
    std::array<std::byte, echo_buffer_size> buffer;
    while (const auto count = co_await peer.read(buffer))
        co_await peer.write(std::span(buffer).first(count));
    co_await peer.shutdown();
}

task<> sink(ringtls::stream& peer, std::size_t size) {
    std::vector<std::byte> buffer(size);
    while (co_await peer.read(buffer)) {
    }
    co_await peer.close_write();
}

task<> source(ringtls::stream& peer, std::size_t size) {
    const std::vector<std::byte> buffer(size);
    for (;;)
        co_await peer.write(buffer);
}

task<> serve(ringtls::stream peer, work kind, std::size_t size) {
    switch (kind) {
    case work_echo:
        co_await echo(std::move(peer));
        break;
    case work_sink:
        co_await sink(peer, size);
        break;
    case work_source:
        co_await source(peer, size);
        break;
    case work_both:
        co_await ringtls::when_all(sink(peer, size), source(peer, size));
        break;
    }
}

task<> accept_all(ringtls::event_loop& loop, const options& o) {
    const ringtls::identity self(ringtls::pem::file(o.cert), ringtls::pem::file(o.key));
    const ringtls::server_context tls(ringtls::server_settings(self)
                                          .groups("X25519")
                                          .ciphersuites("TLS_AES_128_GCM_SHA256")
                                          .ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"));
    auto listener = ringtls::listener::bind(loop, ringtls::address("127.0.0.1", o.port));
    announce(listener.local_address().port());
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(serve(ringtls::stream(std::move(socket), tls), o.work, o.size));
    }
}

} // namespace

int main(int argc, char** argv) {
    const options o = parse_options(argc, argv);
    prepare_process();
    try {
        ringtls::event_loop loop;
        loop.on_unhandled([](const std::exception_ptr&) {}); // one connection's end
        loop.run(accept_all(loop, o));
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
