// SPDX-License-Identifier: MIT
#include "swarm_report.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <system_error>
#include <utility>

namespace sample {
namespace {

struct percentile {
    const char* name;
    double share;
};
constexpr std::array<percentile, 5> percentiles{
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}};

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

double milliseconds(std::chrono::nanoseconds time) {
    return seconds(time) * 1e3;
}

double rate(std::uint64_t count, std::chrono::nanoseconds time) {
    return time.count() > 0 ? double(count) / seconds(time) : 0;
}

/// RFC 8259, section 7.
std::string json_string(const std::string& text) {
    std::string quoted = "\"";
    for (const char byte : text) {
        if (byte == '"' || byte == '\\')
            quoted += '\\';
        quoted += byte >= 0 && byte < 0x20 ? ' ' : byte;
    }
    return quoted + "\"";
}

void flush_stdout() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
        throw std::system_error(errno, std::system_category(), "stdout");
}

} // namespace

std::string swarm_report::what_failed() const {
    std::string line = std::to_string(failed()) + " of " + std::to_string(connections_) +
                       " connections failed, " + std::to_string(messages_ - latency.count()) +
                       " of " + std::to_string(messages_) + " messages were lost";
    const auto most = std::max_element(failures.begin(), failures.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    return most == failures.end() ? line : line + ": " + most->first;
}

void swarm_report::print_text() const {
    std::printf("connections  %zu of %zu held at once, made in %.3f s (%.0f/s)\n", connected,
                connections_, seconds(connecting), rate(connected, connecting));
    std::printf("messages     %" PRIu64 " of %" PRIu64 " echoed in %.3f s (%.0f/s)\n",
                latency.count(), messages_, seconds(echoing), rate(latency.count(), echoing));
    std::printf("bytes        %" PRIu64 " echoed (%.1f MiB/s each way)\n", bytes,
                rate(bytes, echoing) / (1024.0 * 1024.0));
    std::printf("latency     ");
    for (const auto& [name, share] : percentiles)
        std::printf(" %s %.3f ms", name, milliseconds(latency.percentile(share)));
    std::printf("\nfailures     %zu\n", failed());
    for (const auto& [reason, count] : failures)
        std::printf("%11zu  %s\n", count, reason.c_str());
    flush_stdout();
}

void swarm_report::print_json() const {
    std::printf("{\"connections\": %zu, \"connected\": %zu, \"connect_seconds\": %.6f,\n",
                connections_, connected, seconds(connecting));
    std::printf(" \"messages\": %" PRIu64 ", \"messages_echoed\": %" PRIu64
                ", \"messages_lost\": %" PRIu64 ",\n",
                messages_, latency.count(), messages_ - latency.count());
    std::printf(" \"bytes_echoed\": %" PRIu64 ", \"echo_seconds\": %.6f,"
                " \"messages_per_second\": %.3f,\n",
                bytes, seconds(echoing), rate(latency.count(), echoing));
    std::printf(" \"latency_seconds\": {");
    for (const char* separator = ""; const auto& [name, share] : percentiles)
        std::printf("%s\"%s\": %.9f", std::exchange(separator, ", "), name,
                    seconds(latency.percentile(share)));
    std::printf("},\n \"failures\": {");
    for (const char* separator = ""; const auto& [reason, count] : failures)
        std::printf("%s%s: %zu", std::exchange(separator, ", "), json_string(reason).c_str(),
                    count);
    std::printf("}}\n");
    flush_stdout();
}

void swarm_report::print_progress() const {
    std::fprintf(stderr,
                 "\r\033[K%zu/%zu connections, %" PRIu64 "/%" PRIu64 " messages, %zu failed",
                 connected, connections_, latency.count(), messages_, failed());
}

void swarm_report::clear_progress() {
    std::fputs("\r\033[K", stderr);
}

std::size_t swarm_report::failed() const {
    std::size_t sum = 0;
    for (const auto& [reason, count] : failures)
        sum += count;
    return sum;
}

} // namespace sample
