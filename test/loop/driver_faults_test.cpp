// SPDX-License-Identifier: MIT
// The io_uring driver against a kernel that the test plays: every order of completions, every
// refusal, at every call. Descriptors are numbers here; nothing is open.
#include "../descriptors.hpp"
#include "../support/driver_bench.hpp"
#include "../support/fake_kernel.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::error;
using ringtls::event_loop;
using ringtls::event_loop_options;
using ringtls::detail::driver;
using ringtls::test::bench;
using ringtls::test::entry;
using ringtls::test::fake_kernel;
using ringtls::test::slot_of;

/// What io_uring_enter(2) may answer at any time, and the driver has to take in its stride.
constexpr std::array passing_failures = {-EINTR, -EBUSY, -EAGAIN, -ENOMEM, -ETIME};

/// A kernel with one poll that is armed and submitted, and a number that no other test's has.
struct armed_poll {
    fake_kernel kernel;
    bench test;
    entry waiting;
    driver::token token = 0;

    static constexpr int fd = 1000;

    explicit armed_poll(short events = POLLIN) {
        token = test.on->arm(fd, events, waiting);
        test.look();
    }
    [[nodiscard]] std::uint64_t id() const { return kernel.poll_of(fd).id; }
    void answer(int result, unsigned flags = 0) {
        kernel.answer(id(), result, flags);
        test.look();
    }
    /// Whether the slot is free, by arming another poll; that one then has to complete.
    bool slot_is_free() {
        entry next;
        const auto other = test.on->arm(fd + 1, POLLIN, next);
        test.look();
        kernel.answer(kernel.poll_of(fd + 1).id, POLLIN);
        test.look();
        CHECK(next.completions == 1);
        return slot_of(other) == slot_of(token);
    }
};

/// The real kernel, but for what it is made to refuse while a driver is made.
class refusing_setup final : public ringtls::test::interposed_io_uring {
  public:
    std::vector<unsigned> flags_tried;
    std::size_t refusals = 0; ///< so many rings are refused,
    int refusal = -EINVAL;    ///< with this code;
    int eventfd_refusal = 0;  ///< an eventfd with this one, if it is not 0;
    int register_refusal = 0; ///< the ring's registration with this one.

    int setup(unsigned entries, io_uring& ring, io_uring_params& parameters) override {
        flags_tried.push_back(parameters.flags);
        if (flags_tried.size() <= refusals)
            return refusal;
        return io_uring_calls::setup(entries, ring, parameters);
    }
    int register_descriptor(io_uring& ring) override {
        return register_refusal != 0 ? register_refusal : io_uring_calls::register_descriptor(ring);
    }
    int make_eventfd(unsigned count, int flags) override {
        if (eventfd_refusal == 0)
            return io_uring_calls::make_eventfd(count, flags);
        errno = eventfd_refusal;
        return -1;
    }
};

/// Whether a poll that has to wait, and one that is cancelled, end as they should on this driver.
void check_works(bench& test) {
    const ringtls::test::pipe_ends pipe;
    entry waiting;
    entry cancelled;
    test.on->arm(pipe.reader.fd(), POLLIN, waiting);
    const auto poll = test.on->arm(pipe.reader.fd(), POLLIN, cancelled);
    test.look();
    test.on->cancel(poll);
    test.look();
    pipe.writer.put("x");
    test.look_for(1);
    test.look();
    CHECK(waiting.completions == 1);
    CHECK(cancelled.completions == 0);
}

/// The error that making a driver, or waiting on it, ends with.
error refusal_of(bench* test = nullptr) {
    try {
        if (test)
            test->look();
        else
            ringtls::detail::make_io_uring_driver();
    } catch (const error& thrown) {
        return thrown;
    }
    FAIL("did not throw");
    return error({}, "");
}

std::error_code code_of(int negative) {
    return {-negative, std::system_category()};
}

} // namespace

