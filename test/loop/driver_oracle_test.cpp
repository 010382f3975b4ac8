// SPDX-License-Identifier: MIT
// Random polls of real files, whose numbers are closed, used again and open twice, against poll(2):
// what that says of a descriptor, and nothing else, has to come of each. A failure prints its seed.
#include "../descriptors.hpp"
#include "../support/driver_bench.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using ringtls::detail::driver;
using ringtls::test::bench;
using ringtls::test::descriptor;
using ringtls::test::entry;
using ringtls::test::socket_ends;

constexpr short errors = POLLERR | POLLHUP;

std::unique_ptr<driver> make() {
    std::string reason;
    return ringtls::detail::make_driver("", reason);
}

/// A descriptor, and what makes it ready.
struct file {
    descriptor end;
    descriptor peer; ///< none: a regular file, or the peer is closed
};

class model {
  public:
    explicit model(unsigned seed) : engine_(seed) {
        for (auto& each : files_)
            each = open_any();
        test_.sink.then = [this](entry& which) { completed(which); };
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            note_ready();
            if (roll(3) == 0)
                look();
        }
    }
    [[nodiscard]] std::size_t completions() const { return test_.sink.order.size(); }

  private:
    struct poll {
        entry self;
        int fd = -1;
        short events = 0;
        driver::token token = 0;
        bool armed = false;
        short was_ready = 0; ///< with these, at some time since it was armed
    };

    std::size_t roll(std::size_t below) { return engine_() % below; }
    file& any_file() { return files_[roll(files_.size())]; }

    file open_any() {
        if (roll(6) == 0)
            return {descriptor(::memfd_create("file", MFD_CLOEXEC)), {}};
        auto ends = socket_ends::unix_pair();
        return {std::move(ends.a), std::move(ends.b)};
    }

    void step() {
        auto& one = any_file();
        switch (roll(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return arm(one);
        case 4:
        case 5:
            return cancel_one();
        case 6:
            if (one.peer.fd() >= 0)
                static_cast<void>(::send(one.peer.fd(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
            return;
        case 7:
            if (one.peer.fd() >= 0)
                ringtls::test::drain(one.end);
            return;
        case 8:
            if (one.peer.fd() >= 0 && ringtls::test::fill(one.end) == 0)
                ringtls::test::drain(one.peer);
            return;
        case 9:
            if (one.peer.fd() >= 0)
                ::shutdown(one.peer.fd(), SHUT_WR);
            return;
        case 10:
            return one.peer.close();
        default:
            return replace(one);
        }
    }

    void arm(const file& one) {
        constexpr std::array<short, 4> wishes = {POLLIN, POLLOUT, POLLIN | POLLOUT, 0};
        auto& made = polls_.emplace_back();
        made.fd = one.end.fd();
        made.events = wishes[roll(wishes.size())];
        made.armed = true;
        made.token = test_.on->arm(made.fd, made.events, made.self);
        by_entry_.emplace(&made.self, &made);
    }

    void cancel_one() {
        if (!polls_.empty())
            cancel(polls_[polls_.size() - 1 - roll(std::min<std::size_t>(20, polls_.size()))]);
    }
    void cancel(poll& which) {
        test_.on->cancel(which.token);
        which.armed = false;
    }

    /// The number is another file's, now; the old one may stay open elsewhere.
    void replace(file& one) {
        const int number = one.end.fd();
        for (auto& each : polls_)
            if (each.armed && each.fd == number)
                cancel(each);
        if (roll(2) == 0) {
            elsewhere_.push_back({descriptor(::dup(number)), std::move(one.peer)});
            if (elsewhere_.size() > 8)
                elsewhere_.pop_front();
        }
        if (roll(4) == 0 && !elsewhere_.empty() && roll(2) == 0) { // back under its number
            REQUIRE(::dup2(elsewhere_.back().end.fd(), number) == number);
            one.peer = std::move(elsewhere_.back().peer);
            elsewhere_.pop_back();
            return;
        }
        auto next = open_any();
        REQUIRE(::dup2(next.end.fd(), number) == number);
        one.peer = std::move(next.peer);
        if (roll(3) == 0 && !elsewhere_.empty() && elsewhere_.back().peer.fd() >= 0)
            static_cast<void>(
                ::send(elsewhere_.back().peer.fd(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    }

    static bool is_regular(int fd) {
        struct stat status{};
        REQUIRE(::fstat(fd, &status) == 0);
        return S_ISREG(status.st_mode);
    }
    static short ready(const poll& which) {
        pollfd look = {which.fd, which.events, 0};
        REQUIRE(::poll(&look, 1, 0) >= 0);
        // A wait for the hang-up of a file that is always ready, and has none, is refused.
        if (which.events == 0 && is_regular(which.fd))
            return POLLERR;
        return static_cast<short>(look.revents & (which.events | errors));
    }
    void note_ready() {
        for (auto& each : polls_)
            if (each.armed)
                each.was_ready = static_cast<short>(each.was_ready | ready(each));
    }

    void look() {
        std::vector<poll*> due;
        for (auto& each : polls_)
            if (each.armed && ready(each) != 0)
                due.push_back(&each);
        for (int i = 0; i < 4; ++i)
            test_.look();
        for (const poll* each : due) {
            CAPTURE(each->fd);
            CAPTURE(each->events);
            CHECK(!each->armed);
        }
        while (!polls_.empty() && !polls_.front().armed && polls_.size() > 40) {
            by_entry_.erase(&polls_.front().self);
            polls_.pop_front();
        }
    }

    void completed(entry& which) {
        auto& poll = *by_entry_.at(&which);
        REQUIRE(poll.armed); // not twice, and not after its cancel
        poll.armed = false;
        const auto possible = poll.was_ready | ready(poll);
        CAPTURE(poll.fd);
        CAPTURE(poll.events);
        CAPTURE(which.last);
        CAPTURE(possible);
        CHECK((which.last & possible) != 0);
        CHECK((which.last & ~possible & (POLLIN | POLLOUT | errors)) == 0);
        if (roll(4) == 0)
            arm(any_file());
        if (roll(4) == 0)
            cancel_one();
    }

    std::mt19937 engine_;
    bench test_{make()};
    std::array<file, 6> files_;
    std::deque<file> elsewhere_;
    std::deque<poll> polls_;
    std::map<entry*, poll*> by_entry_;
};

} // namespace

TEST_CASE("Whatever becomes of numbers and files, polls complete as poll(2) says, each once") {
    std::size_t completions = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        model one(seed);
        one.run(300);
        completions += one.completions();
    }
    MESSAGE("completions: " << completions);
    CHECK(completions > 10'000);
}
