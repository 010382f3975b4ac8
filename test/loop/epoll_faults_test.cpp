// SPDX-License-Identifier: MIT
// The epoll driver against a kernel that refuses, and what it asks of one that does not.
#include "../descriptors.hpp"
#include "../support/driver_bench.hpp"
#include "../support/interposed_epoll.hpp"
#include "../support/interposed_io_uring.hpp"

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::errc;
using ringtls::error;
using ringtls::event_loop;
using ringtls::event_loop_options;
using ringtls::poll_events;
using ringtls::task;
using ringtls::test::descriptor;
using ringtls::test::entry;
using ringtls::test::make_eventfd;
using ringtls::test::pipe_ends;
using ringtls::test::socket_ends;

struct bench : ringtls::test::bench {
    bench() : ringtls::test::bench(ringtls::detail::make_epoll_driver()) {}
};

/// The real kernel, which it watches, but for what it is made to refuse with an errno.
class watched_epoll final : public ringtls::test::interposed_epoll {
  public:
    std::vector<int> controls;                         ///< EPOLL_CTL_ of each epoll_ctl(2)
    std::vector<int> milliseconds;                     ///< of the waits that have them
    std::vector<std::chrono::nanoseconds> nanoseconds; ///< of those that have a time
    int create_refusal = 0;
    int control_refusal = 0;
    std::deque<int> wait_refusals;
    int nanoseconds_refusal = 0;
    bool waits = true; ///< or says at once that the time is over

    int create(int flags) override {
        return create_refusal != 0 ? refuse(create_refusal) : epoll_calls::create(flags);
    }
    int control(int epoll, int what, int fd, epoll_event* event) override {
        controls.push_back(what);
        return control_refusal != 0 ? refuse(control_refusal)
                                    : epoll_calls::control(epoll, what, fd, event);
    }
    int wait(int epoll, epoll_event* events, int most, int time) override {
        milliseconds.push_back(time);
        if (const int refusal = next_refusal())
            return refuse(refusal);
        return waits ? epoll_calls::wait(epoll, events, most, time) : 0;
    }
    int wait(int epoll, epoll_event* events, int most, const timespec& time) override {
        nanoseconds.push_back(std::chrono::seconds(time.tv_sec) +
                              std::chrono::nanoseconds(time.tv_nsec));
        if (nanoseconds_refusal != 0)
            return refuse(nanoseconds_refusal);
        if (const int refusal = next_refusal())
            return refuse(refusal);
        return waits ? epoll_calls::wait(epoll, events, most, time) : 0;
    }

  private:
    int next_refusal() {
        if (wait_refusals.empty())
            return 0;
        const int refusal = wait_refusals.front();
        wait_refusals.pop_front();
        return refusal;
    }
};

class refused_eventfd final : public ringtls::test::interposed_io_uring {
  public:
    int make_eventfd(unsigned /*count*/, int /*flags*/) override {
        errno = EMFILE;
        return -1;
    }
};

class refused_io_uring final : public ringtls::test::interposed_io_uring {
  public:
    int setup(unsigned /*entries*/, io_uring& /*ring*/, io_uring_params& /*how*/) override {
        return -EPERM;
    }
};

template<class Call>
error refusal_of(Call call) {
    try {
        call();
    } catch (const error& thrown) {
        return thrown;
    }
    FAIL("did not throw");
    return error({}, "");
}

std::error_code code_of(int code) {
    return {code, std::system_category()};
}

} // namespace

TEST_CASE("An epoll instance that cannot be had is an error, and leaves nothing open") {
    const descriptor before(::dup(0));
    {
        watched_epoll kernel;
        kernel.create_refusal = EMFILE;
        const auto refused = refusal_of(ringtls::detail::make_epoll_driver);
        CHECK(refused.code() == code_of(EMFILE));
        CHECK(refused.operation() == "epoll");
        CHECK(refused.subject() == "epoll_create1");
    }
    {
        watched_epoll kernel;
        kernel.control_refusal = ENOMEM;
        CHECK(refusal_of(ringtls::detail::make_epoll_driver).code() == code_of(ENOMEM));
    }
    {
        const refused_eventfd kernel;
        const auto refused = refusal_of(ringtls::detail::make_epoll_driver);
        CHECK(refused.code() == code_of(EMFILE));
        CHECK(refused.operation() == "epoll");
        CHECK(refused.subject() == "eventfd");
    }
    const descriptor after(::dup(0));
    CHECK(after.fd() == before.fd() + 1);
}

