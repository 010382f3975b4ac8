// SPDX-License-Identifier: MIT
// An io_uring whose kernel is the test: it says how much of what is submitted is taken, and writes
// the completions. No system call is made for the ring.
//
//   driver --> SQ (ordinary memory) --enter--> submitted, on_request()
//   driver <-- CQ (ordinary memory) <--enter-- answer(); what does not fit waits, and is flagged
#pragma once

#include "interposed_io_uring.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <vector>

namespace ringtls::test {

class fake_kernel : public interposed_io_uring {
  public:
    /// What an SQE asked for.
    struct request {
        std::uint64_t id = 0; ///< user_data
        std::uint8_t opcode = 0;
        int fd = -1;
        unsigned events = 0;
        bool multishot = false;
        std::uint64_t target = 0; ///< of a cancel: the id of the poll
        bool quiet = false;       ///< its success is not to be reported
    };

    /// The sizes of the queues, powers of two; whatever the driver asks for.
    explicit fake_kernel(unsigned submissions = 64, unsigned completions = 64)
        : sqes_(submissions), cqes_(completions) {}

    std::vector<request> submitted; ///< all, in order

    /// What the next calls do: a negative error is returned and nothing done; else at most so many
    /// requests are taken. A call beyond these takes all.
    std::deque<int> script;
    unsigned features =
        IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP;
    int enters = 0;
    std::vector<std::optional<std::chrono::nanoseconds>> waits; ///< the time-outs of all waits

    /// A completion, for the next call that asks for completions.
    void answer(std::uint64_t id, int result, unsigned flags = 0) {
        answers_.push_back({id, result, flags});
    }
    [[nodiscard]] bool has_answers() const noexcept { return !answers_.empty(); }
    [[nodiscard]] bool has_submissions() const noexcept { return sq_head_ != sq_tail_; }

    /// The last request of a kind: the poll of a descriptor, or the cancel of a poll.
    [[nodiscard]] const request& poll_of(int fd) const {
        return last([fd](const request& each) {
            return each.opcode == IORING_OP_POLL_ADD && each.fd == fd;
        });
    }
    [[nodiscard]] const request& cancel_of(std::uint64_t id) const {
        return last([id](const request& each) {
            return each.opcode == IORING_OP_ASYNC_CANCEL && each.target == id;
        });
    }
    [[nodiscard]] int count_of(std::uint8_t opcode) const {
        int count = 0;
        for (const auto& each : submitted)
            count += each.opcode == opcode ? 1 : 0;
        return count;
    }

    int setup(unsigned /*entries*/, io_uring& ring, io_uring_params& parameters) override;
    void exit(io_uring& /*ring*/) override {}
    int register_descriptor(io_uring& /*ring*/) override { return 1; }
    int enter(const enter_call& call) override;

  protected:
    /// A request was taken.
    virtual void on_request(const request& /*taken*/) {}
    /// The caller asks for completions: the moment to answer().
    virtual void on_get_events() {}

  private:
    struct completion {
        std::uint64_t id;
        int result;
        unsigned flags;
    };

    template<class Test>
    const request& last(Test test) const {
        for (auto each = submitted.rbegin(); each != submitted.rend(); ++each)
            if (test(*each))
                return *each;
        throw std::logic_error("the fake kernel was not asked for this");
    }
    [[nodiscard]] unsigned ready() const noexcept { return cq_tail_ - cq_head_; }
    int take(unsigned at_most);
    void deliver();

    std::vector<io_uring_sqe> sqes_;
    std::vector<io_uring_cqe> cqes_;
    unsigned sq_head_ = 0;
    unsigned sq_tail_ = 0;
    unsigned sq_flags_ = 0;
    unsigned cq_head_ = 0;
    unsigned cq_tail_ = 0;
    std::deque<completion> answers_;
};

inline int fake_kernel::setup(unsigned /*entries*/, io_uring& ring, io_uring_params& parameters) {
    ring = {};
    ring.sq.khead = &sq_head_;
    ring.sq.ktail = &sq_tail_;
    ring.sq.kflags = &sq_flags_;
    ring.sq.sqes = sqes_.data();
    ring.sq.ring_entries = static_cast<unsigned>(sqes_.size());
    ring.sq.ring_mask = ring.sq.ring_entries - 1;
    ring.cq.khead = &cq_head_;
    ring.cq.ktail = &cq_tail_;
    ring.cq.cqes = cqes_.data();
    ring.cq.ring_entries = static_cast<unsigned>(cqes_.size());
    ring.cq.ring_mask = ring.cq.ring_entries - 1;
    ring.flags = parameters.flags;
    ring.features = parameters.features = features;
    return 0;
}

/// liburing 2.3 (src/queue.c) and io_uring_enter(2) in one.
inline int fake_kernel::enter(const enter_call& call) {
    using kind = enter_call::kind;
    call.ring.sq.sqe_head = sq_tail_ = call.ring.sq.sqe_tail;
    const bool waits_for_one =
        call.what == kind::submit_and_wait || call.what == kind::submit_and_wait_timeout;
    if (waits_for_one)
        waits.push_back(call.timeout);
    const unsigned to_submit = sq_tail_ - sq_head_;
    const bool has_news = (sq_flags_ & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
    const bool gets_events = call.what == kind::submit                    ? has_news
                             : call.what == kind::submit_and_wait_timeout ? ready() == 0
                                                                          : true;
    if (to_submit == 0 && !gets_events)
        return 0;
    ++enters;
    int limit = static_cast<int>(to_submit);
    if (!script.empty()) {
        limit = script.front();
        script.pop_front();
        if (limit < 0)
            return limit;
    }
    const int taken = take(static_cast<unsigned>(limit));
    if (gets_events) {
        on_get_events();
        deliver();
    }
    if (!waits_for_one || ready() > 0 || taken < static_cast<int>(to_submit))
        return taken;
    if (!call.timeout)
        throw std::logic_error("the driver waits for what cannot happen");
    return taken > 0 ? taken : -ETIME;
}

inline int fake_kernel::take(unsigned at_most) {
    int taken = 0;
    for (; sq_head_ != sq_tail_ && at_most > 0; --at_most, ++taken) {
        const auto& sqe = sqes_[sq_head_ % sqes_.size()];
        const bool cancels = sqe.opcode == IORING_OP_ASYNC_CANCEL;
        submitted.push_back({sqe.user_data, sqe.opcode, sqe.fd, cancels ? 0 : sqe.poll32_events,
                             sqe.len == IORING_POLL_ADD_MULTI, cancels ? sqe.addr : 0,
                             (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0});
        ++sq_head_;
        on_request(submitted.back());
    }
    return taken;
}

inline void fake_kernel::deliver() {
    for (; !answers_.empty() && ready() < cqes_.size(); answers_.pop_front()) {
        const auto& next = answers_.front();
        cqes_[cq_tail_ % cqes_.size()] = {next.id, next.result, next.flags};
        std::atomic_ref(cq_tail_).store(cq_tail_ + 1, std::memory_order_release);
    }
    sq_flags_ = answers_.empty() ? 0 : IORING_SQ_CQ_OVERFLOW;
}

} // namespace ringtls::test
