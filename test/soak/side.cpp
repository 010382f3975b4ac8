// SPDX-License-Identifier: MIT
#include "side.hpp"

#include <algorithm>
#include <chrono>

namespace ringtls::soak {
namespace {

using namespace std::chrono_literals;

/// Over what an operation has done with, so that a look at it later shows.
void scribble(std::vector<std::byte>& over) {
    std::ranges::fill(over, std::byte{0xee});
}

} // namespace

side::side(world& around, const judge& by, std::uint64_t seed, const side_plan& plan, ledger& in,
           ledger& out)
    : world_(around),
      judge_(by),
      plan_(plan),
      in_(in),
      out_(out),
      trouble_(seed),
      read_(seed + 1),
      write_(seed + 2) {}

void side::begin(std::unique_ptr<stream> with) {
    stream_ = std::move(with);
}

void side::turn() {
    start_what_is_due();
    if (gone() || disturbances_left_ == 0 || !trouble_.one_in(plan_.calm))
        return;
    --disturbances_left_;
    disturb();
}

void side::start_what_is_due() {
    for (auto* each : {&read_, &write_}) {
        if (each->alive && each->frame.ended()) {
            each->frame.check();
            each->alive = false;
        }
        check_limits(*each);
    }
    if (riding_ && rider_.ended()) {
        rider_.check();
        riding_ = false;
    }
    if (gone())
        return;
    if (!read_over_ && !deaf_ && due(read_))
        read_.frame = reading();
    if (write_over_ || !due(write_))
        return;
    if (!closing_ || !plan_.shuts_down) {
        write_.frame = writing();
        return;
    }
    destroy(read_);
    deaf_ = true;
    write_.frame = shutting_down();
}

/// Whether it is to have a new frame now, in which case it counts as having one.
bool side::due(direction& which) {
    if (which.alive)
        return false;
    which.alive = which.rest == 0;
    which.rest -= which.alive ? 0 : 1;
    return which.alive;
}

// ---- reading ----

test::started side::reading() {
    while (plan_.shakes_hands && !established_ && stream_)
        co_await world_.loop.yield();
    while (stream_ && !read_over_) {
        co_await pause(read_);
        if (!stream_)
            co_return;
        inbox_.resize(read_.luck.size(plan_.size_bits));
        switch (read_.luck.below(4)) {
        case 0:
            co_await read_whole();
            break;
        case 1:
            co_await read_when_readable();
            break;
        default:
            begin_operation(read_, "read");
            co_await read_some();
        }
    }
    if (stream_)
        co_await end_of_reading();
}

task<> side::read_some() {
    const auto got = co_await as_result(
        stream_->read(inbox_).within(read_.within).cancel_on(read_.stop.get_token()));
    if (!got) {
        reading_failed(got.error());
        co_return;
    }
    operation_done(read_);
    read_over_ = *got == 0 && !inbox_.empty();
    take(std::span(inbox_).first(*got));
}

task<> side::read_whole() {
    begin_operation(read_, "read_exactly");
    exactly_ = inbox_.size();
    for (std::size_t i = 0; i < exactly_; ++i)
        inbox_[i] = in_.never(i);
    const auto got = co_await as_result(
        stream_->read_exactly(inbox_).within(read_.within).cancel_on(read_.stop.get_token()));
    exactly_ = 0;
    take(std::span(inbox_).first(got ? inbox_.size() : got.error().bytes()));
    if (got)
        operation_done(read_);
    else if (got.error().code() == errc::truncated)
        read_.doing = {}; // perhaps only the end before the buffer was full: another read tells
    else
        reading_failed(got.error());
}

task<> side::read_when_readable() {
    begin_operation(read_, "readable");
    const auto ready = co_await as_result(
        stream_->readable().within(read_.within).cancel_on(read_.stop.get_token()));
    if (!ready) {
        reading_failed(ready.error());
        co_return;
    }
    operation_done(read_);
    if (!stream_)
        co_return;
    begin_operation(read_, "read", false);
    const auto before = world_.loop.counters().turns;
    co_await read_some();
    if (world_.loop.counters().turns - before > 2)
        broken("a read had to wait after readable()");
}

void side::reading_failed(const error& why) {
    if (own_doing(read_, why))
        return;
    read_over_ = true;
    read_failure_ = why.code();
    fail(read_, why);
}

/// The end stays the end, and a failure the same failure.
task<> side::end_of_reading() {
    inbox_.resize(1);
    const auto again = co_await as_result(stream_->read(inbox_));
    if (gone())
        co_return;
    if (again ? read_failure_ || *again != 0 : again.error().code() != read_failure_)
        broken(std::string("another end of reading the second time: ") +
               (again ? "none" : again.error().what()));
}

void side::take(std::span<const std::byte> arrived) {
    if (const auto complaint = in_.arrived(arrived); !complaint.empty())
        broken(complaint);
    scribble(inbox_);
}

// ---- writing ----

test::started side::writing() {
    if (plan_.shakes_hands)
        co_await shake_hands();
    while (stream_ && !write_over_ && !closing_ && out_.accepted() < plan_.total) {
        co_await pause(write_);
        if (!stream_)
            co_return;
        if (plan_.updates_keys && key_updates_left_ > 0 && write_.luck.one_in(12))
            co_await update_keys();
        else
            co_await write_some();
    }
    closing_ = true;
    while (stream_ && !write_over_ && !plan_.shuts_down)
        co_await close_write();
    if (stream_ && write_over_)
        co_await end_of_writing();
}

task<> side::shake_hands() {
    while (stream_ && !established_ && !write_over_) {
        begin_operation(write_, "handshake");
        const auto shaken = co_await as_result(
            stream_->handshake().until(write_.until).cancel_on(write_.stop.get_token()));
        if (!shaken) {
            writing_failed(shaken.error());
            established_ = write_over_; // the reader will find the same failure
            continue;
        }
        operation_done(write_);
        established_ = true;
        if (stream_ && !plan_.protocol.empty() && stream_->info().protocol != plan_.protocol)
            broken("negotiated " + stream_->info().protocol);
    }
}

task<> side::write_some() {
    outbox_.resize(std::min(write_.luck.size(plan_.size_bits), plan_.total - out_.accepted()));
    out_.begin(outbox_);
    const bool gathered = write_.luck.one_in(3);
    pieces_.clear();
    for (std::span<const std::byte> rest = outbox_; gathered && !rest.empty();) {
        const auto size = std::min(rest.size(), write_.luck.size(plan_.size_bits));
        pieces_.push_back(rest.first(size));
        rest = rest.subspan(size);
    }
    begin_operation(write_, gathered ? "gathered write" : "write");
    const auto token = write_.stop.get_token();
    if (gathered) {
        const auto done =
            co_await as_result(stream_->write(pieces_).within(write_.within).cancel_on(token));
        written(done);
    } else {
        const auto done =
            co_await as_result(stream_->write(outbox_).within(write_.within).cancel_on(token));
        written(done);
    }
}

void side::written(const result<std::size_t>& done) {
    scribble(outbox_);
    if (done) {
        if (*done != out_.under_way())
            broken("a write of " + std::to_string(out_.under_way()) + " that completed with " +
                   std::to_string(*done));
        out_.completed();
        operation_done(write_);
        return;
    }
    if (done.error().bytes() > out_.under_way())
        broken("a write that accepted more than it was given");
    out_.cut_short(done.error().bytes());
    writing_failed(done.error());
}

/// Beside a key update that waits only a write may begin.
task<> side::let_rider_end() {
    while (stream_ && riding_ && !rider_.ended())
        co_await world_.loop.yield();
}

task<> side::update_keys() {
    co_await let_rider_end();
    if (!stream_ || key_updates_left_ == 0)
        co_return;
    --key_updates_left_;
    const auto request =
        write_.luck.one_in(2) ? key_update_request::requested : key_update_request::not_requested;
    begin_operation(write_, "key_update");
    const auto updated = co_await as_result(
        stream_->key_update(request).within(write_.within).cancel_on(write_.stop.get_token()));
    if (updated || updated.error().code() == errc::key_update_refused)
        operation_done(write_);
    else
        writing_failed(updated.error());
}

task<> side::close_write() {
    co_await let_rider_end();
    if (!stream_)
        co_return;
    begin_operation(write_, "close_write");
    const auto closed = co_await as_result(
        stream_->close_write().until(write_.until).cancel_on(write_.stop.get_token()));
    if (!closed) {
        writing_failed(closed.error());
        co_return;
    }
    operation_done(write_);
    write_over_ = true;
}

void side::writing_failed(const error& why) {
    if (own_doing(write_, why))
        return;
    write_over_ = true;
    write_failure_ = why.code();
    fail(write_, why);
}

/// Nothing can be written any more, for the same reason each time, or for an alert that turned out
/// to lie behind it.
task<> side::end_of_writing() {
    const auto again = co_await as_result(stream_->write("late"));
    if (gone())
        co_return;
    if (again)
        broken("a write after the end of writing");
    const auto& why = again.error();
    const bool expected = write_failure_ ? why.code() == write_failure_ || why.alert()
                                         : why.code() == errc::write_closed;
    if (!expected && !(!write_failure_ && judge_.may_fail(why)))
        broken(std::string("another end of writing the second time: ") + why.what());
}

test::started side::shutting_down() {
    while (stream_ && !write_over_) {
        co_await let_rider_end();
        if (!stream_)
            co_return;
        begin_operation(write_, "shutdown");
        const auto ended = co_await as_result(
            stream_->shutdown().until(write_.until).cancel_on(write_.stop.get_token()));
        if (ended)
            operation_done(write_);
        else
            writing_failed(ended.error());
        read_over_ = write_over_ = ended || write_over_;
    }
}

// ---- limits and failures ----

task<> side::pause(direction& in) {
    for (auto turns = in.luck.size(plan_.rest_bits); turns > 0 && stream_; --turns)
        co_await world_.loop.yield();
}

void side::begin_operation(direction& in, std::string_view what, bool limited) {
    in.doing = what;
    in.overdue = 0;
    in.within = loop_clock::duration::max();
    in.until = loop_clock::time_point::max();
    in.stop = std::stop_source(std::nostopstate);
    if (!limited)
        return;
    if (in.luck.one_in(2))
        in.stop = std::stop_source();
    if (limits_left_ == 0 || !in.luck.one_in(4))
        return;
    --limits_left_;
    in.within = in.luck.size(5) * 1ms;
    in.until = world_.clock.now() + in.within;
}

/// An operation that was stopped, or is late, ends soon.
void side::check_limits(direction& which) {
    const bool stopped = which.stop.stop_requested() && world_.elsewhere.idle();
    const bool late = world_.clock.now() >= which.until;
    if (!which.doing.empty() && (stopped || late) && ++which.overdue > 3)
        broken("a limit that " + std::string(which.doing) + " takes no notice of");
}

void side::operation_done(direction& in) {
    world_.count.operation_ended(in.doing, "done");
    in.doing = {};
}

/// Whether this ended by a limit of its own, or by this side's leaving, and is to be tried again
/// if there is still anybody to try.
bool side::own_doing(direction& in, const error& why) {
    const bool canceled = why.code() == errc::canceled && (gone() || in.stop.stop_requested());
    const bool late = why.code() == errc::timed_out && world_.clock.now() >= in.until;
    if (!canceled && !late)
        return false;
    world_.count.operation_ended(in.doing, canceled ? "canceled" : "timed out");
    in.doing = {};
    return true;
}

void side::broken(const std::string& promise) const {
    judge_.broken(std::string(plan_.name) + ": " + promise);
}

void side::fail(direction& in, const error& why) {
    world_.count.operation_ended(in.doing, "failed");
    in.doing = {};
    if (!judge_.may_fail(why))
        broken(std::string("a failure: ") + why.what());
    if (!failure_)
        failure_ = why;
}

// ---- disturbances ----

void side::disturb() {
    ++disturbances_;
    const bool reads =
        read_.doing.empty() == write_.doing.empty() ? trouble_.one_in(2) : !read_.doing.empty();
    auto& which = reads ? read_ : write_;
    switch (trouble_.below(6)) {
    case 0:
    case 1:
        stop(which);
        return;
    case 2:
        if (!which.alive || (&which == &write_ && !out_.may_forget()))
            return;
        world_.count.disturbed("frame destroyed");
        destroy(which);
        which.rest = trouble_.size(5);
        return;
    case 3:
        world_.count.disturbed("stream moved");
        stream_ = std::make_unique<stream>(std::move(*stream_));
        return;
    case 4:
        probe();
        return;
    case 5:
        ride();
        return;
    }
}

void side::stop(direction& which) {
    if (which.doing.empty() || !which.stop.stop_possible())
        return;
    const bool here = trouble_.one_in(2);
    world_.count.disturbed(here ? "stop requested" : "stop requested by another thread");
    if (here)
        which.stop.request_stop();
    else
        world_.elsewhere.request_stop(which.stop);
}

/// A cancel that nobody hears of.
void side::destroy(direction& which) {
    which.frame.destroy();
    which.alive = false;
    which.doing = {};
    if (&which == &read_)
        take_unheard();
    else if (out_.under_way() > 0)
        out_.forget();
    scribble(&which == &read_ ? inbox_ : outbox_);
}

/// What a read_exactly had read before its frame was destroyed.
void side::take_unheard() {
    std::size_t count = 0;
    while (count < exactly_ && inbox_[count] != in_.never(count))
        ++count;
    exactly_ = 0;
    take(std::span(inbox_).first(count));
}

/// A second operation in a direction fails at once, and disturbs nothing.
void side::probe() {
    const bool both = write_.doing == "handshake" || write_.doing == "shutdown";
    const bool reads = trouble_.one_in(2);
    if (reads ? read_.doing.empty() && !both : write_.doing.empty())
        return;
    world_.count.disturbed("second operation");
    const auto second = probing(reads);
    if (!second.ended())
        broken("a second operation that waits");
    second.check();
}

test::started side::probing(bool reads) {
    std::byte one{};
    const std::span into(&one, 1);
    std::error_code code;
    if (reads) {
        const auto ended = co_await as_result(stream_->read(into));
        code = ended ? code : ended.error().code();
    } else {
        const auto ended = co_await as_result(stream_->write("x"));
        code = ended ? code : ended.error().code();
    }
    if (code != errc::busy)
        broken("a second operation that was let through");
}

void side::ride() {
    if (riding_) {
        world_.count.disturbed("key update destroyed");
        rider_.destroy();
        riding_ = false;
        return;
    }
    if (!plan_.updates_keys || key_updates_left_ == 0 ||
        (write_.doing != "write" && write_.doing != "gathered write"))
        return;
    --key_updates_left_;
    world_.count.disturbed("key update beside a write");
    riding_ = true;
    rider_ = riding(trouble_.one_in(2) ? key_update_request::requested
                                       : key_update_request::not_requested);
}

test::started side::riding(key_update_request request) {
    const auto updated = co_await as_result(stream_->key_update(request));
    if (updated || gone() || updated.error().code() == errc::key_update_refused ||
        updated.error().code() == errc::write_closed)
        co_return;
    if (!judge_.may_fail(updated.error()))
        broken(std::string("a key update beside a write: ") + updated.error().what());
}

void side::leave() {
    if (gone())
        return;
    const auto way = trouble_.below(3);
    const auto destroy_frames = [&] {
        destroy(read_);
        destroy(write_);
        rider_.destroy();
        riding_ = false;
    };
    if (way == 0)
        destroy_frames();
    stream_.reset();
    if (way == 1)
        destroy_frames();
}

// ---- what others ask ----

bool side::over() const {
    const bool idle = !read_.alive && !write_.alive && !riding_;
    return idle && (gone() || (read_over_ && write_over_));
}

std::size_t side::progress() const noexcept {
    std::size_t steps = 0;
    for (const bool each : {established_, closing_, read_over_, write_over_, deaf_, gone(),
                            !read_.alive, !write_.alive, !riding_})
        steps += each ? 1 : 0;
    if (stream_) // what a shutdown drops, too
        steps += stream_->counters().bytes_received + stream_->counters().bytes_sent;
    return in_.received() + out_.accepted() + disturbances_ + steps;
}

std::string side::state() const {
    std::string text;
    if (gone())
        text += "gone, ";
    text += "reading: " + std::string(read_over_ ? "over" : read_.doing) +
            ", writing: " + std::string(write_over_ ? "over" : write_.doing) + ", read " +
            std::to_string(in_.received()) + ", written " + std::to_string(out_.accepted()) +
            " of " + std::to_string(plan_.total);
    if (stream_ && stream_->counters().spills > 0)
        text += ", spills " + std::to_string(stream_->counters().spills);
    if (failure_)
        text += std::string(", failed: ") + failure_->what();
    return text;
}

} // namespace ringtls::soak
