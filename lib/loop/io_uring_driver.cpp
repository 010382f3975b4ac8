// SPDX-License-Identifier: MIT
// Readiness by io_uring: one ring, one poll request a wait, one system call a turn.
//
//   arm(fd) ----> slot: queued --+                 +--> CQE --> slot free, entry told
//   cancel() ---> slot: leaving -+--> wait(): SQEs +--> CQE of a leaving slot: slot free
//                                     one enter    +--> CQE of a cancel request: nothing
//
// user_data is slot and generation, never a pointer, and a slot is free again only after the last
// CQE of its request, so that a late CQE finds nobody rather than a stranger. SQEs are written in
// wait() alone: a poll that is cancelled in the turn that armed it never reaches the kernel, which
// would otherwise bind it to whatever file has the descriptor's number by then.
#include "descriptors.hpp"
#include "driver.hpp"
#include "thread_number.hpp"

#include <liburing.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

namespace ringtls::detail {
namespace {

constexpr std::string_view driver_name = "io_uring";
constexpr unsigned submission_entries = 1024;
constexpr unsigned completion_entries = 16384;
/// user_data of cancel requests, whose own completions tell nothing new. No poll's token.
constexpr std::uint64_t cancel_request = 0;

[[noreturn]] void refuse(int negative_errno, const char* what) {
    detail::refuse(driver_name, -negative_errno, what);
}

/// How many requests an enter took; 0 too if it does nothing now and will later: the time-out, a
/// signal, completions that have to be taken first, a lack of memory. What was not taken goes with
/// a later call.
int taken(int result) {
    switch (result) {
    case -ETIME:
    case -EINTR:
    case -EBUSY:
    case -EAGAIN:
    case -ENOMEM:
        return 0;
    default:
        if (result < 0)
            refuse(result, "io_uring_enter");
        return result;
    }
}

/// The ring itself, and nothing but its lifetime.
class ring {
  public:
    /// What each kernel since 5.13 knows, newest first: 6.1, 5.19, 5.18, 5.13. TASKRUN_FLAG shows
    /// liburing that polls have completed which only a call into the kernel will report: without it
    /// a turn whose submissions alone fill the completion queue would make no such call, for as
    /// long as that goes on.
    ring() {
        constexpr unsigned sized = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        constexpr std::array attempts = {
            sized | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
            sized | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
            sized | IORING_SETUP_SUBMIT_ALL,
            sized,
        };
        int result = -EINVAL;
        for (const unsigned flags : attempts) {
            parameters_ = {};
            parameters_.flags = flags;
            parameters_.cq_entries = completion_entries;
            result = io_uring_queue_init_params(submission_entries, &ring_, &parameters_);
            if (result != -EINVAL)
                break;
        }
        if (result < 0)
            refuse(result, "io_uring_setup");
        // RSRC_TAGS came with Linux 5.13, as multishot polls did, which have no flag of their own.
        constexpr unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;
        if ((parameters_.features & needed) != needed) {
            io_uring_queue_exit(&ring_);
            refuse(-ENOSYS, "io_uring_setup");
        }
    }
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() { io_uring_queue_exit(&ring_); }

    /// Saves the kernel a look-up a call. Of the calling thread's own table, which may be full:
    /// the ring works without it. Not a ring that any thread may use: the one that destroys it
    /// would take its own ring of that index out of its own table.
    void register_descriptor() {
        if ((parameters_.flags & IORING_SETUP_SINGLE_ISSUER) != 0)
            static_cast<void>(io_uring_register_ring_fd(&ring_));
    }

    [[nodiscard]] bool can_skip_success() const noexcept {
        return (parameters_.features & IORING_FEAT_CQE_SKIP) != 0;
    }
    /// The kernel has completed something that it will only tell of in a call.
    [[nodiscard]] bool has_work() const noexcept {
        return (io_uring_smp_load_acquire(ring_.sq.kflags) & IORING_SQ_TASKRUN) != 0;
    }
    [[nodiscard]] io_uring* get() noexcept { return &ring_; }

  private:
    io_uring ring_{};
    io_uring_params parameters_{};
};

class io_uring_driver final : public driver, private loop_entry {
  public:
    /// Enters the ring once: a filter of system calls may let it be set up, and refuse that.
    io_uring_driver() {
        taken(io_uring_submit_and_get_events(ring_->get()));
        slots_.reserve(64);
        arm(wake_.fd(), POLLIN, *this);
    }

    token arm(int fd, short events, loop_entry& entry) override;
    void cancel(token poll) noexcept override;
    void wait(std::optional<std::chrono::nanoseconds> timeout, completion_sink* sink) override;
    void wake() noexcept override { wake_.signal(); }
    void hand_over(driver& to) override;
    std::string_view name() const noexcept override { return driver_name; }
    void count(event_loop_counters& into) const noexcept override {
        into.enters += enters_;
        into.polls += polls_;
        into.completions += completions_;
    }