TEST_CASE("Where neither io_uring nor epoll is to be had, the error tells of both") {
    const refused_io_uring no_ring;
    watched_epoll kernel;
    kernel.create_refusal = ENOSYS;
    const auto refused = refusal_of([] { const event_loop none; });
    CHECK(refused.code() == errc::no_driver);
    for (const std::string_view part :
         {"io_uring_setup", "Operation not permitted", "epoll_create1", "Function not implemented"})
        CHECK(std::string_view(refused.what()).find(part) != std::string_view::npos);
}

TEST_CASE("A descriptor that the kernel has no room for completes with that, others do not") {
    for (const int refusal : {ENOMEM, ENOSPC}) {
        CAPTURE(refusal);
        watched_epoll kernel;
        bench test;
        pipe_ends first;
        pipe_ends second;
        entry waiting;
        entry refused;
        test.on->arm(first.reader.fd(), POLLIN, waiting);
        test.look();
        kernel.control_refusal = refusal;
        test.on->arm(second.reader.fd(), POLLIN, refused);
        test.wait();
        CHECK(refused.completions == 1);
        CHECK(refused.last == ringtls::detail::no_room);
        CHECK(waiting.completions == 0);
        kernel.control_refusal = 0;
        test.on->arm(second.reader.fd(), POLLIN, refused);
        second.writer.put("x");
        first.writer.put("x");
        test.look_for(3);
        CHECK(refused.last == POLLIN);
        CHECK(waiting.completions == 1);
    }
}

TEST_CASE("An operation that the kernel has no room for fails, and the next one does not") {
    watched_epoll kernel;
    event_loop loop(event_loop_options().driver("epoll"));
    const auto ready = make_eventfd(1);
    loop.run([](event_loop& on, watched_epoll& refusing, int fd) -> task<> {
        refusing.control_refusal = ENOSPC;
        const auto refused = co_await ringtls::as_result(on.poll(fd, poll_events::readable));
        REQUIRE(!refused);
        CHECK(refused.error().code() == std::errc::not_enough_memory);
        CHECK(refused.error().operation() == "poll");
        refusing.control_refusal = 0;
        const auto answer = co_await on.poll(fd, poll_events::readable);
        CHECK(answer == poll_events::readable);
    }(loop, kernel, ready.fd()));
}

TEST_CASE("Any other refusal of a descriptor is an error for the retried call to find") {
    for (const int refusal : {EBADF, EINVAL, ELOOP, ENOENT}) {
        CAPTURE(refusal);
        watched_epoll kernel;
        bench test;
        entry waiting;
        kernel.control_refusal = refusal;
        test.on->arm(0, POLLIN, waiting);
        test.wait();
        CHECK(waiting.completions == 1);
        CHECK(waiting.last == POLLERR);
    }
}

TEST_CASE("A wait that a signal interrupts completes nothing, and the next one goes on") {
    for (const std::optional<std::chrono::nanoseconds> time :
         {std::optional<std::chrono::nanoseconds>(), std::optional(0ns), std::optional(1h + 0ns)}) {
        watched_epoll kernel;
        bench test;
        const auto ready = make_eventfd(1);
        entry waiting;
        test.on->arm(ready.fd(), POLLIN, waiting);
        kernel.wait_refusals = {EINTR};
        test.on->wait(time, &test.sink);
        CHECK(waiting.completions == 0);
        test.on->wait(time, &test.sink);
        CHECK(waiting.completions == 1);
    }
}

TEST_CASE("A wait that the kernel refuses is an error, and loses nothing") {
    watched_epoll kernel;
    bench test;
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->arm(ready.fd(), POLLIN, waiting);
    kernel.wait_refusals = {EBADF};
    const auto refused = refusal_of([&] { test.wait(); });
    CHECK(refused.code() == code_of(EBADF));
    CHECK(refused.operation() == "epoll");
    CHECK(refused.subject() == "epoll_wait");
    test.wait();
    CHECK(waiting.completions == 1);
}

