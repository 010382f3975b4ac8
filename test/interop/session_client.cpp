// SPDX-License-Identifier: MIT
// A client that comes again: session_client CA PORT COUNT 1.2|1.3 [ocsp]. Connects to localhost as
// often, with one session cache, and prints "resumed" or "full" and the line that it is greeted
// with; "ocsp": it requires a stapled response.
#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr auto patience = 20s;

task<std::string> greeting(ringtls::stream& peer) {
    std::string line;
    while (!line.ends_with('\n')) {
        std::array<std::byte, 256> buffer;
        const auto count = co_await peer.read(buffer).within(patience);
        if (count == 0)
            break;
        line.append(reinterpret_cast<const char*>(buffer.data()), count);
    }
    co_return line;
}

task<> visit(ringtls::event_loop& loop, const ringtls::client_context& tls, std::uint16_t port) {
    auto peer = co_await ringtls::connect(loop, tls, "localhost", port).within(patience);
    const auto line = co_await greeting(peer);
    std::cout << (peer.resumed() ? "resumed " : "full ") << line << std::flush;
    co_await peer.shutdown().within(patience);
}

} // namespace

int main(int argc, char** argv) try {
    if (argc != 5 && argc != 6)
        return 2;
    const auto version = std::string_view(argv[4]) == "1.2" ? ringtls::tls_version::tls_1_2
                                                            : ringtls::tls_version::tls_1_3;
    ringtls::client_settings settings;
    settings.trust(ringtls::pem::file(argv[1]))
        .sessions(ringtls::session_cache())
        .minimum_version(version)
        .maximum_version(version);
    if (argc == 6)
        settings.require_stapled_ocsp();
    const ringtls::client_context tls(settings);
    ringtls::event_loop loop;
    const auto port = static_cast<std::uint16_t>(std::stoul(argv[2]));
    for (auto left = std::stoul(argv[3]); left > 0; --left)
        loop.run(visit(loop, tls, port));
    return 0;
} catch (const std::exception& failure) {
    std::cerr << "session_client: " << failure.what() << '\n';
    return 1;
}
