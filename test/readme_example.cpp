#include <ringtls/ringtls.hpp>

#include <array>

using namespace std::chrono_literals;

ringtls::task<> echo(ringtls::stream peer) {
    std::array<std::byte, 16384> buffer;
    while (auto n = co_await peer.read(buffer).within(5min)) // 0: the peer closed cleanly
        co_await peer.write(std::span(buffer).first(n)).within(5min);
    co_await peer.shutdown().within(5s);
}

ringtls::task<> serve(ringtls::event_loop& loop, const ringtls::server_context& tls) {
    auto listener = ringtls::listener::bind(loop, {"127.0.0.1", 8443});
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(echo(ringtls::stream(std::move(socket), tls)));
    }
}

int main() {
    const ringtls::identity self(ringtls::pem::file("server.pem"),
                                 ringtls::pem::file("server.key"));
    const ringtls::server_context tls(ringtls::server_settings{self});
    ringtls::event_loop loop;
    loop.on_unhandled([](std::exception_ptr) { /* one connection failed: log it, and go on */ });
    loop.run(serve(loop, tls));
}
