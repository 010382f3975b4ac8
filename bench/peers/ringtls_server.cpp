// SPDX-License-Identifier: MIT
// The server with this library, as its users write it, but without time limits where the compared
// servers have none.
#include "common.h"

#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using ringtls::task;
using namespace std::chrono_literals;

task<> echo(ringtls::stream& peer) {
    std::array<std::byte, echo_buffer_size> buffer;
    while (const auto count = co_await peer.read(buffer))
        co_await peer.write(std::span(buffer).first(count));
}

task<> echo_within(ringtls::stream& peer, std::chrono::seconds limit) {
    std::array<std::byte, echo_buffer_size> buffer;
    while (const auto count = co_await peer.read(buffer).within(limit))
        co_await peer.write(std::span(buffer).first(count));
}

/// Nothing but the stream is kept while there is nothing to do; false when the peer has closed.
task<bool> echo_what_is_there(ringtls::stream& peer) {
    std::array<std::byte, echo_buffer_size> buffer;
    const auto count = co_await peer.read(buffer);
    co_await peer.write(std::span(buffer).first(count));
    co_return count != 0;
}

task<> echo_without_buffer(ringtls::stream& peer) {
    for (bool open = true; open;) {
        co_await peer.readable();
        open = co_await echo_what_is_there(peer);
    }
}

/// A request that is not whole stays in the buffer. Several that came at once are answered in turn.
task<> answer_requests(ringtls::stream& peer) {
    std::array<char, echo_buffer_size> buffer;
    std::size_t filled = 0;
    while (filled < buffer.size()) {
        const auto room = std::as_writable_bytes(std::span(buffer).subspan(filled));
        const auto count = co_await peer.read(room);
        if (count == 0)
            co_return;
        filled += count;
        while (const auto taken = http_request_size(buffer.data(), filled)) {
            co_await peer.write(std::string_view(http_answer, http_answer_size));
            filled -= taken;
            std::memmove(buffer.data(), buffer.data() + taken, filled);
        }
    }
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

task<> both(ringtls::stream& peer, std::size_t size) {
    co_await ringtls::when_all(sink(peer, size), source(peer, size));
}

task<> work_on(ringtls::stream& peer, const options& o) {
    switch (o.work) {
    case work_echo:
        if (o.wait_readable)
            return echo_without_buffer(peer);
        return o.deadline == 0 ? echo(peer) : echo_within(peer, std::chrono::seconds(o.deadline));
    case work_sink:
        return sink(peer, o.size);
    case work_source:
        return source(peer, o.size);
    case work_both:
        return both(peer, o.size);
    case work_http:
        return answer_requests(peer);
    }
    throw std::logic_error("work");
}

task<> serve(ringtls::stream peer, const options& o) {
    co_await work_on(peer, o);
    co_await peer.shutdown();
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
        auto accepted = co_await ringtls::as_result(listener.accept());
        if (accepted)
            loop.spawn(serve(ringtls::stream(std::move(*accepted), tls), o));
        else // out of descriptors, most likely: it passes when connections end
            co_await loop.sleep(10ms);
    }
}

} // namespace

int main(int argc, char** argv) {
    const options o = parse_options(
        argc, argv, takes_http | takes_wait_readable | takes_deadline | takes_busy_poll);
    prepare_process();
    try {
        ringtls::event_loop loop(
            ringtls::event_loop_options().busy_poll(std::chrono::microseconds(o.busy_poll)));
        loop.on_unhandled([](const std::exception_ptr&) {}); // one connection's end
        loop.run(accept_all(loop, o));
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
