// SPDX-License-Identifier: MIT
#include <ringtls/loop/event_loop.hpp>

#include "../descriptors.hpp"
#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::as_result;
using ringtls::errc;
using ringtls::error;
using ringtls::event_loop;
using ringtls::event_loop_options;
using ringtls::manual_clock;
using ringtls::poll_events;
using ringtls::task;
using ringtls::test::descriptor;
using ringtls::test::gate;
using ringtls::test::make_eventfd;
using ringtls::test::pipe_ends;
using ringtls::test::socket_ends;
using ringtls::test::started;

std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const error& failure) {
        return failure.code();
    }
    return {};
}

task<> fail(std::string why) {
    throw std::runtime_error(why);
    co_return;
}

struct leaver {
    int* left;
    ~leaver() { ++*left; }
};

} // namespace

TEST_CASE("run() of a loop with nothing to do returns") {
    event_loop loop;
    loop.run();
    CHECK(loop.counters().turns == 0);
}

TEST_CASE("run(task) returns the task's value") {
    event_loop loop;
    CHECK(loop.run([]() -> task<int> { co_return 5; }()) == 5);
    const auto text = loop.run([&]() -> task<std::unique_ptr<std::string>> {
        co_await loop.yield();
        co_return std::make_unique<std::string>("later");
    }());
    CHECK(*text == "later");
}

TEST_CASE("run(task) throws what the task threw") {
    event_loop loop;
    CHECK_THROWS_WITH_AS(loop.run(fail("early")), "early", std::runtime_error);
    const auto late = [&]() -> task<int> {
        co_await loop.yield();
        throw std::runtime_error("late");
    };
    CHECK_THROWS_WITH_AS(static_cast<void>(loop.run(late())), "late", std::runtime_error);
}

TEST_CASE("run(task) leaves other tasks suspended for the next run()") {
    event_loop loop;
    int steps = 0;
    const auto other = [&]() -> task<> {
        for (; steps < 100; ++steps)
            co_await loop.yield();
    };
    loop.spawn(other());
    loop.run([&]() -> task<> { co_await loop.yield(); }());
    CHECK(steps < 100);
    loop.run();
    CHECK(steps == 100);
}

TEST_CASE("A spawned task starts in the loop's next turn, not in spawn()") {
    event_loop loop;
    bool ran = false;
    const auto work = [&]() -> task<> {
        ran = true;
        co_return;
    };
    loop.spawn(work());
    CHECK_FALSE(ran);
    loop.run();
    CHECK(ran);
}

