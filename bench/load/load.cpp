// SPDX-License-Identifier: MIT
// The load generator of the benchmark: one thread, OpenSSL and epoll, the same for all servers.
// Prints one JSON object; when something fails, one line on stderr, and exits with 1.
//
// Latencies are from just before a request is encrypted to just after its whole answer is
// decrypted and checked, so they hold the wait behind other connections of the load as well.
#include "works.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <exception>

namespace {

void allow_many_descriptors() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void run(const load::options& options) {
    switch (options.kind) {
    case load::work::echo:
        return load::run_echo(options);
    case load::work::sink:
    case load::work::source:
    case load::work::both:
        return load::run_bulk(options);
    case load::work::handshake:
        return load::run_handshakes(options);
    case load::work::http:
        return load::run_http(options);
    case load::work::idle:
        return load::run_idle(options);
    }
}

} // namespace

int main(int count, char** arguments) {
    try {
        allow_many_descriptors();
        run(load::parse_options(count, arguments));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "load: %s\n", error.what());
        return 1;
    }
}
