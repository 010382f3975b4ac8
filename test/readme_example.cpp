#include <ringtls/ringtls.hpp>

#include <array>
#include <csignal>

using namespace std::chrono_literals;

ringtls::task<> echo(ringtls::stream peer) {
    std::array<std::byte, 16384> buffer;
    while (auto n = co_await peer.read(buffer)) // 0: the peer closed cleanly
        co_await peer.write(std::span(buffer).first(n)).within(30s);
    co_await peer.shutdown();
}

int main() {
    const ringtls::identity self(ringtls::pem::file("server.pem"),
                                 ringtls::pem::file("server.key"));
    const ringtls::server_context tls(ringtls::server_settings{self});
    ringtls::signal_set signals{SIGINT, SIGTERM};
    ringtls::server server(tls, echo,
                           ringtls::server_options().listen({"127.0.0.1", 8443}).threads(2));
    server.stop_on(signals); // gracefully
    server.run();
}
