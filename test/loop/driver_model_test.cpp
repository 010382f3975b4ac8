// SPDX-License-Identifier: MIT
// Random arms, cancels and waits against a kernel that answers at random whatever a kernel may, and
// a model that says what has to come of it. A failure prints its seed.
#include "../support/driver_bench.hpp"
#include "../support/fake_kernel.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <vector>

using namespace std::chrono_literals;

namespace {

using ringtls::detail::driver;
using ringtls::test::bench;
using ringtls::test::entry;
using ringtls::test::fake_kernel;
using ringtls::test::slot_of;

class dice {
  public:
    explicit dice(unsigned seed) : engine_(seed) {}
    /// 0 to below - 1.
    std::size_t roll(std::size_t below) { return engine_() % below; }
    bool once_in(std::size_t times) { return roll(times) == 0; }
    template<class Range>
    auto one_of(const Range& range) {
        return *std::next(std::begin(range), static_cast<std::ptrdiff_t>(roll(std::size(range))));
    }

  private:
    std::mt19937 engine_;
};

constexpr short errors = POLLERR | POLLHUP | POLLNVAL;
/// Descriptors from here on are the test's, and no files: each is armed once. One below is real.
constexpr int first_number = 100'000;

/// Completes polls and cancels in any order, any number of calls later, and refuses at random.
class random_kernel final : public fake_kernel {
  public:
    random_kernel(dice& chance, unsigned submissions, unsigned completions)
        : fake_kernel(submissions, completions), chance_(chance) {
        if (chance_.once_in(2))
            features &= ~unsigned(IORING_FEAT_CQE_SKIP);
    }

    bool calm = false; ///< no more refusals and delays, and no poll completes but for a cancel

    /// What has to be reported of each descriptor, unless it is cancelled before: the events.
    std::map<int, short> reportable;

    [[nodiscard]] std::size_t pending() const noexcept { return polls_.size() + news_.size(); }

    /// Has some poll complete, if there is one.
    void happen() {
        if (polls_.empty())
            return;
        auto poll = std::next(polls_.begin(), std::ptrdiff_t(chance_.roll(polls_.size())));
        if (poll->second.fd >= first_number)
            complete(poll);
    }

    int enter(const ringtls::test::enter_call& call) override {
        constexpr std::array refusals = {-EINTR, -EBUSY, -EAGAIN, -ENOMEM, -ETIME, 0, 1, 2};
        script.clear();
        if (!calm && chance_.once_in(4))
            script.push_back(chance_.one_of(refusals));
        waits_for_ever_ = call.what == ringtls::test::enter_call::kind::submit_and_wait;
        return fake_kernel::enter(call);
    }

  private:
    using polls = std::map<std::uint64_t, request>;

    struct news {
        std::uint64_t id;
        int result;
        unsigned flags;
    };

    void on_request(const request& taken) override {
        if (taken.opcode == IORING_OP_POLL_ADD) {
            REQUIRE(polls_.count(taken.id) == 0);
            polls_.emplace(taken.id, taken);
            return;
        }
        REQUIRE(taken.opcode == IORING_OP_ASYNC_CANCEL);
        cancel(taken);
    }

    void cancel(const request& by) {
        const auto poll = polls_.find(by.target);
        int result = -ENOENT;
        if (poll != polls_.end()) {
            const bool late = !calm && chance_.once_in(4);
            result = late ? -EALREADY : 0;
            if (late)
                complete(poll); // a multishot poll may outlive it
            else
                end(poll, -ECANCELED);
        }
        if (result != 0 || !by.quiet)
            tell({by.id, result, 0});
    }

    void complete(polls::iterator poll) {
        constexpr std::array extras = {0, 0, 0, POLLRDHUP, POLLERR, POLLHUP, POLLHUP | POLLERR};
        constexpr std::array failures = {-EBADF, -ENOMEM, -EINVAL};
        auto& request = poll->second;
        int result = chance_.one_of(extras);
        if (result == 0 || chance_.once_in(2))
            result |= static_cast<int>(request.events & (POLLIN | POLLOUT));
        if (chance_.once_in(10))
            result = chance_.one_of(failures);
        const bool more = request.multishot && result >= 0 && chance_.once_in(2);
        const int events = result < 0 ? POLLERR : result;
        if ((events & (static_cast<int>(request.events) | errors)) != 0)
            reportable.emplace(request.fd, static_cast<short>(events));
        if (more)
            tell({request.id, result, IORING_CQE_F_MORE});
        else
            end(poll, result);
    }

    void end(polls::iterator poll, int result) {
        tell({poll->first, result, 0});
        polls_.erase(poll);
    }

    /// Some time, in any order; but what one poll says stays in its order.
    void tell(const news& what) {
        auto place = news_.end();
        while (place != news_.begin() && std::prev(place)->id != what.id && chance_.once_in(2))
            --place;
        news_.insert(place, what);
    }

