// SPDX-License-Identifier: MIT
// The PROXY protocol's two ends, to stand behind HAProxy and before it.
// proxied serve CERT KEY: requires a header of each connection, does TLS, and answers with a line,
//   "COMMAND SOURCE DESTINATION", and one for each tlv, "TYPE VALUE".
// proxied visit CA PORT v1|v2 SOURCE DESTINATION: connects, says that it is SOURCE, does TLS, and
//   prints what it is told. SOURCE "unknown": says that it does not know.
#include <ringtls/ringtls.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::chrono_literals;
using ringtls::address;
using ringtls::proxy_header;
using ringtls::task;

constexpr auto patience = 20s;

std::string told(const proxy_header& header) {
    const auto text = [](const auto& of) { return of ? of->to_string() : std::string("unknown"); };
    std::string all = header.says == proxy_header::command::local ? "local " : "proxy ";
    all += text(header.source) + " " + text(header.destination) + "\n";
    for (const auto& each : header.tlvs) {
        all += std::to_string(static_cast<unsigned>(each.type)) + " ";
        all.append(reinterpret_cast<const char*>(each.value.data()), each.value.size()) += "\n";
    }
    return all;
}

task<> answer(ringtls::socket from, ringtls::server_context tls) {
    const auto header = co_await ringtls::read_proxy_header(from).within(patience);
    ringtls::stream peer(std::move(from), tls);
    const auto line = told(header);
    co_await peer.write(line).within(patience);
    co_await peer.shutdown().within(patience);
}

task<> serve_one(ringtls::socket from, ringtls::server_context tls) {
    try {
        co_await answer(std::move(from), std::move(tls));
    } catch (const std::exception& failure) {
        std::cerr << "proxied: " << failure.what() << std::endl;
    }
}

task<> serve(ringtls::event_loop& loop, const ringtls::server_context& tls) {
    auto listener = ringtls::listener::bind(loop, address("127.0.0.1", 0));
    std::cout << "listening on " << listener.local_address().to_string() << std::endl;
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(serve_one(std::move(socket), tls));
    }
}

task<> visit(ringtls::event_loop& loop, const ringtls::client_context& tls, std::uint16_t port,
             const proxy_header& header, proxy_header::version version) {
    const address to("127.0.0.1", port);
    auto socket = co_await ringtls::connect(loop, to).within(patience);
    const auto first = header.to_bytes(version);
    co_await socket.write(first).within(patience);
    ringtls::stream peer(std::move(socket), tls, "localhost");
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto count =
            co_await peer.read(std::as_writable_bytes(std::span(buffer))).within(patience);
        if (count == 0)
            break;
        std::fwrite(buffer.data(), 1, count, stdout);
    }
    co_await peer.shutdown().within(patience);
}

int run(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    ringtls::event_loop loop;
    if (what == "serve" && argc == 4) {
        const ringtls::identity self(ringtls::pem::file(argv[2]), ringtls::pem::file(argv[3]));
        const ringtls::server_context tls{ringtls::server_settings(self)};
        loop.run(serve(loop, tls));
    }
    if (what != "visit" || argc != 7)
        return 2;
    ringtls::client_settings settings;
    settings.trust(ringtls::pem::file(argv[2]));
    const ringtls::client_context tls(settings);
    proxy_header header;
    if (std::string_view(argv[5]) != "unknown")
        header = proxy_header(address::parse(argv[5]), address::parse(argv[6]));
    const auto version =
        std::string_view(argv[4]) == "v1" ? proxy_header::version::v1 : proxy_header::version::v2;
    const auto port = static_cast<std::uint16_t>(std::stoul(argv[3]));
    loop.run(visit(loop, tls, port, header, version));
    return 0;
}

} // namespace

int main(int argc, char** argv) try {
    return run(argc, argv);
} catch (const std::exception& failure) {
    std::cerr << "proxied: " << failure.what() << std::endl;
    return 1;
}
