// SPDX-License-Identifier: MIT
// Our server against a peer that does whatever the script says.
#include "script.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ringtls::fuzz::run_script(ringtls::fuzz::role::server, {data, size});
    return 0;
}
