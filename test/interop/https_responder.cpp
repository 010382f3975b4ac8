// SPDX-License-Identifier: MIT
// A small HTTPS server for other people's clients: https_responder CERT KEY FILE.
//
//   GET /file      the file          GET /chunked  the file, in chunks of growing size
//   GET /hello     a short body      POST /echo    the body that came
#include <ringtls/ringtls.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::chrono_literals;
using ringtls::task;

constexpr auto patience = 20s;
constexpr std::string_view end_of_head = "\r\n\r\n";

/// Where the head's Content-Length says that the body ends; curl writes the name like this.
std::size_t content_length(std::string_view head) {
    constexpr std::string_view name = "\r\nContent-Length: ";
    const auto at = head.find(name);
    std::size_t length = 0;
    if (at != std::string_view::npos)
        std::from_chars(head.data() + at + name.size(), head.data() + head.size(), length);
    return length;
}

/// One client's requests, one after the other.
class session {
  public:
    session(ringtls::stream peer, const std::string& file) : peer_(std::move(peer)), file_(file) {}

    task<> run() {
        for (;;) {
            const std::string head = co_await receive_head();
            if (head.empty())
                break;
            const std::string body = co_await take(content_length(head));
            co_await answer(head.substr(0, head.find(" HTTP/1.1\r\n")), body);
        }
        co_await peer_.shutdown().within(patience);
    }

  private:
    /// Empty when the peer closed between two requests.
    task<std::string> receive_head() {
        for (;;) {
            const auto end = arrived_.find(end_of_head);
            if (end != std::string::npos)
                co_return co_await take(end + end_of_head.size());
            const bool more = co_await receive();
            if (!more && arrived_.empty())
                co_return "";
            if (!more)
                throw std::runtime_error("the client closed in the middle of a request");
        }
    }

    task<std::string> take(std::size_t size) {
        while (arrived_.size() < size) {
            const bool more = co_await receive();
            if (!more)
                throw std::runtime_error("the client closed in the middle of a request");
        }
        std::string taken = arrived_.substr(0, size);
        arrived_.erase(0, size);
        co_return taken;
    }

    /// False at the peer's close.
    task<bool> receive() {
        std::array<std::byte, 16384> buffer;
        const std::size_t count = co_await peer_.read(buffer).within(patience);
        arrived_.append(reinterpret_cast<const char*>(buffer.data()), count);
        co_return count > 0;
    }

    task<> answer(const std::string& request, const std::string& body) {
        if (request == "GET /hello")
            co_await send("200 OK", "hello\n");
        else if (request == "GET /file")
            co_await send("200 OK", file_);
        else if (request == "GET /chunked")
            co_await send_chunked();
        else if (request == "POST /echo")
            co_await send("200 OK", body);
        else
            co_await send("404 Not Found", "no such page\n");
    }

    task<> send(std::string_view status, std::string_view body) {
        const std::string head = "HTTP/1.1 " + std::string(status) +
                                 "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        co_await send_together(head, body);
    }

    task<> send_chunked() {
        co_await send_together("HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n");
        std::size_t size = 1;
        for (std::string_view left = file_; !left.empty(); size *= 3) {
            const auto piece = left.substr(0, size);
            left.remove_prefix(piece.size());
            std::array<char, 20> line{};
            std::snprintf(line.data(), line.size(), "%zx\r\n", piece.size());
            co_await send_together(line.data(), piece, "\r\n");
        }
        co_await send_together("0\r\n", "\r\n");
    }

    /// In one write, so that they share records.
    task<> send_together(std::string_view first, std::string_view second,
                         std::string_view third = "") {
        const std::array pieces{std::as_bytes(std::span(first)), std::as_bytes(std::span(second)),
                                std::as_bytes(std::span(third))};
        co_await peer_.write(pieces).within(patience);
    }

    ringtls::stream peer_;
    const std::string& file_;
    std::string arrived_;
};

task<> serve(ringtls::stream peer, const std::string& file) {
    try {
        session with(std::move(peer), file);
        co_await with.run();
    } catch (const std::exception& failure) {
        std::cerr << "https_responder: " << failure.what() << '\n';
    }
}

task<> accept_all(ringtls::event_loop& loop, const ringtls::server_context& tls,
                  const std::string& file) {
    auto listener = ringtls::listener::bind(loop, ringtls::address("127.0.0.1", 0));
    std::cout << "listening on " << listener.local_address().to_string() << '\n' << std::flush;
    for (;;) {
        auto socket = co_await listener.accept();
        loop.spawn(serve(ringtls::stream(std::move(socket), tls), file));
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4)
        return 2;
    const ringtls::identity self(ringtls::pem::file(argv[1]), ringtls::pem::file(argv[2]));
    const ringtls::server_context tls(ringtls::server_settings(self).alpn({"http/1.1"}));
    std::ifstream in(argv[3], std::ios::binary);
    const std::string file(std::istreambuf_iterator<char>(in), {});
    ringtls::event_loop loop;
    loop.run(accept_all(loop, tls, file));
}