TEST_CASE("Spawned tasks start in the order of spawning, those of a running task too") {
    event_loop loop;
    std::vector<int> order;
    const auto leaf = [&](int number) -> task<> {
        order.push_back(number);
        co_return;
    };
    const auto root = [&]() -> task<> {
        order.push_back(1);
        loop.spawn(leaf(3));
        co_return;
    };
    loop.spawn(root());
    loop.spawn(leaf(2));
    loop.run();
    CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("A spawned task is destroyed as soon as it has ended") {
    event_loop loop;
    int left = 0;
    const auto guest = [](leaver) -> task<> { co_return; };
    loop.spawn(guest(leaver{&left}));
    left = 0; // the temporary's own
    loop.run([&]() -> task<> {
        co_await loop.yield();
        CHECK(left == 1);
    }());
}

TEST_CASE("run() returns when the last operation of a foreign coroutine has ended") {
    event_loop loop;
    const auto run = [&]() -> started {
        co_await loop.yield();
        co_await loop.yield();
    };
    const auto whole = run();
    loop.run();
    CHECK(whole.ended());
}

TEST_CASE("stop() before run() has it return at once, and only that one") {
    event_loop loop;
    bool ran = false;
    const auto work = [&]() -> task<> {
        ran = true;
        co_return;
    };
    loop.spawn(work());
    loop.stop();
    loop.run();
    CHECK_FALSE(ran);
    loop.run();
    CHECK(ran);
}

TEST_CASE("stop() has run() return after the turn that is under way") {
    event_loop loop;
    int steps = 0;
    const auto endless = [&]() -> task<> {
        for (;;) {
            ++steps;
            co_await loop.yield();
        }
    };
    const auto stopper = [&]() -> task<> {
        loop.stop();
        co_return;
    };
    loop.spawn(stopper());
    loop.spawn(endless());
    loop.run();
    CHECK(steps == 1);
    loop.spawn(stopper());
    loop.run();
    CHECK(steps >= 2);
    CHECK(steps <= 3);
}

TEST_CASE("stop() destroys the task that run(task) waits for, and throws canceled") {
    event_loop loop;
    int left = 0;
    const auto endless = [&]() -> task<> {
        const leaver here{&left};
        loop.stop();
        for (;;)
            co_await loop.yield();
    };
    CHECK(code_of([&] { loop.run(endless()); }) == errc::canceled);
    CHECK(left == 1);
    loop.run();
}

TEST_CASE("stop() by a task that then ends does not reach into the next run") {
    event_loop loop;
    const auto last = [&]() -> task<int> {
        loop.stop();
        co_return 1;
    };
    CHECK(loop.run(last()) == 1);
    CHECK(code_of([&] { loop.run([&]() -> task<> { co_await loop.yield(); }()); }) ==
          std::error_code());
}

TEST_CASE("stop() from another thread ends a run that waits") {
    event_loop loop;
    pipe_ends pipe;
    const auto waiter = [&]() -> task<> {
        co_await loop.poll(pipe.reader.fd(), poll_events::readable);
    };
    loop.spawn(waiter());
    std::jthread other;
    loop.post([&] { other = std::jthread([&] { loop.stop(); }); });
    loop.run();
    pipe.writer.put("x");
    loop.run();
}

TEST_CASE("A loop may be destroyed as soon as a stop from another thread has ended its run") {
    for (int round = 0; round < 100; ++round) {
        std::promise<event_loop*> made;
        std::thread owner([&made] {
            event_loop loop;
            const auto awake = [](event_loop& on) -> task<> {
                for (;;)
                    co_await on.yield();
            };
            loop.spawn(awake(loop));
            made.set_value(&loop);
            loop.run();
        });
        made.get_future().get()->stop();
        owner.join();
    }
}

TEST_CASE("run() inside run() fails with busy") {
    event_loop loop;
    std::error_code code;
    loop.run([&]() -> task<> {
        code = code_of([&] { loop.run(); });
        co_return;
    }());
    CHECK(code == errc::busy);
}

TEST_CASE("A loop that one thread has run refuses another with wrong_thread") {
    event_loop loop;
    loop.run();
    std::error_code of_run;
    std::error_code of_run_task;
    std::thread([&] {
        of_run = code_of([&] { loop.run(); });
        of_run_task = code_of([&] { loop.run([]() -> task<> { co_return; }()); });
    }).join();
    CHECK(of_run == errc::wrong_thread);
    CHECK(of_run_task == errc::wrong_thread);
    loop.run();
}

TEST_CASE("A loop is made on one thread and run on another") {
    event_loop loop;
    const auto ready = make_eventfd(1);
    auto answer = poll_events::none;
    const auto work = [&]() -> task<> {
        answer = co_await loop.poll(ready.fd(), poll_events::readable);
    };
    loop.spawn(work());
    std::thread([&] { loop.run(); }).join();
    CHECK(answer == poll_events::readable);
}

TEST_CASE("A loop may be made by a thread that is gone, whose id the next one has") {
    std::optional<event_loop> loop;
    std::thread::id maker;
    std::thread([&] {
        loop.emplace();
        maker = std::this_thread::get_id();
    }).join();
    const auto ready = make_eventfd(1);
    auto answer = poll_events::none;
    const auto work = [&]() -> task<> {
        answer = co_await loop->poll(ready.fd(), poll_events::readable);
    };
    loop->spawn(work());
    std::thread::id runner;
    std::thread([&] {
        runner = std::this_thread::get_id();
        CHECK_NOTHROW(loop->run());
    }).join();
    WARN(runner == maker); // as glibc has it
    CHECK(answer == poll_events::readable);
}

TEST_CASE("A thread that has the id of the one that ran a loop is refused all the same") {
    event_loop loop;
    std::thread::id first;
    std::thread([&] {
        first = std::this_thread::get_id();
        loop.run();
    }).join();
    std::thread([&] {
        WARN(std::this_thread::get_id() == first);
        CHECK(code_of([&] { loop.run(); }) == errc::wrong_thread);
    }).join();
}

TEST_CASE("What a spawned task throws reaches the handler, and the loop goes on") {
    event_loop loop;
    std::vector<std::string> texts;
    loop.on_unhandled([&](const std::exception_ptr& failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& thrown) {
            texts.emplace_back(thrown.what());
        }
    });
    bool ran = false;
    const auto work = [&]() -> task<> {
        co_await loop.yield();
        ran = true;
    };
    loop.spawn(fail("one"));
    loop.spawn(work());
    loop.spawn(fail("two"));
    loop.run();
    CHECK(texts == std::vector<std::string>{"one", "two"});
    CHECK(ran);
}

