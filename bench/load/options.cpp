// SPDX-License-Identifier: MIT
// The command line of the load generator.
#include "options.hpp"

#include <getopt.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <utility>

namespace load {

namespace {

constexpr auto usage =
    "usage: load --port P --work echo|sink|source|both|handshake|idle|http [--pid SERVER] "
    "[--connections N] [--active M] [--size BYTES] [--series SIZE:ACTIVE,...] [--warm SECONDS] "
    "[--seconds S] [--requests R] "
    "[--tls 1.2|1.3] [--resume] [--plain] [--allocations FILE]";

constexpr std::array<std::pair<std::string_view, work>, 7> works = {{{"echo", work::echo},
                                                                     {"sink", work::sink},
                                                                     {"source", work::source},
                                                                     {"both", work::both},
                                                                     {"handshake", work::handshake},
                                                                     {"idle", work::idle},
                                                                     {"http", work::http}}};

template<class Number>
Number number(std::string_view text) {
    Number value{};
    const char* const end = std::to_address(text.end());
    if (const auto result = std::from_chars(std::to_address(text.begin()), end, value);
        result.ec != std::errc() || result.ptr != end || value < Number{})
        throw std::invalid_argument("not a number in range: " + std::string(text));
    return value;
}

std::vector<echo_setting> parse_series(std::string_view text) {
    std::vector<echo_setting> series;
    for (bool more = true; more;) {
        const auto comma = text.find(',');
        const auto one = text.substr(0, comma);
        const auto colon = std::min(one.find(':'), one.size() - 1);
        series.push_back({number<std::size_t>(one.substr(0, colon)),
                          number<std::size_t>(one.substr(colon + 1))});
        more = comma != std::string_view::npos;
        text.remove_prefix(more ? comma + 1 : text.size());
    }
    return series;
}

void set_work(options& to, std::string_view text) {
    for (const auto& [name, kind] : works)
        if (name == text) {
            to.kind = kind;
            to.kind_name = name;
            return;
        }
    throw std::invalid_argument("unknown work: " + std::string(text));
}

int protocol(std::string_view text) {
    if (text == "1.2")
        return TLS1_2_VERSION;
    if (text == "1.3")
        return TLS1_3_VERSION;
    throw std::invalid_argument("unknown version of TLS: " + std::string(text));
}

bool is_bulk(work kind) {
    return kind == work::sink || kind == work::source || kind == work::both;
}

/// Fills in what depends on the work, and refuses what does not fit it.
void complete(options& to, bool has_size) {
    if (to.port == 0 || to.kind_name.empty())
        throw std::invalid_argument(usage);
    if (to.connections == 0)
        to.connections = to.kind == work::handshake ? 16 : 1;
    if (to.active == 0 || to.active > to.connections)
        to.active = to.connections;
    if (!has_size)
        to.size = is_bulk(to.kind) ? 65536 : 64;
    if (to.size == 0 && to.kind != work::idle)
        throw std::invalid_argument("--size 0 is for --work idle alone");
    if (to.plain && to.kind == work::handshake)
        throw std::invalid_argument("--work handshake needs TLS");
    if (to.resume && to.kind != work::handshake)
        throw std::invalid_argument("--resume is for --work handshake");
    if (to.requests != 0 && to.kind != work::echo && to.kind != work::handshake &&
        to.kind != work::http)
        throw std::invalid_argument("--requests is for --work echo, handshake and http");
    if (!to.series.empty() && to.kind != work::echo)
        throw std::invalid_argument("--series is for --work echo");
    if (to.series.empty())
        to.series.push_back({to.size, to.active});
    for (auto& [size, active] : to.series)
        if (active == 0 || active > to.connections || (size == 0 && to.kind == work::echo))
            throw std::invalid_argument("--series: not on so many connections");
}

} // namespace

options parse_options(int count, char** arguments) {
    enum { port = 1, pid, kind, connections, active, size, series, warm, seconds, requests };
    enum { tls = requests + 1, resume, plain, allocations };
    static constexpr std::array<option, 15> known = {
        {{"port", required_argument, nullptr, port},
         {"pid", required_argument, nullptr, pid},
         {"work", required_argument, nullptr, kind},
         {"connections", required_argument, nullptr, connections},
         {"active", required_argument, nullptr, active},
         {"size", required_argument, nullptr, size},
         {"series", required_argument, nullptr, series},
         {"warm", required_argument, nullptr, warm},
         {"seconds", required_argument, nullptr, seconds},
         {"requests", required_argument, nullptr, requests},
         {"tls", required_argument, nullptr, tls},
         {"resume", no_argument, nullptr, resume},
         {"plain", no_argument, nullptr, plain},
         {"allocations", required_argument, nullptr, allocations},
         {}}};
    options result;
    result.tls = TLS1_3_VERSION;
    bool has_size = false;
    opterr = 0;
    for (;;) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
        const int chosen = getopt_long(count, arguments, "", known.data(), nullptr);
        if (chosen == -1)
            break;
        const std::string_view text = optarg == nullptr ? "" : optarg;
        switch (chosen) {
        case port:
            result.port = number<std::uint16_t>(text);
            break;
        case pid:
            result.server = number<pid_t>(text);
            break;
        case kind:
            set_work(result, text);
            break;
        case connections:
            result.connections = number<std::size_t>(text);
            break;
        case active:
            result.active = number<std::size_t>(text);
            break;
        case size:
            result.size = number<std::size_t>(text);
            has_size = true;
            break;
        case series:
            result.series = parse_series(text);
            break;
        case warm:
            result.warm = number<double>(text);
            break;
        case seconds:
            result.seconds = number<double>(text);
            break;
        case requests:
            result.requests = number<std::uint64_t>(text);
            break;
        case tls:
            result.tls = protocol(text);
            break;
        case resume:
            result.resume = true;
            break;
        case plain:
            result.plain = true;
            break;
        case allocations:
            result.allocations = text;
            break;
        default:
            throw std::invalid_argument(usage);
        }
    }
    if (optind != count)
        throw std::invalid_argument(usage);
    complete(result, has_size);
    return result;
}

std::string_view protocol_name(const options& options) {
    if (options.plain)
        return "plain";
    return options.tls == TLS1_3_VERSION ? "1.3" : "1.2";
}

} // namespace load