  private:
    /// free -> queued -> armed -> free; queued -> free when cancelled before its submission;
    /// armed -> leaving (a cancel is queued) -> left (submitted) -> free at the last CQE;
    /// leaving -> gone when that CQE came first -> free when the queue reaches it;
    /// left -> leaving when a multishot poll has outlived its cancel, and says so.
    enum class slot_state : std::uint8_t { free, queued, dropped, armed, leaving, left, gone };

    struct slot {
        loop_entry* entry = nullptr;
        std::uint32_t generation = 1;
        std::uint32_t next = none; ///< in the queue, or in the free list
        int fd = -1;
        short events = 0;
        bool multishot = false;
        slot_state state = slot_state::free;
    };
    static constexpr std::uint32_t none = 0xffffffff;

    [[nodiscard]] token token_of(std::uint32_t index) const noexcept {
        return (static_cast<token>(slots_[index].generation) << 32) | index;
    }
    /// Whether it is the one that its slot has now.
    [[nodiscard]] bool is_current(token poll) const noexcept {
        const auto index = static_cast<std::uint32_t>(poll);
        return index < slots_.size() && token_of(index) == poll;
    }
    void enqueue(std::uint32_t index) noexcept;
    void release(std::uint32_t index) noexcept;
    void bind();
    void submit_queue();
    void settle();
    bool prepare(std::uint32_t index);
    void enter(std::optional<std::chrono::nanoseconds> timeout);
    void complete(const io_uring_cqe& cqe, completion_sink& sink);
    void on(cause why, short events) override;

