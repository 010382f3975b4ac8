// SPDX-License-Identifier: MIT
// One handshake between settings: how it ends for both sides, and what each then knows.
#pragma once

#include "loopback.hpp"

#include <optional>

namespace ringtls::test {

struct shaken_end {
    std::optional<error> failure;
    connection_info info; ///< empty after a failure
};

struct shaken {
    shaken_end client;
    shaken_end server;
};

/// A client of TLS 1.3 is done before the server has judged its certificate: it hears of that when
/// it reads.
inline task<> shake_and_listen(stream& with, shaken_end& ended) {
    const auto done = co_await as_result(with.handshake());
    if (!done) {
        ended.failure = done.error();
        drop(with);
        co_return;
    }
    ended.info = with.info();
    std::array<std::byte, 8> buffer;
    const auto count = co_await as_result(with.read(buffer));
    if (!count)
        ended.failure = count.error();
}

inline task<> shake_and_close(stream& with, shaken_end& ended) {
    const auto done = co_await as_result(with.handshake());
    if (!done) {
        ended.failure = done.error();
        drop(with);
        co_return;
    }
    ended.info = with.info();
    (void)co_await as_result(with.close_write());
}

inline shaken shake(const client_settings& client, const server_settings& server,
                    const std::string& name = "localhost") {
    event_loop loop;
    const client_context c(client);
    const server_context s(server);
    stream_pair ends(connected_pair(loop), c, s, name);
    shaken both;
    loop.spawn(shake_and_close(ends.server, both.server));
    loop.spawn(shake_and_listen(ends.client, both.client));
    loop.run();
    return both;
}

/// What the making of a context with these settings fails with.
template<class Context, class Settings>
std::optional<error> refusal_of(const Settings& settings) {
    try {
        const Context made(settings);
        return std::nullopt;
    } catch (const error& refused) {
        return refused;
    }
}
inline std::optional<error> refusal(const client_settings& settings) {
    return refusal_of<client_context>(settings);
}
inline std::optional<error> refusal(const server_settings& settings) {
    return refusal_of<server_context>(settings);
}

} // namespace ringtls::test
