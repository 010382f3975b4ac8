// SPDX-License-Identifier: MIT
// Chooses the driver.
#include "driver.hpp"

#include <cstdlib>
#include <string>

namespace ringtls::detail {

std::unique_ptr<driver> make_driver(std::string_view name) {
    if (name.empty()) {
        // Read once, while a loop is made; nobody here changes the environment.
        const char* forced = std::getenv("RINGTLS_DRIVER"); // NOLINT(concurrency-mt-unsafe)
        name = forced ? forced : "";
    }
    if (name.empty() || name == "io_uring")
        return make_io_uring_driver();
    auto details = std::make_shared<error_details>();
    details->subject = "driver " + std::string(name);
    details->reason = "this build knows io_uring";
    throw error(errc::no_driver, "event_loop", std::move(details));
}

} // namespace ringtls::detail