TEST_CASE("Whatever order and result a cancel's two completions have, nobody hears of them") {
    for (const int cancel_result : {0, -ENOENT, -EALREADY})
        for (const int poll_result : {-ECANCELED, int(POLLIN), int(POLLRDHUP), -EBADF})
            for (const bool poll_first : {true, false})
                for (const int turns_between : {0, 1, 3})
                    for (const unsigned features : {0U, unsigned(IORING_FEAT_CQE_SKIP)}) {
                        CAPTURE(cancel_result);
                        CAPTURE(poll_result);
                        CAPTURE(poll_first);
                        CAPTURE(turns_between);
                        CAPTURE(features);
                        fake_kernel kernel;
                        kernel.features &= ~unsigned(IORING_FEAT_CQE_SKIP);
                        kernel.features |= features;
                        bench test;
                        entry waiting;
                        const auto token = test.on->arm(1000, POLLIN, waiting);
                        test.look();
                        test.on->cancel(token);
                        test.look();
                        const auto poll = kernel.poll_of(1000);
                        const auto cancel = kernel.cancel_of(poll.id);
                        CHECK(cancel.quiet == (features != 0));
                        const auto answer = [&](bool the_poll) {
                            if (the_poll)
                                kernel.answer(poll.id, poll_result);
                            else if (cancel_result != 0 || !cancel.quiet)
                                kernel.answer(cancel.id, cancel_result);
                        };
                        answer(poll_first);
                        for (int i = 0; i < turns_between; ++i)
                            test.look();
                        entry other;
                        const auto meanwhile = test.on->arm(1001, POLLIN, other);
                        CHECK((slot_of(meanwhile) == slot_of(token)) ==
                              (poll_first && turns_between > 0));
                        answer(!poll_first);
                        test.look();
                        test.look();
                        CHECK(waiting.completions == 0);
                        CHECK(other.completions == 0);
                        kernel.answer(kernel.poll_of(1001).id, POLLIN);
                        test.look();
                        CHECK(other.completions == 1);
                        CHECK(waiting.completions == 0);
                    }
}

TEST_CASE("A completion between a cancel and its submission is dropped, and frees the slot") {
    armed_poll one;
    one.kernel.answer(one.id(), POLLIN);
    one.test.on->cancel(one.token);
    one.kernel.script = {-EBUSY}; // the cancel has to wait, the completion is there
    one.test.look();
    one.test.look();
    one.test.look();
    CHECK(one.waiting.completions == 0);
    CHECK(one.slot_is_free());
}

TEST_CASE("A poll's result is handed out as it is, a failure as POLLERR") {
    for (const int result : {int(POLLIN), POLLIN | POLLRDHUP, int(POLLHUP), int(POLLERR),
                             POLLIN | POLLHUP | POLLERR, int(POLLNVAL)}) {
        CAPTURE(result);
        armed_poll one;
        one.answer(result);
        CHECK(one.waiting.completions == 1);
        CHECK(one.waiting.last == result);
        CHECK(one.slot_is_free());
    }
    for (const int result : {-EBADF, -ENOMEM, -EINVAL, -ECANCELED, -EOPNOTSUPP}) {
        CAPTURE(result);
        armed_poll one;
        one.answer(result);
        CHECK(one.waiting.completions == 1);
        CHECK(one.waiting.last == POLLERR);
        CHECK(one.slot_is_free());
    }
}

