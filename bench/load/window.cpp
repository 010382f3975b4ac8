// SPDX-License-Identifier: MIT
// The time in which is measured: the clock, and what the load and the server used in it.
#include "window.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>

namespace load {

namespace {

std::uint64_t read_clock(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

std::optional<cpu_usage> server_cpu_now(const options& options) {
    return options.server == 0 ? std::nullopt : std::optional(cpu_of(options.server));
}

} // namespace

std::uint64_t now() {
    return read_clock(CLOCK_MONOTONIC);
}

allocation_counter::allocation_counter(const std::string& file) {
    if (file.empty())
        return;
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        throw std::system_error(errno, std::system_category(), file);
    mapped_ = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (mapped_ == MAP_FAILED)
        throw std::system_error(errno, std::system_category(), file);
}

allocation_counter::~allocation_counter() {
    if (mapped_ != nullptr)
        ::munmap(mapped_, sizeof(std::uint64_t));
}

std::optional<std::uint64_t> allocation_counter::value() const {
    if (mapped_ == nullptr)
        return std::nullopt;
    return __atomic_load_n(static_cast<const std::uint64_t*>(mapped_), __ATOMIC_RELAXED);
}

window::window(const options& options, const allocation_counter& counter)
    : options_(options),
      counter_(counter),
      server_before_(server_cpu_now(options)),
      allocations_before_(counter.value()),
      load_cpu_(read_clock(CLOCK_PROCESS_CPUTIME_ID)),
      opened_(now()) {}

void window::close() {
    closed_ = now();
    load_cpu_ = read_clock(CLOCK_PROCESS_CPUTIME_ID) - load_cpu_;
    allocations_after_ = counter_.value();
    server_after_ = server_cpu_now(options_);
}

double window::seconds() const {
    return static_cast<double>(closed_ - opened_) * 1e-9;
}

std::optional<double> window::server_cpu() const {
    if (!server_after_)
        return std::nullopt;
    return static_cast<double>(server_after_->nanoseconds - server_before_->nanoseconds) * 1e-9;
}

void window::report(json_object& to) const {
    to.add("load_cpu", static_cast<double>(load_cpu_) * 1e-9 / seconds());
    const auto cpu = server_cpu();
    std::optional<double> user;
    std::optional<double> system;
    std::optional<std::uint64_t> rss;
    if (cpu) {
        const auto user_ticks = server_after_->user_ticks - server_before_->user_ticks;
        const auto ticks = user_ticks + server_after_->system_ticks - server_before_->system_ticks;
        if (ticks > 0) {
            user = *cpu * static_cast<double>(user_ticks) / static_cast<double>(ticks);
            system = *cpu - *user;
        }
        rss = memory_of(options_.server).rss_kib;
    }
    std::optional<std::uint64_t> allocations;
    if (allocations_after_)
        allocations = *allocations_after_ - *allocations_before_;
    to.add("server_user_s", user).add("server_system_s", system).add("server_cpu_s", cpu);
    to.add("server_rss_kib", rss).add("allocations", allocations);
}

} // namespace load