TEST_CASE("What the handler throws leaves run(), which can be called again") {
    event_loop loop;
    loop.on_unhandled([](const std::exception_ptr& failure) { std::rethrow_exception(failure); });
    bool ran = false;
    const auto work = [&]() -> task<> {
        co_await loop.yield();
        ran = true;
    };
    loop.spawn(work());
    loop.spawn(fail("out"));
    CHECK_THROWS_WITH_AS(loop.run(), "out", std::runtime_error);
    loop.run();
    CHECK(ran);
}

TEST_CASE("When the handler throws out of run(task), the task is destroyed with it") {
    event_loop loop;
    loop.on_unhandled([](const std::exception_ptr& failure) { std::rethrow_exception(failure); });
    int left = 0;
    const auto main = [&]() -> task<int> {
        const leaver here{&left};
        for (int i = 0; i < 3; ++i)
            co_await loop.yield();
        co_return 1;
    };
    const auto failing = [&]() -> task<> {
        co_await loop.yield();
        throw std::runtime_error("out");
    };
    loop.spawn(failing());
    CHECK_THROWS_WITH_AS(static_cast<void>(loop.run(main())), "out", std::runtime_error);
    CHECK(left == 1);
    loop.run();
}

TEST_CASE("What waits behind an exception out of run() is not lost") {
    event_loop loop;
    loop.on_unhandled([](const std::exception_ptr& thrown) { std::rethrow_exception(thrown); });
    std::stop_source stop;
    const auto stopped = [&]() -> task<> { co_await loop.sleep(1h).cancel_on(stop.get_token()); };
    const auto stopper = [&]() -> task<> {
        co_await loop.yield();
        stop.request_stop();
    };
    loop.spawn(stopped());
    loop.spawn(stopped());
    loop.spawn(stopper());
    CHECK_THROWS_AS(loop.run(), error);
    CHECK_THROWS_AS(loop.run(), error);
    loop.run();
}

TEST_CASE("A task that a posted call resumes, and that throws, is reported by that run") {
    event_loop loop;
    int reported = 0;
    loop.on_unhandled([&](const std::exception_ptr&) { ++reported; });
    gate entrance;
    const auto work = [&]() -> task<> {
        co_await entrance.passed();
        throw std::runtime_error("late");
    };
    loop.spawn(work());
    loop.run([](event_loop& on, gate& opened) -> task<> {
        co_await on.yield();
        on.post([&opened] { opened.open(); });
    }(loop, entrance));
    CHECK(reported == 1);
}

TEST_CASE("A sleep for longer than the clock can tell does not end") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    bool ended = false;
    const auto sleep = [&]() -> started {
        co_await loop.sleep(std::chrono::hours::max());
        ended = true;
    };
    {
        const auto sleeping = sleep();
        clock.advance(24h * 365);
        loop.run([](event_loop& on) -> task<> {
            co_await on.yield();
            co_await on.yield();
        }(loop));
    }
    CHECK_FALSE(ended);
}

TEST_CASE("Each of two tasks that throw in one turn is reported") {
    event_loop loop;
    loop.on_unhandled([](const std::exception_ptr& thrown) { std::rethrow_exception(thrown); });
    gate both;
    const auto first = [&]() -> task<> {
        co_await both.passed();
        throw std::runtime_error("one");
    };
    const auto second = [&]() -> task<> {
        co_await loop.yield();
        both.open();
        throw std::runtime_error("two");
    };
    loop.spawn(first());
    loop.spawn(second());
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
    loop.run();
}