    std::optional<ring> ring_{std::in_place};
    const std::uint64_t maker_ = this_thread_number();
    bool bound_ = false; ///< the ring is this thread's, once it first waits
    event_descriptor wake_{driver_name};
    std::vector<slot> slots_;
    std::uint32_t free_ = none;
    std::uint32_t queue_first_ = none; ///< slots with something to submit, in order
    std::uint32_t queue_last_ = none;
    std::uint64_t enters_ = 0;
    std::uint64_t polls_ = 0;
    std::uint64_t completions_ = 0;
};

void io_uring_driver::enqueue(std::uint32_t index) noexcept {
    slots_[index].next = none;
    (queue_last_ == none ? queue_first_ : slots_[queue_last_].next) = index;
    queue_last_ = index;
}

void io_uring_driver::release(std::uint32_t index) noexcept {
    auto& slot = slots_[index];
    slot.entry = nullptr;
    ++slot.generation;
    slot.generation += slot.generation == 0 ? 1 : 0;
    slot.state = slot_state::free;
    slot.next = free_;
    free_ = index;
}

driver::token io_uring_driver::arm(int fd, short events, loop_entry& entry) {
    if (free_ == none) {
        slots_.emplace_back();
        free_ = static_cast<std::uint32_t>(slots_.size() - 1);
    }
    const auto index = free_;
    auto& slot = slots_[index];
    free_ = slot.next;
    slot.entry = &entry;
    slot.fd = fd;
    slot.events = events;
    slot.multishot = false;
    slot.state = slot_state::queued;
    enqueue(index);
    ++polls_;
    return token_of(index);
}

void io_uring_driver::cancel(token poll) noexcept {
    if (!is_current(poll))
        return;
    const auto index = static_cast<std::uint32_t>(poll);
    auto& slot = slots_[index];
    slot.entry = nullptr;
    switch (slot.state) {
    case slot_state::queued:
        slot.state = slot_state::dropped;
        return;
    case slot_state::armed:
        slot.state = slot_state::leaving;
        enqueue(index);
        return;
    case slot_state::free:
    case slot_state::dropped:
    case slot_state::leaving:
    case slot_state::left:
    case slot_state::gone:
        return;
    }
}

/// Writes the SQE that the slot is queued for; false if the submission queue is full.
bool io_uring_driver::prepare(std::uint32_t index) {
    auto& slot = slots_[index];
    if (slot.state == slot_state::dropped || slot.state == slot_state::gone) {
        release(index);
        return true;
    }
    io_uring_sqe* const sqe = io_uring_get_sqe(ring_->get());
    if (!sqe)
        return false;
    if (slot.state == slot_state::leaving) {
        // Not POLL_REMOVE: that leaves a poll whose readiness is just being looked at alone
        // (-EALREADY), and with it, if nothing is ready any more, the file open for good.
        io_uring_prep_cancel64(sqe, token_of(index), 0);
        io_uring_sqe_set_data64(sqe, cancel_request);
        if (ring_->can_skip_success())
            sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        slot.state = slot_state::left;
        return true;
    }
    const auto mask = static_cast<unsigned>(slot.events);
    if (slot.multishot)
        io_uring_prep_poll_multishot(sqe, slot.fd, mask);
    else
        io_uring_prep_poll_add(sqe, slot.fd, mask);
    io_uring_sqe_set_data64(sqe, token_of(index));
    slot.state = slot_state::armed;
    return true;
}

void io_uring_driver::submit_queue() {
    while (queue_first_ != none) {
        const auto index = queue_first_;
        const auto next = slots_[index].next;
        if (!prepare(index)) {
            ++enters_;
            if (taken(io_uring_submit(ring_->get())) == 0)
                return;
            continue;
        }
        queue_first_ = next;
        if (next == none)
            queue_last_ = none;
    }
}

/// Only to look, no time-out is set: the kernel would put the thread to sleep for it.
void io_uring_driver::enter(std::optional<std::chrono::nanoseconds> timeout) {
    ++enters_;
    const bool full = queue_first_ != none;
    if (full || (timeout && *timeout <= std::chrono::nanoseconds::zero())) {
        taken(io_uring_submit_and_get_events(ring_->get()));
        return;
    }
    if (!timeout) {
        taken(io_uring_submit_and_wait(ring_->get(), 1));
        return;
    }
    __kernel_timespec time{};
    time.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(*timeout).count();
    time.tv_nsec = (*timeout - std::chrono::seconds(time.tv_sec)).count();
    io_uring_cqe* cqe = nullptr;
    taken(io_uring_submit_and_wait_timeout(ring_->get(), &cqe, 1, &time, nullptr));
}

/// A ring knows one thread, the one that made it: a loop that was made elsewhere gets a new ring
/// here. Nothing has been submitted to the old one.
void io_uring_driver::bind() {
    if (this_thread_number() != maker_)
        ring_.emplace();
    ring_->register_descriptor();
    bound_ = true;
}

void io_uring_driver::wait(std::optional<std::chrono::nanoseconds> timeout, completion_sink* sink) {
    if (!bound_)
        bind();
    if (!sink)
        return settle();
    submit_queue();
    enter(timeout);
    // What completes while these are handed out belongs to the next turn.
    for (unsigned left = io_uring_cq_ready(ring_->get()); left > 0; --left) {
        io_uring_cqe* cqe = nullptr;
        if (io_uring_peek_cqe(ring_->get(), &cqe) != 0)
            return;
        const io_uring_cqe copy = {cqe->user_data, cqe->res, cqe->flags};
        io_uring_cqe_seen(ring_->get(), cqe);
        ++completions_;
        complete(copy, *sink);
    }
}

/// Asks for events too: with IORING_SETUP_DEFER_TASKRUN, a cancelled request lets go of its file
/// only then, and since Linux 6.13 no more than twenty of them a call; one at least.
void io_uring_driver::settle() {
    const bool queued = queue_first_ != none || io_uring_sq_ready(ring_->get()) != 0;
    if (!queued && !ring_->has_work())
        return;
    submit_queue();
    for (auto left = slots_.size() + 1; left > 0; --left) {
        ++enters_;
        taken(io_uring_submit_and_get_events(ring_->get()));
        if (!ring_->has_work())
            return;
    }
}

/// All are armed there before one is told of it, so that nothing has changed if that throws.
void io_uring_driver::hand_over(driver& to) {
    std::vector<std::pair<loop_entry*, token>> armed;
    for (const auto& slot : slots_)
        if (slot.entry && slot.entry != this)
            armed.emplace_back(slot.entry, to.arm(slot.fd, slot.events, *slot.entry));
    for (const auto& [entry, token] : armed)
        entry->poll = token;
}

void io_uring_driver::complete(const io_uring_cqe& cqe, completion_sink& sink) {
    if (!is_current(cqe.user_data))
        return; // a cancel's own, or nobody's
    const auto index = static_cast<std::uint32_t>(cqe.user_data);
    auto& slot = slots_[index];
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    switch (slot.state) {
    case slot_state::armed:
        break;
    case slot_state::leaving:
        if (!more)
            slot.state = slot_state::gone;
        return;
    case slot_state::left:
        if (!more) {
            release(index);
            return;
        }
        slot.state = slot_state::leaving;
        enqueue(index);
        return;
    case slot_state::free:
    case slot_state::queued:
    case slot_state::dropped:
    case slot_state::gone:
        return;
    }
    // A negative result (the file cannot be polled, say) is for the retried call to find.
    const int result = cqe.res < 0 ? POLLERR : cqe.res;
    loop_entry& entry = *slot.entry;
    if ((result & (slot.events | POLLERR | POLLHUP | POLLNVAL)) == 0) {
        // The kernel adds POLLRDHUP to every poll: a wait for room in a full send buffer ends at
        // once when the peer has closed its side, as often as it is armed. A multishot poll says
        // so once, and then stays silent until there is room.
        if (!more) {
            slot.multishot = true;
            slot.state = slot_state::queued;
            enqueue(index);
        }
        return;
    }
    if (more) {
        slot.state = slot_state::leaving;
        slot.entry = nullptr;
        enqueue(index);
    } else {
        release(index);
    }
    if (&entry == static_cast<loop_entry*>(this))
        on(cause::readiness, static_cast<short>(result));
    else
        sink.completed(entry, static_cast<short>(result));
}

/// Its own poll: somebody called wake().
void io_uring_driver::on(cause /*why*/, short /*events*/) {
    wake_.drain();
    arm(wake_.fd(), POLLIN, *this);
}

} // namespace

std::unique_ptr<driver> make_io_uring_driver() {
    return std::make_unique<io_uring_driver>();
}

} // namespace ringtls::detail