TEST_CASE("A wait for room that only hears of a half-close goes on as multishot") {
    armed_poll one(POLLOUT);
    CHECK_FALSE(one.kernel.poll_of(one.fd).multishot);
    one.answer(POLLRDHUP);
    one.test.look();
    CHECK(one.waiting.completions == 0);
    CHECK(one.kernel.poll_of(one.fd).multishot);
    CHECK(one.kernel.poll_of(one.fd).id == one.token);
    one.answer(POLLRDHUP, IORING_CQE_F_MORE);
    one.test.look();
    CHECK(one.waiting.completions == 0);
    CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 0);

    SUBCASE("which is cancelled when it has completed and would go on") {
        one.answer(POLLOUT, IORING_CQE_F_MORE);
        CHECK(one.waiting.completions == 1);
        one.test.look();
        CHECK(one.kernel.cancel_of(one.token).target == one.token);
        one.answer(POLLOUT | POLLRDHUP, IORING_CQE_F_MORE); // late, and it has outlived its cancel
        one.test.look();
        CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 2);
        one.answer(-ECANCELED);
    }
    SUBCASE("which is not cancelled when it has completed for good") {
        one.answer(POLLOUT);
        CHECK(one.waiting.completions == 1);
        one.test.look();
        CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 0);
    }
    SUBCASE("which fails like any other when the kernel ends it") {
        one.answer(-ECANCELED);
        CHECK(one.waiting.last == POLLERR);
    }
    SUBCASE("which is armed again when the kernel ends it with nothing new") {
        const int before = one.kernel.count_of(IORING_OP_POLL_ADD);
        one.answer(POLLRDHUP);
        one.test.look();
        CHECK(one.waiting.completions == 0);
        CHECK(one.kernel.count_of(IORING_OP_POLL_ADD) == before + 1);
        one.answer(POLLOUT);
    }
    CHECK(one.waiting.completions == 1);
    CHECK(one.slot_is_free());
}

TEST_CASE("The last completion of a multishot poll may come before its cancel is submitted") {
    armed_poll one(POLLOUT);
    one.answer(POLLRDHUP);
    one.test.look();
    one.kernel.answer(one.id(), POLLOUT, IORING_CQE_F_MORE);
    one.kernel.answer(one.id(), POLLOUT);
    one.test.look();
    one.test.look();
    CHECK(one.waiting.completions == 1);
    CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 0);
    CHECK(one.slot_is_free());
}

TEST_CASE("A completion of a request that the driver does not know is ignored") {
    armed_poll one;
    const auto id = one.id();
    for (const std::uint64_t stranger :
         {std::uint64_t(0), std::uint64_t(0x7fffffff), id + 1000, id + (std::uint64_t(1) << 32),
          id - (std::uint64_t(1) << 32), ~std::uint64_t(0), ~std::uint64_t(0) - 1})
        for (const int result : {int(POLLIN), -ECANCELED, int(POLLRDHUP)}) {
            one.kernel.answer(stranger, result);
            one.kernel.answer(stranger, result, IORING_CQE_F_MORE);
            one.test.look();
        }
    CHECK(one.waiting.completions == 0);
    one.answer(POLLIN);
    CHECK(one.waiting.completions == 1);
    one.answer(POLLIN); // once more, of a slot that is free
    CHECK(one.waiting.completions == 1);
    entry second;
    const auto young = one.test.on->arm(one.fd + 1, POLLIN, second);
    REQUIRE(slot_of(young) == slot_of(one.token));
    one.test.look();
    one.answer(POLLIN); // once more, of a slot that has a new poll
    CHECK(second.completions == 0);
    one.kernel.answer(young, POLLIN);
    one.test.look();
    CHECK(second.completions == 1);
    CHECK(one.waiting.completions == 1);
}

TEST_CASE("A submission queue that is full, whatever its calls answer, loses and doubles nothing") {
    constexpr int polls = 21;
    std::vector<int> answers(passing_failures.begin(), passing_failures.end());
    for (const int taken : {0, 1, 3})
        answers.push_back(taken);
    for (const int answer : answers)
        for (int position = 0; position < 8; ++position)
            for (const int repeats : {1, 5}) {
                CAPTURE(answer);
                CAPTURE(position);
                CAPTURE(repeats);
                fake_kernel kernel(4, 64);
                bench test;
                test.look();
                for (int i = 0; i < position; ++i)
                    kernel.script.push_back(64);
                for (int i = 0; i < repeats; ++i)
                    kernel.script.push_back(answer);
                std::deque<entry> entries(polls);
                for (int i = 0; i < polls; ++i)
                    test.on->arm(1000 + i, POLLIN, entries[static_cast<std::size_t>(i)]);
                for (int turn = 0; turn < 20; ++turn)
                    test.look();
                CHECK(kernel.enters < 60);
                CHECK(kernel.script.empty());
                REQUIRE(kernel.submitted.size() == 1 + polls);
                for (int i = 0; i < polls; ++i) {
                    const auto& request = kernel.submitted[static_cast<std::size_t>(1 + i)];
                    CHECK(request.fd == 1000 + i);
                    kernel.answer(request.id, POLLIN);
                }
                test.look_for(polls);
                for (const auto& each : entries)
                    CHECK(each.completions == 1);
            }
}