TEST_CASE("A handler may replace itself") {
    event_loop loop;
    int calls = 0;
    loop.on_unhandled([&loop, &calls, name = std::string(100, 'x')](const std::exception_ptr&) {
        loop.on_unhandled([](const std::exception_ptr&) {});
        calls += static_cast<int>(name.size());
    });
    const auto thrower = []() -> task<> {
        throw std::runtime_error("first");
        co_return;
    };
    loop.spawn(thrower());
    loop.run();
    CHECK(calls == 100);
}

TEST_CASE("Without a handler, what a spawned task throws is printed and ends the program") {
    pipe_ends output;
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);
        ::dup2(output.writer.fd(), STDERR_FILENO);
        event_loop loop;
        loop.spawn(fail("the end"));
        loop.run();
        ::_exit(0);
    }
    output.writer.close();
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
    CHECK(output.reader.take().find("the end") != std::string::npos);
}

TEST_CASE("Calls that another thread posts are made on the loop's thread, in their order") {
    event_loop loop;
    std::vector<int> order;
    bool elsewhere = false;
    const auto here = std::this_thread::get_id();
    pipe_ends pipe;
    std::jthread other;
    const auto starter = [&]() -> task<> {
        other = std::jthread([&] {
            for (int i = 0; i < 1000; ++i)
                loop.post([&, i] {
                    order.push_back(i);
                    elsewhere = elsewhere || std::this_thread::get_id() != here;
                });
            loop.post([&] { pipe.writer.put("x"); });
        });
        co_await loop.poll(pipe.reader.fd(), poll_events::readable);
    };
    loop.run(starter());
    CHECK_FALSE(elsewhere);
    REQUIRE(order.size() == 1000);
    for (int i = 0; i < 1000; ++i)
        REQUIRE(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("Calls posted by several threads at once are all made, each thread's in order") {
    event_loop loop;
    constexpr int threads = 4;
    constexpr int calls = 500;
    std::vector<int> next(threads, 0);
    int made = 0;
    bool in_order = true;
    const auto all = make_eventfd();
    std::vector<std::jthread> others;
    loop.run([&]() -> task<> {
        for (std::size_t thread = 0; thread < threads; ++thread)
            others.emplace_back([&, thread] {
                for (int i = 0; i < calls; ++i)
                    loop.post([&, thread, i] {
                        in_order = in_order && next[thread]++ == i;
                        if (++made == threads * calls)
                            all.put(std::string("\1\0\0\0\0\0\0\0", 8));
                    });
            });
        co_await loop.poll(all.fd(), poll_events::readable);
    }());
    CHECK(in_order);
    CHECK(made == threads * calls);
}

TEST_CASE("run() makes the posted calls before it returns, and none that is posted later") {
    event_loop loop;
    int called = 0;
    loop.post([&] { ++called; });
    loop.run();
    CHECK(called == 1);
    loop.post([&] { ++called; });
    CHECK(called == 1);
    loop.run();
    CHECK(called == 2);
}

TEST_CASE("A posted call may post, spawn and stop") {
    event_loop loop;
    std::vector<int> order;
    const auto spawned = [&]() -> task<> {
        order.push_back(2);
        loop.post([&] {
            order.push_back(3);
            loop.stop();
        });
        for (;;)
            co_await loop.yield();
    };
    loop.post([&] {
        order.push_back(1);
        loop.spawn(spawned());
    });
    const auto keeper = [&]() -> task<> {
        for (int i = 0; i < 3; ++i)
            co_await loop.yield();
    };
    loop.spawn(keeper());
    loop.run();
    CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("What a posted call throws leaves run(); the calls behind it are made by the next") {
    event_loop loop;
    bool called = false;
    loop.post([] { throw std::runtime_error("posted"); });
    loop.post([&] { called = true; });
    const auto work = [&]() -> task<> {
        for (int i = 0; i < 5; ++i)
            co_await loop.yield();
    };
    loop.spawn(work());
    CHECK_THROWS_WITH_AS(loop.run(), "posted", std::runtime_error);
    CHECK_FALSE(called);
    loop.run();
    CHECK(called);
}

TEST_CASE("Coroutines that yield take turns") {
    event_loop loop;
    std::string order;
    const auto work = [&](char name) -> task<> {
        for (int i = 0; i < 4; ++i) {
            order.push_back(name);
            co_await loop.yield();
        }
    };
    loop.spawn(work('a'));
    loop.spawn(work('b'));
    loop.run();
    CHECK(order == "abababab");
}

TEST_CASE("Coroutines that yield without end keep neither descriptors nor timers waiting") {
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    const auto ready = make_eventfd(1);
    int ended = 0;
    const auto endless = [&]() -> task<> {
        while (ended < 2)
            co_await loop.yield();
    };
    const auto poller = [&]() -> task<> {
        co_await loop.poll(ready.fd(), poll_events::readable);
        clock.advance(1h);
        ++ended;
    };
    const auto sleeper = [&]() -> task<> {
        co_await loop.sleep(1h);
        ++ended;
    };
    loop.spawn(endless());
    loop.spawn(endless());
    loop.spawn(poller());
    loop.spawn(sleeper());
    loop.run();
    CHECK(ended == 2);
}

TEST_CASE("Tasks that spawn each other without end keep no descriptor waiting") {
    event_loop loop;
    const auto ready = make_eventfd(1);
    bool over = false;
    std::function<task<>()> again = [&]() -> task<> {
        if (!over)
            loop.spawn(again());
        co_return;
    };
    const auto poller = [&]() -> task<> {
        co_await loop.poll(ready.fd(), poll_events::readable);
        over = true;
    };
    loop.spawn(again());
    loop.spawn(poller());
    loop.run();
    CHECK(over);
}

TEST_CASE("Destroying a loop destroys the tasks that are suspended on it") {
    int left = 0;
    pipe_ends pipe;
    std::stop_source source;
    const manual_clock clock;
    {
        event_loop loop(event_loop_options().clock(clock));
        const auto poller = [&]() -> task<> {
            const leaver here{&left};
            co_await loop.poll(pipe.reader.fd(), poll_events::readable)
                .within(1h)
                .cancel_on(source.get_token());
        };
        const auto sleeper = [&]() -> task<> {
            const leaver here{&left};
            co_await loop.sleep(1h);
        };
        const auto yielder = [&]() -> task<> {
            const leaver here{&left};
            for (;;)
                co_await loop.yield();
        };
        loop.spawn(poller());
        loop.spawn(sleeper());
        loop.spawn(yielder());
        loop.run([&]() -> task<> {
            co_await loop.yield();
            co_await loop.yield();
        }());
        loop.spawn(poller()); // never started
        CHECK(left == 0);
    }
    CHECK(left == 3);
    source.request_stop();
}

TEST_CASE("A task that is destroyed with its loop may touch the loop in its destructors") {
    bool posted = false;
    {
        event_loop loop;
        const auto quiet = []() -> task<> { co_return; };
        const auto finish = [&](int*) {
            loop.post([&] { posted = true; });
            loop.spawn(quiet());
            loop.stop();
        };
        const auto work = [&]() -> task<> {
            int place = 0;
            const std::unique_ptr<int, decltype(finish)> last(&place, finish);
            co_await loop.sleep(1h);
        };
        loop.spawn(work());
        loop.run([&]() -> task<> { co_await loop.yield(); }());
    }
    CHECK_FALSE(posted);
}

TEST_CASE("What a run's last coroutine closes is closed when the run returns") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const auto ready = make_eventfd(1);
    const auto wait = [&]() -> started { co_await loop.poll(ends.a.fd(), poll_events::readable); };
    loop.run([&]() -> task<> {
        auto waiting = wait();
        co_await loop.yield(); // the kernel has that poll, and with it a hold on the socket
        co_await loop.poll(ready.fd(), poll_events::readable);
        waiting.destroy();
        ends.a.close();
    }());
    pollfd end = {ends.b.fd(), POLLIN, 0};
    REQUIRE(::poll(&end, 1, 0) == 1);
    CHECK((end.revents & POLLHUP) != 0);
}

TEST_CASE("What a run without a task closes last is closed when the run returns") {
    event_loop loop;
    auto ends = socket_ends::unix_pair();
    const auto wait = [&]() -> started { co_await loop.poll(ends.a.fd(), poll_events::readable); };
    auto waiting = wait();
    loop.post([&] {
        loop.post([&] {
            waiting.destroy();
            ends.a.close();
        });
    });
    loop.run();
    pollfd end = {ends.b.fd(), POLLIN, 0};
    REQUIRE(::poll(&end, 1, 0) == 1);
    CHECK((end.revents & POLLHUP) != 0);
}

TEST_CASE("What was posted is called by the next run if a handler's exception ends this one") {
    event_loop loop;
    const auto ready = make_eventfd(1);
    loop.on_unhandled([](const std::exception_ptr& failure) { std::rethrow_exception(failure); });
    loop.spawn([](event_loop& on, int fd) -> task<> {
        co_await on.poll(fd, poll_events::readable);
        throw std::runtime_error("on purpose");
    }(loop, ready.fd()));
    bool called = false;
    loop.post([&] {
        called = true;
        loop.stop();
    });
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
    CHECK_FALSE(called);
    const auto until = loop.now() + 5s; // wakes the loop, if nothing else does
    loop.spawn([](event_loop& on, ringtls::loop_clock::time_point then) -> task<> {
        co_await on.sleep_until(then);
    }(loop, until));
    loop.run();
    CHECK(called);
    CHECK(loop.now() < until);
}

TEST_CASE("A loop counts its turns, polls, completions and system calls") {
    event_loop loop;
    const auto ready = make_eventfd(1);
    loop.run([&]() -> task<> { co_await loop.yield(); }());
    const auto before = loop.counters();
    loop.run([&]() -> task<> {
        for (int i = 0; i < 10; ++i)
            co_await loop.poll(ready.fd(), poll_events::readable);
    }());
    const auto after = loop.counters();
    CHECK(after.polls == before.polls + 10);
    CHECK(after.completions == before.completions + 10);
    CHECK(after.turns >= before.turns + 10);
    const auto registrations = loop.driver() == "epoll" ? 10 : 0;
    CHECK(after.enters == before.enters + (after.turns - before.turns) + registrations);
}

TEST_CASE("A loop names its driver, and refuses one that it does not know") {
    for (const std::string_view name : {"io_uring", "epoll"})
        CHECK(event_loop(event_loop_options().driver(name)).driver() == name);
    CHECK(code_of([] { const event_loop other(event_loop_options().driver("select")); }) ==
          errc::no_driver);
}

TEST_CASE("A poll is told of readiness in turns that submit more polls than the ring holds") {
    event_loop loop;
    bool told = false;
    const auto busy = [&](int fd) -> task<> {
        while (!told)
            co_await loop.poll(fd, poll_events::readable);
    };
    const auto patient = [&](int fd) -> task<> {
        co_await loop.poll(fd, poll_events::readable);
        told = true;
    };
    const auto early = make_eventfd(0);
    std::vector<descriptor> ready;
    loop.spawn(patient(early.fd()));
    for (int i = 0; i < 1500; ++i) {
        ready.push_back(make_eventfd(1));
        loop.spawn(busy(ready.back().fd()));
    }
    std::uint64_t turns = 0;
    loop.run([&]() -> task<> {
        for (int i = 0; i < 10; ++i)
            co_await loop.yield();
        early.put(std::string("\1\0\0\0\0\0\0\0", 8));
        const auto before = loop.counters().turns;
        while (!told && turns < 500) {
            co_await loop.yield();
            turns = loop.counters().turns - before;
        }
        told = true;
    }());
    loop.run();
    CHECK(turns <= 5);
}

TEST_CASE("Several loops run on several threads at once") {
    std::vector<std::jthread> threads;
    std::vector<int> sums(4, 0);
    // All are made before the first goes: the thread sanitizer does not see liburing unmap a ring,
    // and takes the next ring at the same address for the same memory.
    std::latch all_made(4);
    for (int& sum : sums)
        threads.emplace_back([&] {
            event_loop loop;
            all_made.arrive_and_wait();
            const auto ready = make_eventfd(1);
            sum = loop.run([](event_loop& on, int fd) -> task<int> {
                int count = 0;
                for (; count < 100; ++count)
                    co_await on.poll(fd, poll_events::readable);
                co_return count;
            }(loop, ready.fd()));
        });
    threads.clear();
    CHECK(sums == std::vector{100, 100, 100, 100});
}
