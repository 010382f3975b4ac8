// SPDX-License-Identifier: MIT
// Mutated recordings of honest conversations, of both roles.
#include "replay.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ringtls::fuzz::input all(data, size);
    const auto head = all.byte();
    ringtls::fuzz::replay({head, all.rest()});
    return 0;
}
