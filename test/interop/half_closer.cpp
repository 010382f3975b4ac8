// SPDX-License-Identifier: MIT
// A client that goes on writing after the server has ended: half_closer CA PORT BYTES. Prints what
// it read until close_notify; then it writes as many bytes, and ends cleanly.
#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr auto patience = 20s;

task<> talk(ringtls::event_loop& loop, const ringtls::client_context& tls, std::uint16_t port,
            std::size_t bytes) {
    auto server =
        co_await ringtls::connect(loop, tls, ringtls::endpoint("127.0.0.1", port)).within(patience);
    std::array<char, 1024> buffer{};
    for (;;) {
        const auto count =
            co_await server.read(std::as_writable_bytes(std::span(buffer))).within(patience);
        if (count == 0)
            break;
        std::cout.write(buffer.data(), static_cast<std::streamsize>(count));
    }
    const std::vector<std::byte> much(bytes);
    co_await server.write(much).within(patience);
    co_await server.shutdown().within(patience);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4)
        return 2;
    try {
        ringtls::event_loop loop;
        const ringtls::client_context tls(
            ringtls::client_settings().trust(ringtls::pem::file(argv[1])));
        loop.run(talk(loop, tls, static_cast<std::uint16_t>(std::atoi(argv[2])),
                      static_cast<std::size_t>(std::atoll(argv[3]))));
    } catch (const std::exception& failure) {
        std::cerr << "half_closer: " << failure.what() << '\n';
        return 1;
    }
}
