// SPDX-License-Identifier: MIT
// Which sends the socket is told to keep a segment's end of, for what comes right behind.
#include "../support/loopback.hpp"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace {

struct sent {
    std::size_t size;
    bool more;
};

std::vector<sent> all_sent;
bool kept = false; ///< the last send said that more follows, and found room
int last_fd = -1;
int refused = 0;      ///< this send finds no room; 1: the next one, 0: none does
int left_behind = -1; ///< bytes unsent when the one after that is made

int unsent(int fd) {
    int count = -1;
    return ::ioctl(fd, SIOCOUTQNSD, &count) == 0 ? count : -1;
}

} // namespace

// Takes the place of the C library's in this whole program.
extern "C" ssize_t send(int fd, const void* from, std::size_t size, int flags) {
    if (refused > 0 && --refused == 0) {
        kept = false;
        errno = EAGAIN;
        return -1;
    }
    left_behind = unsent(fd);
    last_fd = fd;
    all_sent.push_back({size, (flags & MSG_MORE) != 0});
    const auto result = ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
    kept = (flags & MSG_MORE) != 0 && result == static_cast<ssize_t>(size);
    return result;
}

namespace ringtls {
namespace {

using test::bytes;
using test::loopback;

constexpr std::size_t record = 16384;

task<> write_all(stream& to, const bytes& all) {
    const auto count = co_await to.write(all);
    CHECK(count == all.size());
}

/// In pieces that share records.
task<> write_pieces(stream& to, const bytes& all, std::size_t size) {
    std::vector<std::span<const std::byte>> pieces;
    for (std::size_t at = 0; at < all.size(); at += size)
        pieces.emplace_back(std::span(all).subspan(at, std::min(size, all.size() - at)));
    const auto count = co_await to.write(pieces);
    CHECK(count == all.size());
}

task<> read_all(stream& from, const bytes& all) {
    bytes got(all.size());
    co_await from.read_exactly(got);
    CHECK(got == all);
}

/// Past the handshake and its tickets, with nothing on its way.
struct quiet : loopback {
    quiet() : loopback({"", true, tls_version::tls_1_3}) {
        const auto hello = test::random_bytes(1);
        test::run_all(loop, write_all(client, hello), read_all(server, hello));
        test::run_all(loop, write_all(server, hello), read_all(client, hello));
        all_sent.clear();
    }
};

std::vector<bool> which_more() {
    std::vector<bool> more;
    for (const auto& each : all_sent)
        more.push_back(each.more);
    return more;
}

std::uint32_t segments_sent() {
    tcp_info info{};
    socklen_t size = sizeof info;
    test::check_system(::getsockopt(last_fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    return info.tcpi_segs_out;
}

} // namespace

TEST_CASE("each record of a write but the last says that more follows") {
    for (const bool pieces : {false, true}) {
        CAPTURE(pieces);
        quiet link;
        for (const std::size_t records : {1, 2, 3, 4}) {
            CAPTURE(records);
            for (const std::size_t size : {(records - 1) * record + 1, records * record}) {
                all_sent.clear();
                const auto data = test::random_bytes(size);
                auto writing =
                    pieces ? write_pieces(link.client, data, 1000) : write_all(link.client, data);
                test::run_all(link.loop, std::move(writing), read_all(link.server, data));
                std::vector<bool> expected(records, true);
                expected.back() = false;
                CHECK(which_more() == expected);
            }
        }
    }
}

TEST_CASE("the records of a write share segments") {
    quiet link;
    const auto data = test::random_bytes(4 * record);
    const auto before = segments_sent();
    link.loop.run(write_all(link.client, data));
    CHECK(all_sent.size() == 4);
    CHECK(segments_sent() - before < 4);
    link.loop.run(read_all(link.server, data));
}

TEST_CASE("a write that waits for its next turn leaves nothing behind") {
    quiet link;
    const auto data = test::random_bytes(100 * record);
    link.loop.spawn(write_all(link.client, data));
    link.loop.spawn(read_all(link.server, data));
    link.loop.run([](event_loop& on) -> task<> {
        for (int turns = 0; turns < 1000; ++turns) {
            CHECK(!kept);
            co_await on.yield();
        }
    }(link.loop));
    link.loop.run();
    CHECK(all_sent.size() >= 100);
}

TEST_CASE("a socket without room for the rest sends what it kept for it") {
    quiet link;
    const auto data = test::random_bytes(2 * record);
    refused = 2;
    test::run_all(link.loop, write_all(link.client, data), read_all(link.server, data));
    CHECK(all_sent.size() == 2);
    CHECK(left_behind == 0);
}

} // namespace ringtls
