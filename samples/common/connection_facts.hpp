// SPDX-License-Identifier: MIT
// What --verbose tells of a connection.
#pragma once

#include <ringtls/tls/connection_info.hpp>

#include <cstdio>

namespace sample {

inline void print_facts(const ringtls::connection_info& info) {
    const auto print = [](const char* label, const std::string& value) {
        std::fprintf(stderr, "%-9s %s\n", label, value.empty() ? "none" : value.c_str());
    };
    print("protocol:", info.protocol);
    print("cipher:", info.cipher);
    print("group:", info.group);
    print("alpn:", info.alpn);
    print("peer:", info.peer ? info.peer->subject : "");
    print("key:", info.peer ? info.peer->key_fingerprint() : "");
    print("verify:", info.verify_result);
    print("resumed:", info.resumed ? "yes" : "no");
}

} // namespace sample
