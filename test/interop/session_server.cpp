// SPDX-License-Identifier: MIT
// A server that tells its clients what became of their sessions:
// session_server CERT KEY SECRET [OCSP]. SECRET: a file that tickets are sealed by, a fleet's.
// OCSP: a response to staple; early data is accepted then. Each connection gets its early data
// back, a line, "PORT resumed|full KEY", with 16 exported bytes in hexadecimal, and then what it
// sends.
#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr auto patience = 20s;

std::string exported(const ringtls::stream& from) {
    const auto key = from.export_key("EXPERIMENTAL interop", 16);
    std::string text;
    for (const auto byte : key.bytes()) {
        std::array<char, 3> digits{};
        std::snprintf(digits.data(), digits.size(), "%02X", static_cast<unsigned>(byte));
        text += digits.data();
    }
    return text;
}

task<> converse(ringtls::stream& peer, const std::string& port) {
    std::array<std::byte, 16384> buffer;
    for (;;) {
        const auto early = co_await peer.read_early(buffer).within(patience);
        if (early.empty())
            break;
        co_await peer.write(early).within(patience);
    }
    co_await peer.handshake().within(patience);
    const std::string line =
        port + (peer.resumed() ? " resumed " : " full ") + exported(peer) + "\n";
    co_await peer.write(line).within(patience);
    for (;;) {
        const auto count = co_await peer.read(buffer).within(patience);
        if (count == 0)
            break;
        co_await peer.write(std::span(buffer).first(count)).within(patience);
    }
    co_await peer.shutdown().within(patience);
}

task<> serve(ringtls::stream peer, const std::string& port) {
    try {
        co_await converse(peer, port);
    } catch (const std::exception& failure) {
        std::cerr << "session_server: " << failure.what() << '\n';
    }
}

task<> accept_all(ringtls::event_loop& loop, const ringtls::server_context& tls) {
    auto listener = ringtls::listener::bind(loop, ringtls::address("127.0.0.1", 0));
    const auto port = std::to_string(listener.local_address().port());
    std::cout << "listening on 127.0.0.1:" << port << '\n' << std::flush;
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(serve(ringtls::stream(std::move(socket), tls), port));
    }
}

ringtls::ticket_keys keys_of(const char* path) {
    std::ifstream in(path, std::ios::binary);
    const std::string secret(std::istreambuf_iterator<char>(in), {});
    return ringtls::ticket_keys::shared(std::as_bytes(std::span(secret)));
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 5)
        return 2;
    const ringtls::identity self(ringtls::pem::file(argv[1]), ringtls::pem::file(argv[2]));
    ringtls::server_settings settings(self);
    settings.seal_tickets_with(keys_of(argv[3]));
    if (argc == 5)
        settings.staple_ocsp_file(argv[4]).early_data(16384);
    const ringtls::server_context tls(settings);
    ringtls::event_loop loop;
    loop.run(accept_all(loop, tls));
}
