// SPDX-License-Identifier: MIT
// Decisions with other people's programs at the other end; PKI is what make_pki.sh made.
//
//   decider serve PKI        serves names from several contexts, each chosen by a coroutine, and
//                            tells each client its name, its protocol and its JA4
//   decider visit PKI PORT   judges the server's certificate, and chooses its own, by coroutines;
//                            says a line, and prints the answer, which is as long
#include <ringtls/ringtls.hpp>

#include <charconv>
#include <chrono>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::chrono_literals;
using namespace ringtls;

constexpr auto patience = 20s;

identity named(const std::string& pki, const std::string& name) {
    return {pem::file(pki + "/" + name + ".pem"), pem::file(pki + "/" + name + ".key")};
}

task<client_hello_answer> look_up(event_loop& loop, const server_context& serves) {
    co_await loop.yield();
    co_return client_hello_answer::use(serves);
}

task<std::optional<identity>> fetch(event_loop& loop, identity self) {
    co_await loop.yield();
    co_return self;
}

/// A context for this certificate, which is fetched when it is needed.
server_context serving(event_loop& loop, const std::string& pki, const std::string& name) {
    const auto self = named(pki, name);
    const server_context chosen(
        server_settings(named(pki, "expired")) // never shown
            .alpn({"echo"})
            .fingerprint_clients()
            .on_certificate_needed(
                [&loop, self](const certificate_request&) { return fetch(loop, self); }));
    return server_context(server_settings(self).on_client_hello(
        [&loop, chosen](const client_hello&) { return look_up(loop, chosen); }));
}

task<> tell(stream peer) {
    try {
        co_await peer.handshake().within(patience);
        const auto about = peer.info();
        const auto line = about.server_name + ' ' + about.alpn + ' ' + about.ja4 + '\n';
        co_await peer.write(line).within(patience);
        co_await peer.shutdown().within(patience);
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << '\n';
    }
}

task<> serve(event_loop& loop, const server_context& tls) {
    auto listener = listener::bind(loop, address("127.0.0.1", 0));
    std::cout << "listening on " << listener.local_address().to_string() << '\n' << std::flush;
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(tell(stream(std::move(socket), tls)));
    }
}

task<verdict> judge(event_loop& loop, std::string subject, std::string objection) {
    co_await loop.yield();
    std::cout << subject << ": " << objection << '\n';
    co_return subject == "CN=other.example" ? verdict::danger_accept() : verdict::as_found();
}

client_settings visiting(event_loop& loop, const std::string& pki) {
    return client_settings()
        .trust(pem::file(pki + "/ca.pem"))
        .on_server_certificate([&loop](const server_certificate& seen) {
            return judge(loop, seen.chain.front().subject,
                         seen.refused ? std::string(seen.refused->reason()) : "accepted");
        })
        .on_certificate_needed([&loop, self = named(pki, "client")](const certificate_request&) {
            return fetch(loop, self);
        });
}

task<> visit(event_loop& loop, const client_context& tls, std::uint16_t port) {
    auto socket = co_await connect(loop, address("127.0.0.1", port));
    stream peer(std::move(socket), tls, "localhost");
    co_await peer.handshake().within(patience);
    const std::string said = "visited\n";
    co_await peer.write(said).within(patience);
    std::string heard(said.size(), ' ');
    co_await peer.read_exactly(std::as_writable_bytes(std::span(heard))).within(patience);
    std::cout << heard;
    co_await peer.close_write().within(patience);
}

} // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 2 ? argv[1] : "";
    const std::string pki = argc > 2 ? argv[2] : "";
    event_loop loop;
    try {
        if (what == "serve") {
            const server_context tls(server_names()
                                         .add("localhost", serving(loop, pki, "server"))
                                         .add("other.example", serving(loop, pki, "elsewhere"))
                                         .add("*.wild.example", serving(loop, pki, "wildcard")));
            loop.run(serve(loop, tls));
        } else if (what == "visit" && argc == 4) {
            std::uint16_t port = 0;
            const std::string_view text(argv[3]);
            std::from_chars(text.data(), text.data() + text.size(), port);
            loop.run(visit(loop, client_context(visiting(loop, pki)), port));
        } else {
            return 2;
        }
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << '\n';
        return 1;
    }
}