    void on_get_events() override {
        wake_up();
        bool due = calm || waits_for_ever_;
        while (!news_.empty() && (due || !chance_.once_in(3))) {
            answer(news_.front().id, news_.front().result, news_.front().flags);
            news_.pop_front();
            due = calm;
        }
    }

    /// The driver's own poll, of a real eventfd.
    void wake_up() {
        for (auto poll = polls_.begin(); poll != polls_.end(); ++poll) {
            pollfd look = {poll->second.fd, POLLIN, 0};
            if (look.fd < first_number && ::poll(&look, 1, 0) == 1) {
                end(poll, POLLIN);
                return;
            }
        }
    }

    dice& chance_;
    polls polls_;
    std::deque<news> news_;
    bool waits_for_ever_ = false; ///< the call under way ends with a completion only
};

/// What the driver was told to do, and what it may therefore hand out.
class model {
  public:
    explicit model(unsigned seed)
        : chance_(seed),
          kernel_{chance_, 1U << (1 + chance_.roll(4)), 1U << (1 + chance_.roll(6))} {
        test_.sink.then = [this](entry& which) { completed(which); };
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i)
            step();
        cancel_all();
        drain();
        CHECK(kernel_.pending() == 1); // the poll for wake() alone
        check_all_reported();
        check_no_slot_is_lost();
    }
    [[nodiscard]] std::size_t completions() const { return test_.sink.order.size(); }

  private:
    /// armed -> done: completed, or cancelled.
    struct poll {
        entry self;
        int fd = -1;
        driver::token token = 0;
        short events = 0;
        bool armed = false;
        bool cancelled = false;
    };

    void step() {
        switch (chance_.roll(8)) {
        case 0:
        case 1:
        case 2:
            arm();
            return;
        case 3:
            cancel_one();
            return;
        case 4:
        case 5:
            kernel_.happen();
            return;
        case 6:
            test_.look();
            return;
        default:
            wait_or_submit();
            return;
        }
    }

    void arm() {
        constexpr std::array<short, 4> wishes = {POLLIN, POLLOUT, POLLIN | POLLOUT, 0};
        auto& made = polls_.emplace_back();
        made.fd = first_number + static_cast<int>(polls_.size());
        made.events = chance_.one_of(wishes);
        made.armed = true;
        made.token = test_.on->arm(made.fd, made.events, made.self);
        by_entry_.emplace(&made.self, &made);
        highest_slot_ = std::max(highest_slot_, slot_of(made.token));
    }

    void cancel_one() {
        if (!polls_.empty())
            cancel(
                polls_[polls_.size() - 1 - chance_.roll(std::min<std::size_t>(20, polls_.size()))]);
    }
    /// Also one that is over already: its token cancels nothing.
    void cancel(poll& which) {
        test_.on->cancel(which.token);
        which.cancelled = which.cancelled || which.armed;
        which.armed = false;
    }
    void cancel_all() {
        for (auto& each : polls_)
            if (each.armed && chance_.once_in(2))
                cancel(each);
        drain(); // what has happened is reported before the rest is cancelled
        for (auto& each : polls_)
            cancel(each);
    }

    void wait_or_submit() {
        if (chance_.once_in(3))
            return test_.submit();
        test_.on->wake();
        test_.wait();
    }

    void drain() {
        kernel_.calm = true;
        for (int i = 0; i < 200; ++i)
            test_.look();
    }

    void completed(entry& which) {
        auto& poll = *by_entry_.at(&which);
        REQUIRE(poll.armed); // not twice, and not after its cancel
        poll.armed = false;
        REQUIRE(kernel_.reportable.count(poll.fd) == 1);
        CHECK(which.last == kernel_.reportable.at(poll.fd));
        CHECK((which.last & (poll.events | errors)) != 0);
        if (chance_.once_in(4))
            arm();
        if (chance_.once_in(4))
            cancel_one();
    }

    void check_all_reported() {
        for (const auto& each : polls_) {
            CAPTURE(each.fd);
            CHECK(each.self.completions <= 1);
            if (kernel_.reportable.count(each.fd) == 1 && !each.cancelled)
                CHECK(each.self.completions == 1);
        }
    }

    /// As many as there ever were fit into the slots that there are; one is the driver's own.
    void check_no_slot_is_lost() {
        const auto slots = highest_slot_;
        for (std::uint32_t i = 0; i < slots; ++i)
            arm();
        CHECK(highest_slot_ == slots);
    }

    dice chance_;
    random_kernel kernel_;
    bench test_;
    std::deque<poll> polls_;
    std::map<entry*, poll*> by_entry_;
    std::uint32_t highest_slot_ = 0;
};

} // namespace

TEST_CASE(
    "Whatever the kernel answers, each poll completes once, as it should, and frees its slot") {
    std::size_t completions = 0;
    for (unsigned seed = 1; seed <= 2000; ++seed) {
        CAPTURE(seed);
        model one(seed);
        one.run(300);
        completions += one.completions();
    }
    MESSAGE("completions: " << completions);
    CHECK(completions > 10'000);
}
