// SPDX-License-Identifier: MIT
// Readiness by epoll(7), for where io_uring is refused: one registration a descriptor, one
// epoll_ctl(2) a wait, one epoll_pwait2(2) a turn.
//
//   arm(fd) ---> the number's record --+                            +--> ended_ --> entry told
//   cancel() --> out of the record     +--> wait(): epoll_ctl for   +--> the record's other polls:
//                                           records that changed;        registered again in the
//                                           an event --------------+     next wait()
//
// epoll keeps one registration for a number and its file, however many polls there are: that of
// all their events. It ends when the file is closed, which nobody tells of, and does not end when
// the number alone is closed and the file is open elsewhere. So nothing is taken for granted of a
// number that was without a poll for a moment, and may be another file's by now: the next poll
// registers it again. And a registration is one-shot (EPOLLONESHOT): one that is left over speaks
// up once at most, under a generation that is its record's no longer.
#include "descriptors.hpp"
#include "driver.hpp"

#include <array>
#include <ctime>
#include <limits>
#include <list>
#include <unordered_map>
#include <vector>

namespace ringtls::detail {
namespace {

constexpr std::string_view driver_name = "epoll";
/// Of so many descriptors news is taken in one turn.
constexpr std::size_t events_a_turn = 1024;
/// What the wake-up's event brings. No record's: those begin with generation 1.
constexpr std::uint64_t wake_up = 0;

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
              EPOLLHUP == POLLHUP);

class epoll_driver final : public driver {
  public:
    /// The wake-up is edge-triggered, so that nobody has to read it.
    epoll_driver() {
        const int code = epoll_.control(EPOLL_CTL_ADD, wake_.fd(), EPOLLIN | EPOLLET, wake_up);
        if (code != 0)
            refuse(driver_name, code, "epoll_ctl");
    }

    token arm(int fd, short events, loop_entry& entry) override;
    void cancel(token poll) noexcept override;
    void wait(std::optional<std::chrono::nanoseconds> timeout, completion_sink* sink) override;
    void wake() noexcept override { wake_.signal(); }
    int descriptor() const noexcept override { return epoll_.fd(); }
    std::string_view name() const noexcept override { return driver_name; }
    void count(event_loop_counters& into) const noexcept override {
        into.enters += enters_;
        into.polls += polls_;
        into.completions += completions_;
    }

  private:
    struct record;

    /// In one list at a time: free_, its record's, ended_.
    struct poll {
        std::uint32_t slot = 0;
        std::uint32_t generation = 1;
        loop_entry* entry = nullptr;
        record* of = nullptr;
        short events = 0;
        short answer = 0; ///< not 0: it is in ended_
    };
    using poll_list = std::list<poll>;

    /// A number, who waits for it, and what the kernel knows of it. Kept for good: there are as
    /// many as there were descriptors polled at once.
    struct record {
        explicit record(int number) : fd(number) {}

        const int fd;
        poll_list waiting;             ///< in the order of arming
        bool registered = false;       ///< it was, for this number's file of then
        bool enabled = false;          ///< and has not spoken, nor could the file have changed
        std::uint32_t enabled_for = 0; ///< these events, if enabled
        std::uint32_t generation = 0;  ///< of the latest registration
        bool changed = false;          ///< in the list of those to be looked at
        record* next_changed = nullptr;
    };

    [[nodiscard]] static token token_of(const poll& of) noexcept {
        return (static_cast<token>(of.generation) << 32) | of.slot;
    }
    void release(poll_list& from, poll_list::iterator poll) noexcept;
    void note_change(record& of) noexcept;
    void apply_changes() noexcept;
    void enable(record& of) noexcept;
    int control(int what, const record& of, std::uint32_t events) noexcept;
    void answer(record& of, short events) noexcept;
    void look(std::optional<std::chrono::nanoseconds> timeout);
    int wait_for_events(std::optional<std::chrono::nanoseconds> timeout);
    void take(const epoll_event& event) noexcept;
    void hand_out(completion_sink& sink);