TEST_CASE("While requests could not be submitted, the driver looks and does not wait") {
    fake_kernel kernel(4, 64);
    bench test;
    test.look();
    std::deque<entry> entries(9);
    for (int i = 0; i < 9; ++i)
        test.on->arm(1000 + i, POLLIN, entries[static_cast<std::size_t>(i)]);
    kernel.script = {-EBUSY};
    kernel.waits.clear();
    const auto enters = kernel.enters;
    test.wait();
    CHECK(kernel.enters > enters);
    CHECK(kernel.waits.empty());
}

TEST_CASE("The time-out of a wait reaches the kernel as it is, and none is set only to look") {
    armed_poll one;
    one.kernel.waits.clear();
    for (const auto time : {0ns, 1ns, 999'999'999ns, 1'000'000'000ns, std::chrono::nanoseconds(5h)})
        one.test.on->wait(time, &one.test.sink);
    one.kernel.answer(one.id(), POLLIN);
    one.test.wait();
    CHECK(one.kernel.waits == std::vector<std::optional<std::chrono::nanoseconds>>{
                                  1ns, 999'999'999ns, 1'000'000'000ns, 5h, std::nullopt});
    CHECK(one.waiting.completions == 1);
}

TEST_CASE("A wait that the kernel ends early completes nothing, and the next one goes on") {
    for (const int failure : passing_failures)
        for (const bool endless : {true, false}) {
            CAPTURE(failure);
            armed_poll one;
            one.kernel.script = {failure};
            const auto time = endless ? std::nullopt : std::optional(1h + 0ns);
            one.test.on->wait(time, &one.test.sink);
            CHECK(one.waiting.completions == 0);
            one.kernel.answer(one.id(), POLLIN);
            one.test.on->wait(time, &one.test.sink);
            CHECK(one.waiting.completions == 1);
        }
}

TEST_CASE("A failure of the kernel that will not pass is thrown, and loses nothing") {
    for (const int failure : {-EBADF, -EFAULT, -EINVAL, -EEXIST, -EBADR, -ENXIO, -EOPNOTSUPP})
        for (const bool queue_is_full : {true, false}) {
            CAPTURE(failure);
            fake_kernel kernel(4, 64);
            bench test;
            test.look();
            std::deque<entry> entries(queue_is_full ? 9 : 2);
            for (auto& each : entries)
                test.on->arm(1000, POLLIN, each);
            kernel.script = {failure};
            const auto thrown = refusal_of(&test);
            CHECK(thrown.code() == code_of(failure));
            CHECK(thrown.operation() == "io_uring");
            CHECK(thrown.subject() == "io_uring_enter");
            for (int i = 0; i < 5; ++i)
                test.look();
            REQUIRE(kernel.submitted.size() == 1 + entries.size());
            for (const auto& each : kernel.submitted)
                if (each.fd == 1000)
                    kernel.answer(each.id, POLLIN);
            test.look_for(entries.size());
            for (const auto& each : entries)
                CHECK(each.completions == 1);
        }
}

TEST_CASE(
    "Completions that did not fit into the completion queue come with later calls, in order") {
    constexpr std::size_t polls = 50;
    fake_kernel kernel(64, 4);
    bench test;
    std::deque<entry> entries(polls);
    for (auto& each : entries)
        test.on->arm(1000, POLLIN, each);
    test.look();
    for (const auto& each : kernel.submitted)
        if (each.fd == 1000)
            kernel.answer(each.id, POLLIN);
    for (int turn = 0; turn < 4; ++turn)
        for (const int failure : passing_failures) {
            kernel.script = {failure};
            test.look();
            test.look();
        }
    REQUIRE(test.sink.order.size() == polls);
    for (std::size_t i = 0; i < polls; ++i)
        CHECK(test.sink.order[i] == &entries[i]);
}

TEST_CASE("A wait without a sink submits what is queued and what an earlier call left, and calls "
          "for nothing else") {
    for (const int left : {-EBUSY, -EAGAIN, -ENOMEM, 0, 1}) {
        CAPTURE(left);
        fake_kernel kernel;
        bench test;
        test.look();
        entry waiting;
        const auto poll = test.on->arm(1000, POLLIN, waiting);
        test.on->arm(1001, POLLIN, waiting);
        test.look();
        test.on->cancel(poll);
        test.on->arm(1002, POLLIN, waiting);
        kernel.script = {left};
        test.look();
        test.submit();
        CHECK_FALSE(kernel.has_submissions());
        CHECK(kernel.cancel_of(poll).target == poll);
        CHECK(kernel.poll_of(1002).fd == 1002);
        const int before = kernel.enters;
        test.submit();
        CHECK(kernel.enters == before);
    }
}

TEST_CASE("A wait without a sink throws what will not pass, and leaves the rest to the next wait") {
    for (const int failure : {-EINTR, -EBUSY, -EAGAIN, -ENOMEM, -EBADF}) {
        CAPTURE(failure);
        armed_poll one;
        one.test.on->cancel(one.token);
        one.kernel.script = {failure};
        if (failure == -EBADF)
            CHECK_THROWS_AS(one.test.submit(), error);
        else
            CHECK_NOTHROW(one.test.submit());
        CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 0);
        one.test.look();
        CHECK(one.kernel.count_of(IORING_OP_ASYNC_CANCEL) == 1);
    }
}

TEST_CASE("A wake-up whose poll fails is armed again") {
    for (const int result : {int(POLLIN), -ENOMEM, -ECANCELED, int(POLLERR)}) {
        CAPTURE(result);
        fake_kernel kernel;
        bench test;
        test.look();
        REQUIRE(kernel.submitted.size() == 1);
        const auto fd = kernel.submitted.front().fd;
        kernel.answer(kernel.poll_of(fd).id, result);
        test.wait();
        test.look();
        CHECK(kernel.count_of(IORING_OP_POLL_ADD) == 2);
        CHECK(kernel.poll_of(fd).events == POLLIN);
        CHECK(test.sink.order.empty());
    }
}

TEST_CASE("Flags that a kernel does not know are left out, and the driver works without them") {
    std::vector<unsigned> tried;
    for (std::size_t refused = 0; refused < 4; ++refused) {
        CAPTURE(refused);
        refusing_setup kernel;
        kernel.refusals = refused;
        bench test;
        REQUIRE(kernel.flags_tried.size() == refused + 1);
        for (const auto flags : kernel.flags_tried)
            CHECK((flags & IORING_SETUP_CQSIZE) != 0);
        for (const auto earlier : tried)
            CHECK(earlier != kernel.flags_tried.back());
        tried.push_back(kernel.flags_tried.back());
        check_works(test);
    }
    CHECK((tried[0] & IORING_SETUP_DEFER_TASKRUN) != 0);
    CHECK((tried[1] & IORING_SETUP_COOP_TASKRUN) != 0);
    CHECK((tried[2] & IORING_SETUP_SUBMIT_ALL) != 0);
    CHECK(tried[3] == (IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP));
}

TEST_CASE("A kernel that refuses every set of flags is an error") {
    refusing_setup kernel;
    kernel.refusals = 100;
    const auto refused = refusal_of();
    CHECK(kernel.flags_tried.size() == 4);
    CHECK(refused.code() == code_of(-EINVAL));
    CHECK(refused.operation() == "io_uring");
    CHECK(refused.subject() == "io_uring_setup");
}

TEST_CASE("A kernel without io_uring, or that forbids it, is an error at once") {
    for (const int refusal : {-ENOSYS, -EPERM, -EACCES, -ENOMEM, -EMFILE, -ENFILE}) {
        CAPTURE(refusal);
        refusing_setup kernel;
        kernel.refusals = 100;
        kernel.refusal = refusal;
        const auto refused = refusal_of();
        CHECK(kernel.flags_tried.size() == 1);
        CHECK(refused.code() == code_of(refusal));
        CHECK(refused.subject() == "io_uring_setup");
        CHECK_THROWS_AS(event_loop(event_loop_options().driver("io_uring")), error);
        if (refusal == -EMFILE || refusal == -ENFILE) {
            CHECK_THROWS_AS(event_loop(), error); // passes, and epoll would suffer from it as well
            continue;
        }
        const event_loop without;
        CHECK(without.driver() == "epoll");
        CHECK(without.driver_reason() == std::string(refused.what()));
    }
}

TEST_CASE("A kernel that sets a ring up without what is needed of it is refused") {
    for (const unsigned missing : {IORING_FEAT_EXT_ARG, IORING_FEAT_RSRC_TAGS}) {
        fake_kernel kernel;
        kernel.features &= ~missing;
        CHECK(refusal_of().code() == code_of(-ENOSYS));
        CHECK(event_loop().driver() == "epoll");
    }
}

TEST_CASE("A kernel that sets a ring up and refuses to enter it is refused at once") {
    for (const int refusal : {-EPERM, -ENOSYS, -EACCES}) {
        CAPTURE(refusal);
        fake_kernel kernel;
        kernel.script = {refusal, refusal};
        const auto refused = refusal_of();
        CHECK(refused.code() == code_of(refusal));
        CHECK(refused.subject() == "io_uring_enter");
        const event_loop without;
        CHECK(without.driver() == "epoll");
        CHECK(without.driver_reason() == std::string(refused.what()));
    }
}

TEST_CASE("A loop on io_uring, and one whose driver was asked for, have no reason to tell") {
    CHECK(event_loop().driver_reason().empty());
    refusing_setup kernel;
    kernel.refusals = 100;
    kernel.refusal = -EPERM;
    CHECK(event_loop(event_loop_options().driver("epoll")).driver_reason().empty());
}

TEST_CASE("An eventfd that cannot be had is an error, and leaves nothing open") {
    for (const int refusal : {EMFILE, ENFILE, ENOMEM, ENODEV}) {
        CAPTURE(refusal);
        refusing_setup kernel;
        kernel.eventfd_refusal = refusal;
        const ringtls::test::descriptor before(::dup(0));
        const auto refused = refusal_of();
        const ringtls::test::descriptor after(::dup(0));
        CHECK(refused.code() == code_of(-refusal));
        CHECK(refused.subject() == "eventfd");
        CHECK(after.fd() == before.fd() + 1);
    }
}

TEST_CASE("A ring whose descriptor cannot be registered works all the same") {
    for (const int refusal : {-EBUSY, -EINVAL, -ENOMEM}) {
        refusing_setup kernel;
        kernel.register_refusal = refusal;
        bench test;
        check_works(test);
    }
}

TEST_CASE("A driver that gets no ring on the thread that first waits may try again") {
    refusing_setup kernel;
    bench test;
    std::thread([&] {
        kernel.refusals = kernel.flags_tried.size() + 1;
        kernel.refusal = -ENOMEM;
        CHECK(refusal_of(&test).code() == code_of(-ENOMEM));
        CHECK_NOTHROW(test.submit());
        check_works(test);
    }).join();
}
