// SPDX-License-Identifier: MIT
// What a user's first program does: a verified TLS echo, here from one socket to the other.
#include <ringtls/ringtls.hpp>

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

ringtls::task<> echo(ringtls::stream peer) {
    std::array<std::byte, 1024> buffer;
    while (const auto size = co_await peer.read(buffer))
        co_await peer.write(std::span(buffer).first(size));
    co_await peer.shutdown();
}

ringtls::task<std::string> ask(ringtls::stream server, std::string_view text) {
    std::vector<std::byte> answer(text.size());
    co_await server.write(text);
    co_await server.read_exactly(answer);
    co_await server.shutdown();
    co_return std::string(reinterpret_cast<const char*>(answer.data()), answer.size());
}

} // namespace

int main() {
    const std::array<std::string, 1> names = {"localhost"};
    const auto self = ringtls::self_signed(names);
    const ringtls::server_context server{ringtls::server_settings(self)};
    const ringtls::client_context client(ringtls::client_settings().trust(self.chain));

    ringtls::event_loop loop;
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return 1;
    loop.spawn(echo(ringtls::stream(ringtls::socket(loop, ends[0]), server)));
    const auto answer = loop.run(
        ask(ringtls::stream(ringtls::socket(loop, ends[1]), client, "localhost"), "hello"));
    std::printf("ringtls %s: %s\n", std::string(ringtls::version).c_str(), answer.c_str());
    return answer == "hello" ? 0 : 1;
}
