// SPDX-License-Identifier: MIT
// Chooses the driver.
#include "driver.hpp"

#include <cstdlib>
#include <system_error>

namespace ringtls::detail {
namespace {

[[noreturn]] void refuse(std::string subject, std::string reason) {
    auto details = std::make_shared<error_details>();
    details->subject = std::move(subject);
    details->reason = std::move(reason);
    throw error(errc::no_driver, "event_loop", std::move(details));
}

/// Whatever io_uring is refused with, for a filter of system calls may answer anything: but for a
/// lack of descriptors, which passes, and which epoll would suffer from as well.
bool is_for_good(const error& refusal) {
    return refusal.code() != std::errc::too_many_files_open &&
           refusal.code() != std::errc::too_many_files_open_in_system;
}

std::unique_ptr<driver> make_best_driver(std::string& reason) {
    try {
        return make_io_uring_driver();
    } catch (const error& refusal) {
        if (!is_for_good(refusal))
            throw;
        reason = refusal.what();
    }
    try {
        return make_epoll_driver();
    } catch (const error& refusal) {
        refuse("neither io_uring nor epoll", reason + "; " + refusal.what());
    }
}

} // namespace

std::unique_ptr<driver> make_driver(std::string_view name, std::string& reason) {
    if (name.empty()) {
        // Read once, while a loop is made; nobody here changes the environment.
        const char* forced = std::getenv("RINGTLS_DRIVER"); // NOLINT(concurrency-mt-unsafe)
        name = forced ? forced : "";
    }
    if (name.empty())
        return make_best_driver(reason);
    if (name == "io_uring")
        return make_io_uring_driver();
    if (name == "epoll")
        return make_epoll_driver();
    refuse("driver " + std::string(name), "this build knows io_uring and epoll");
}

} // namespace ringtls::detail
