// SPDX-License-Identifier: MIT
// Our client against a peer that does whatever the script says.
#include "script.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ringtls::fuzz::run_script(ringtls::fuzz::role::client, {data, size});
    return 0;
}
