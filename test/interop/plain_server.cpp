// SPDX-License-Identifier: MIT
// A server without TLS, for what stands in front of it: plain_server MODE. Each connection is a
// line on stdout when it is over: "closed BYTES" or "reset BYTES", as many as came.
//   echo      sends back what comes, to the end
//   count     reads to the end, and then sends how many bytes it was
//   farewell  says "bye" and ends writing at once, and reads to the end
//   reset     reads a byte, and resets the connection
#include <ringtls/ringtls.hpp>

#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <utility>

namespace {

using ringtls::task;

task<> converse(ringtls::socket& peer, const std::string& mode, std::size_t& came) {
    std::array<std::byte, 16384> buffer;
    if (mode == "farewell") {
        co_await peer.write("bye\n");
        peer.shutdown_write();
    }
    for (;;) {
        const auto count = co_await peer.read(buffer);
        if (count == 0)
            break;
        came += count;
        if (mode == "reset") {
            const linger at_once{1, 0};
            ::setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            co_return;
        }
        if (mode == "echo")
            co_await peer.write(std::span(buffer).first(count));
    }
    if (mode == "count") {
        const auto text = std::to_string(came) + "\n";
        co_await peer.write(text);
    }
}

task<> serve(ringtls::socket peer, const std::string& mode) {
    std::size_t came = 0;
    auto talk = converse(peer, mode, came);
    const auto ended = co_await ringtls::as_result(std::move(talk));
    std::cout << (ended ? "closed " : "reset ") << came << std::endl;
}

task<> accept_all(ringtls::event_loop& loop, const std::string& mode) {
    auto listener = ringtls::listener::bind(loop, ringtls::address("127.0.0.1", 0));
    std::cout << "listening on " << listener.local_address().to_string() << std::endl;
    for (;;) {
        auto accepted = co_await listener.accept();
        loop.spawn(serve(std::move(accepted), mode));
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const std::string mode = argv[1];
    try {
        ringtls::event_loop loop;
        loop.run(accept_all(loop, mode));
    } catch (const std::exception& failure) {
        std::cerr << "plain_server: " << failure.what() << '\n';
        return 1;
    }
}
