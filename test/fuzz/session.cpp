// SPDX-License-Identifier: MIT
// A session that was kept somewhere.
#include "support.hpp"

#include <ringtls/tls/session.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    fuzz::reset_openssl();
    try {
        const auto read = session::deserialize(std::as_bytes(std::span(data, size)));
        const auto again = session::deserialize(read.serialize().bytes());
        fuzz::require(again.server_name() == read.server_name(), "a session keeps its name");
        fuzz::require(again.single_use() == read.single_use(), "and its version");
        fuzz::require(again.early_data_limit() == read.early_data_limit(), "and its limit");
        static_cast<void>(read.expires());
    } catch (const error& failure) {
        fuzz::check_error(failure);
    }
    return 0;
}
