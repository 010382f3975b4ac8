// SPDX-License-Identifier: MIT
// One short connection after another, as sessions are made and resumed.
#pragma once

#include "loopback.hpp"

#include <functional>
#include <optional>
#include <string>

namespace ringtls::test {

/// What came of a connection.
struct visit {
    bool resumed = false;                    ///< both ends agree on that
    std::optional<ringtls::session> session; ///< the client's afterwards
};

/// Handshake, one byte from the server (behind its tickets), and a clean end. before: is called
/// with the client's stream before the handshake.
inline visit visit_once(const client_context& client, const server_context& server,
                        const std::string& name = "localhost",
                        const std::function<void(stream&)>& before = nullptr) {
    event_loop loop;
    stream_pair ends(connected_pair(loop), client, server, name);
    if (before)
        before(ends.client);
    CHECK(!ends.client.resumed());
    run_all(loop, shake_hands(ends.client), shake_hands(ends.server));
    std::array<std::byte, 1> one{};
    run_all(loop, write_all(ends.server, one), read_all(ends.client, one));
    visit made{ends.client.resumed(), ends.client.session()};
    CHECK(ends.server.resumed() == made.resumed);
    CHECK(ends.client.info().resumed == made.resumed);
    run_all(loop, shut_down(ends.client), shut_down(ends.server));
    return made;
}

/// The same, with this session.
inline visit visit_with(const ringtls::session& session, const client_context& client,
                        const server_context& server, const std::string& name = "localhost") {
    return visit_once(client, server, name, [&](stream& with) { with.resume(session); });
}

} // namespace ringtls::test