    epoll_descriptor epoll_{driver_name};
    event_descriptor wake_{driver_name};
    std::vector<poll_list::iterator> slots_;
    poll_list free_;
    poll_list ended_; ///< to be handed out
    std::unordered_map<int, record> records_;
    record* changed_first_ = nullptr;
    record* changed_last_ = nullptr;
    std::array<epoll_event, events_a_turn> events_{};
    bool has_nanoseconds_ = true; ///< the kernel has epoll_pwait2, as far as is known
    std::uint64_t enters_ = 0;
    std::uint64_t polls_ = 0;
    std::uint64_t completions_ = 0;
};

driver::token epoll_driver::arm(int fd, short events, loop_entry& entry) {
    record& of = records_.try_emplace(fd, fd).first->second;
    if (free_.empty()) {
        poll_list one(1);
        one.front().slot = static_cast<std::uint32_t>(slots_.size());
        slots_.push_back(one.begin());
        free_.splice(free_.begin(), one);
    }
    poll& made = free_.front();
    made.entry = &entry;
    made.of = &of;
    made.events = events;
    of.waiting.splice(of.waiting.end(), free_, free_.begin());
    note_change(of);
    ++polls_;
    return token_of(made);
}

void epoll_driver::release(poll_list& from, poll_list::iterator poll) noexcept {
    poll->entry = nullptr;
    poll->answer = 0;
    ++poll->generation;
    poll->generation += poll->generation == 0 ? 1 : 0;
    free_.splice(free_.begin(), from, poll);
}

/// From here on the descriptor may be closed, and its number another file's.
void epoll_driver::cancel(token poll) noexcept {
    const auto slot = static_cast<std::uint32_t>(poll);
    if (slot >= slots_.size() || token_of(*slots_[slot]) != poll || !slots_[slot]->entry)
        return;
    const auto each = slots_[slot];
    if (each->answer != 0)
        return release(ended_, each);
    record& of = *each->of;
    release(of.waiting, each);
    if (of.waiting.empty())
        of.enabled = false;
}

void epoll_driver::note_change(record& of) noexcept {
    if (of.changed)
        return;
    of.changed = true;
    of.next_changed = nullptr;
    (changed_last_ ? changed_last_->next_changed : changed_first_) = &of;
    changed_last_ = &of;
}

void epoll_driver::apply_changes() noexcept {
    while (record* of = changed_first_) {
        changed_first_ = of->next_changed;
        of->changed = false;
        enable(*of);
    }
    changed_last_ = nullptr;
}

/// Has the kernel tell of what the record's polls ask for. It may tell of more, once, where a poll
/// was cancelled: that costs as much as to have it unlearn that.
void epoll_driver::enable(record& of) noexcept {
    std::uint32_t asked = 0;
    for (const auto& each : of.waiting)
        asked |= static_cast<unsigned short>(each.events);
    if (of.waiting.empty() || (of.enabled && (asked & ~of.enabled_for) == 0))
        return;
    ++of.generation;
    of.generation += of.generation == 0 ? 1 : 0;
    of.enabled = false;
    int code = of.registered ? control(EPOLL_CTL_MOD, of, asked) : ENOENT;
    if (code == ENOENT)
        code = control(EPOLL_CTL_ADD, of, asked);
    switch (code) {
    case 0:
        of.registered = of.enabled = true;
        of.enabled_for = asked;
        return;
    case EPERM: // a regular file, say: always ready. Who waits for nothing of it fails, as in a
                // ring
        answer(of, POLLIN | POLLOUT);
        return answer(of, POLLERR);
    case ENOMEM:
    case ENOSPC:
        return answer(of, no_room);
    default:
        return answer(of, POLLERR);
    }
}

int epoll_driver::control(int what, const record& of, std::uint32_t events) noexcept {
    ++enters_;
    const auto data =
        (static_cast<std::uint64_t>(of.generation) << 32) | static_cast<std::uint32_t>(of.fd);
    return epoll_.control(what, of.fd, events | EPOLLONESHOT, data);
}

/// Ends those of the record's polls that these events are an answer to.
void epoll_driver::answer(record& of, short events) noexcept {
    constexpr short always = POLLERR | POLLHUP | no_room;
    for (auto each = of.waiting.begin(); each != of.waiting.end();) {
        const auto poll = each++;
        poll->answer = static_cast<short>(events & (poll->events | always));
        if (poll->answer != 0)
            ended_.splice(ended_.end(), of.waiting, poll);
    }
}

void epoll_driver::wait(std::optional<std::chrono::nanoseconds> timeout, completion_sink* sink) {
    apply_changes();
    if (!sink) {
        if (!ended_.empty())
            wake();
        return;
    }
    look(ended_.empty() ? timeout : std::chrono::nanoseconds::zero());
    hand_out(*sink);
}

void epoll_driver::look(std::optional<std::chrono::nanoseconds> timeout) {
    const int count = wait_for_events(timeout);
    if (count < 0 && errno != EINTR)
        refuse(driver_name, errno, "epoll_wait");
    for (int i = 0; i < count; ++i)
        take(events_[static_cast<std::size_t>(i)]);
}

/// As epoll_wait(2). A time-out is never cut short: in milliseconds it is rounded up.
int epoll_driver::wait_for_events(std::optional<std::chrono::nanoseconds> timeout) {
    using namespace std::chrono;
    constexpr int most = events_a_turn;
    ++enters_;
    if (!timeout || *timeout <= nanoseconds::zero())
        return epoll_wait(epoll_.fd(), events_.data(), most, timeout ? 0 : -1);
    if (has_nanoseconds_) {
        timespec time{};
        time.tv_sec = duration_cast<seconds>(*timeout).count();
        time.tv_nsec = (*timeout - seconds(time.tv_sec)).count();
        const int count = epoll_pwait2(epoll_.fd(), events_.data(), most, &time, nullptr);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        has_nanoseconds_ = false; // before Linux 5.11, or an older filter of system calls
        ++enters_;
    }
    constexpr milliseconds longest(std::numeric_limits<int>::max());
    const auto time = *timeout < longest ? ceil<milliseconds>(*timeout) : longest;
    return epoll_wait(epoll_.fd(), events_.data(), most, static_cast<int>(time.count()));
}

/// An event of a registration that is not its record's latest is of a file that has gone elsewhere.
void epoll_driver::take(const epoll_event& event) noexcept {
    const std::uint64_t data = event.data.u64;
    if (data == wake_up)
        return;
    const auto found = records_.find(static_cast<int>(static_cast<std::uint32_t>(data)));
    if (found == records_.end() || found->second.generation != data >> 32)
        return;
    record& of = found->second;
    of.enabled = false;
    answer(of, static_cast<short>(event.events));
    if (!of.waiting.empty())
        note_change(of);
}

void epoll_driver::hand_out(completion_sink& sink) {
    while (!ended_.empty()) {
        const auto first = ended_.begin();
        loop_entry& entry = *first->entry;
        const short events = first->answer;
        release(ended_, first);
        ++completions_;
        sink.completed(entry, events);
    }
}

} // namespace

std::unique_ptr<driver> make_epoll_driver() {
    return std::make_unique<epoll_driver>();
}

} // namespace ringtls::detail
