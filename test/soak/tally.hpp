// SPDX-License-Identifier: MIT
// What a soak run did, counted.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

namespace ringtls::soak {

class tally {
  public:
    std::uint64_t connections = 0;
    std::uint64_t rounds = 0;
    std::uint64_t to_server = 0; ///< bytes read by servers
    std::uint64_t to_client = 0;
    std::size_t most_at_once = 0;
    std::size_t most_descriptors = 0;
    std::size_t most_heap = 0;
    std::size_t most_polls = 0;
    std::size_t longest_stall = 0; ///< turns of the loop in which a connection got nowhere

    void connection_ended(const std::string& how) { ++ends_[how]; }
    void operation_ended(std::string_view name, std::string_view how) {
        ++operations_[std::string(name)][std::string(how)];
    }
    void disturbed(const std::string& how) { ++disturbances_[how]; }

    void print() const {
        std::printf("connections: %llu in %llu rounds, at most %zu at once\n", number(connections),
                    number(rounds), most_at_once);
        print_line("ends", ends_);
        for (const auto& [name, ends] : operations_)
            print_line(name, ends);
        print_line("disturbances", disturbances_);
        std::printf("bytes: %llu to servers, %llu to clients\n", number(to_server),
                    number(to_client));
        std::printf(
            "most: %zu descriptors, %zu KiB of heap, %zu polls, %zu turns without progress\n",
            most_descriptors, most_heap / 1024, most_polls, longest_stall);
    }

  private:
    using counts = std::map<std::string, std::uint64_t>;

    static unsigned long long number(std::uint64_t value) { return value; }
    static void print_line(const std::string& name, const counts& what) {
        std::printf("%s:", name.c_str());
        const char* before = " ";
        for (const auto& [how, count] : what) {
            std::printf("%s%llu %s", before, number(count), how.c_str());
            before = ", ";
        }
        std::puts("");
    }

    counts ends_;
    counts disturbances_;
    std::map<std::string, counts> operations_;
};

} // namespace ringtls::soak
