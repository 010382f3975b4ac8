// SPDX-License-Identifier: MIT
#include "replay.hpp"

namespace ringtls::fuzz {
namespace {

/// What our side does, recorded or replayed.
void do_our_part(conversation& on) {
    on.start(call::kind::write, 200, limits());
    on.keep_reading();
}

task<> hold(conversation& on, recording what) {
    do_our_part(on);
    co_await on.converse(6);
    on.peer_write(100);
    if (what.how() == manner::renegotiating && what.ours() == role::client)
        on.peer_renegotiates(); // a server's ticket has the time in it, and is a part of the next
                                // one
    co_await on.converse(4);
    on.peer_updates_keys(1, true);
    on.peer_write(199);
    on.peer_updates_keys(1, false);
    on.peer_write(1);
    on.peer_closes();
    co_await on.converse(4);
}

task<> hear(conversation& on, recording what) {
    do_our_part(on);
    on.expect(what_peer_writes);
    while (!what.sent.empty()) {
        const auto size = std::min(what.piece(), what.sent.size());
        on.send_raw(what.sent.first(size));
        what.sent = what.sent.subspan(size);
        co_await on.turn();
    }
    on.finish_sending();
    co_await on.finish();
}

} // namespace

bytes record(std::uint8_t head) {
    const recording what{head, {}};
    auto& world = world::of(what.ours());
    conversation held(world, what.how(), 0);
    world.loop.run(hold(held, what));
    bytes made = {static_cast<std::byte>(head)};
    made.insert(made.end(), held.forwarded().begin(), held.forwarded().end());
    return made;
}

std::size_t replay(const recording& what) {
    auto& world = world::of(what.ours());
    conversation held(world, what.how(), 0);
    world.loop.run(hear(held, what));
    return held.bytes_read();
}

} // namespace ringtls::fuzz
