// SPDX-License-Identifier: MIT
// HTTP/1.1 requests on connections that are kept: each answer has to be a 200 with its whole body.
#include "closed_loop.hpp"
#include "works.hpp"

#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

namespace load {

namespace {

constexpr std::string_view request_text = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::size_t body_length(std::string_view head) {
    constexpr std::string_view status = "HTTP/1.1 200 ";
    constexpr std::string_view field = "\r\nContent-Length: ";
    const auto at = head.find(field);
    if (!head.starts_with(status) || at == std::string_view::npos)
        throw std::runtime_error("the answer is no 200 with a Content-Length");
    const auto digits = head.substr(at + field.size());
    std::size_t length = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (parsed.ec != std::errc() || parsed.ptr == digits.data() + digits.size() ||
        *parsed.ptr != '\r')
        throw std::runtime_error("the answer has no right Content-Length");
    return length;
}

class http_dialogue {
  public:
    struct state {
        std::string head; ///< as far as it has come, then with what came behind it
        bool in_body = false;
        std::size_t left = 0; ///< of the body
    };

    /// Bytes of a body.
    [[nodiscard]] std::size_t size() const { return size_; }

    static std::span<const std::byte> request(state& of) {
        of.head.clear();
        of.in_body = false;
        return std::as_bytes(std::span(request_text));
    }

    bool take(state& of, std::span<const std::byte> answer) {
        auto count = answer.size();
        if (!of.in_body) {
            of.head.append(reinterpret_cast<const char*>(answer.data()), count);
            constexpr std::string_view end_of_head = "\r\n\r\n";
            const auto end = of.head.find(end_of_head);
            if (end == std::string::npos)
                return false;
            of.in_body = true;
            // With the end of the last line.
            of.left = size_ = body_length(std::string_view(of.head).substr(0, end + 2));
            count = of.head.size() - end - end_of_head.size();
        }
        if (count > of.left)
            throw std::runtime_error("more came than the answer's Content-Length");
        of.left -= count;
        return of.left == 0;
    }

  private:
    std::size_t size_ = 0;
};

} // namespace

void run_http(const options& options) {
    open_connections connections(options);
    http_dialogue dialogue;
    closed_loop(connections, dialogue, options.active).run();
    connections.close();
}

} // namespace load
