// SPDX-License-Identifier: MIT
// What the kinds of load print in the same way.
#pragma once

#include "histogram.hpp"
#include "json.hpp"
#include "options.hpp"

#include <cstdio>

namespace load {

inline json_object begin_report(const options& options) {
    json_object report;
    report.add("work", options.kind_name).add("tls", protocol_name(options));
    report.add("connections", options.connections);
    return report;
}

inline void add_latencies(json_object& to, const histogram& latencies) {
    const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) * 1e-3; };
    to.add("p50_us", us(latencies.percentile(0.5))).add("p90_us", us(latencies.percentile(0.9)));
    to.add("p99_us", us(latencies.percentile(0.99)));
    to.add("p999_us", us(latencies.percentile(0.999))).add("max_us", us(latencies.max()));
}

inline void print(const json_object& report) {
    std::puts(report.text().c_str());
    std::fflush(stdout);
}

} // namespace load
