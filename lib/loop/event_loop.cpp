// SPDX-License-Identifier: MIT
#include <ringtls/loop/event_loop.hpp>

#include "loop_core.hpp"

#include <poll.h>

namespace ringtls {

static_assert(static_cast<short>(poll_events::readable) == POLLIN);
static_assert(static_cast<short>(poll_events::writable) == POLLOUT);
static_assert(static_cast<short>(poll_events::error) == POLLERR);
static_assert(static_cast<short>(poll_events::hangup) == POLLHUP);

event_loop::event_loop(const event_loop_options& options)
    : core_(std::make_unique<detail::loop_core>(options)) {}

event_loop::~event_loop() {
    core_->destroy_tasks();
}

void event_loop::run() {
    core_->run();
}
void event_loop::run_to_end(task<> work) {
    core_->run_to_end(std::move(work));
}
int event_loop::descriptor() {
    return core_->descriptor();
}
bool event_loop::run_ready() {
    return core_->run_ready();
}
void event_loop::spawn(task<> work) {
    core_->spawn(std::move(work));
}
void event_loop::post(std::function<void()> call) {
    core_->post(std::move(call));
}
void event_loop::stop() noexcept {
    core_->stop();
}

void event_loop::on_unhandled(std::function<void(std::exception_ptr)> handler) {
    core_->unhandled = std::move(handler);
}

loop_clock::time_point event_loop::now() const noexcept {
    return core_->now();
}
std::string_view event_loop::driver() const noexcept {
    return core_->driver_name();
}
std::string_view event_loop::driver_reason() const noexcept {
    return core_->driver_reason();
}
event_loop_counters event_loop::counters() const noexcept {
    return core_->counters();
}

} // namespace ringtls