TEST_CASE("The time-out of a wait reaches the kernel as it is, and none is set only to look") {
    watched_epoll kernel;
    kernel.waits = false;
    bench test;
    for (const auto time : {0ns, 1ns, 999'999'999ns, 1'000'000'000ns, std::chrono::nanoseconds(5h)})
        test.on->wait(time, &test.sink);
    test.wait();
    CHECK(kernel.nanoseconds ==
          std::vector<std::chrono::nanoseconds>{1ns, 999'999'999ns, 1'000'000'000ns, 5h});
    CHECK(kernel.milliseconds == std::vector{0, -1});
}

TEST_CASE("A kernel that counts in milliseconds alone waits no shorter, and is not asked twice") {
    for (const int refusal : {ENOSYS, EPERM}) {
        CAPTURE(refusal);
        watched_epoll kernel;
        kernel.waits = false;
        kernel.nanoseconds_refusal = refusal;
        bench test;
        for (const std::chrono::nanoseconds time :
             {1ns, 1'000'000ns, 1'000'001ns, std::chrono::nanoseconds(1s),
              std::chrono::nanoseconds(24h * 365)})
            test.on->wait(time, &test.sink);
        CHECK(kernel.nanoseconds.size() == 1);
        CHECK(kernel.milliseconds == std::vector{1, 1, 2, 1000, std::numeric_limits<int>::max()});
        CHECK(test.counters().enters == 6);
    }
}

TEST_CASE("A poll that is cancelled in the turn that armed it makes no call") {
    watched_epoll kernel;
    bench test;
    kernel.controls.clear();
    const auto ready = make_eventfd(1);
    entry waiting;
    test.on->cancel(test.on->arm(ready.fd(), POLLIN, waiting));
    test.look();
    test.submit();
    CHECK(kernel.controls.empty());
}

TEST_CASE("A wait is one registration, also where several polls of a descriptor begin it") {
    watched_epoll kernel;
    bench test;
    kernel.controls.clear();
    const auto ends = socket_ends::unix_pair();
    entry reading;
    entry writing;
    test.on->arm(ends.a.fd(), POLLIN, reading);
    test.on->arm(ends.a.fd(), POLLOUT, writing);
    test.look_for(1);
    CHECK(kernel.controls == std::vector{EPOLL_CTL_ADD});
    ends.b.put("x");
    test.look_for(2); // the read's was used up by the write's end
    CHECK(kernel.controls == std::vector{EPOLL_CTL_ADD, EPOLL_CTL_MOD});
    test.on->arm(ends.a.fd(), POLLIN, reading);
    test.look_for(3);
    CHECK(kernel.controls == std::vector{EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_MOD});
}

TEST_CASE("A poll that another's registration covers makes no call") {
    watched_epoll kernel;
    bench test;
    const auto ends = socket_ends::unix_pair();
    entry first;
    entry second;
    test.on->arm(ends.a.fd(), POLLIN, first);
    test.look();
    kernel.controls.clear();
    const auto poll = test.on->arm(ends.a.fd(), POLLIN, second);
    test.look();
    test.on->cancel(poll);
    test.look();
    test.on->arm(ends.a.fd(), 0, second);
    test.look();
    CHECK(kernel.controls.empty());
}

TEST_CASE("A number that is another file's by now is registered anew") {
    watched_epoll kernel;
    bench test;
    const pipe_ends first;
    const pipe_ends second;
    entry waiting;
    test.on->cancel([&] {
        const auto poll = test.on->arm(first.reader.fd(), POLLIN, waiting);
        test.look();
        return poll;
    }());
    kernel.controls.clear();
    REQUIRE(::dup2(second.reader.fd(), first.reader.fd()) == first.reader.fd());
    test.on->arm(first.reader.fd(), POLLIN, waiting);
    second.writer.put("x");
    test.look_for(1);
    CHECK(kernel.controls == std::vector{EPOLL_CTL_MOD, EPOLL_CTL_ADD});
    CHECK(waiting.completions == 1);
}

TEST_CASE("A regular file is ready at once, each time, and a wait for its hang-up fails") {
    watched_epoll kernel;
    bench test;
    const descriptor file(::memfd_create("ready", MFD_CLOEXEC));
    REQUIRE(file.fd() >= 0);
    entry waiting;
    for (const short events : {short(POLLIN), short(POLLOUT), short(POLLIN | POLLOUT)}) {
        test.on->arm(file.fd(), events, waiting);
        test.wait();
        CHECK(waiting.last == events);
    }
    test.on->arm(file.fd(), 0, waiting);
    test.wait();
    CHECK(waiting.last == POLLERR);
    CHECK(waiting.completions == 4);
}

TEST_CASE("More descriptors than one turn takes are told of in the turns after, in order") {
    bench test;
    std::vector<descriptor> ready;
    std::deque<entry> waiting(2500);
    for (auto& each : waiting) {
        ready.push_back(descriptor(::eventfd(1, EFD_CLOEXEC)));
        if (ready.back().fd() < 0) {
            MESSAGE("as many descriptors as there are: " << ready.size() - 1);
            ready.pop_back();
            break;
        }
        test.on->arm(ready.back().fd(), POLLIN, each);
    }
    test.look();
    CHECK(test.sink.order.size() <= 1024);
    test.look_for(ready.size());
    REQUIRE(test.sink.order.size() == ready.size());
    for (std::size_t i = 0; i < ready.size(); ++i)
        REQUIRE(test.sink.order[i] == &waiting[i]);
}
