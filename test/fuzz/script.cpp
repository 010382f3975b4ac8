// SPDX-License-Identifier: MIT
#include "script.hpp"

namespace ringtls::fuzz {
namespace {

using namespace std::chrono_literals;

class player {
  public:
    player(conversation& on, input& script) : on_(on), script_(script) {}

    task<> play() {
        while (!script_.empty()) {
            const unsigned byte = script_.byte();
            const auto what = static_cast<deed>(byte % deeds);
            if (what == deed::converse)
                co_await on_.converse(script_.byte() % 16);
            else if (!peer_does(what))
                we_do(what);
            for (unsigned turns = byte >> 6; turns > 0; --turns)
                co_await on_.turn();
        }
        co_await on_.finish();
    }

  private:
    /// False if it is no doing of the peer's.
    bool peer_does(deed what);
    void we_do(deed what);

    /// A byte: odd for a deadline, in tenths of a second; its second bit for a stop.
    limits take_limits() {
        const unsigned byte = script_.byte();
        limits made;
        if ((byte & 1) != 0)
            made.until(on_.loop().now() + (byte >> 2) * 100ms);
        if ((byte & 2) != 0)
            made.cancel_on(stop_.get_token());
        return made;
    }
    void start(call::kind what, bool sized = false) {
        const auto within = take_limits();
        on_.start(what, sized ? script_.number() : 0, within);
    }

    conversation& on_;
    input& script_;
    std::stop_source stop_;
};

bool player::peer_does(deed what) {
    switch (what) {
    case deed::send_raw:
        on_.send_raw(script_.payload());
        return true;
    case deed::exchange:
        on_.exchange();
        return true;
    case deed::forward:
        on_.forward(script_.number());
        return true;
    case deed::forward_all:
        on_.forward(SIZE_MAX);
        return true;
    case deed::corrupt: {
        const auto at = script_.number();
        on_.corrupt(at, script_.byte());
        return true;
    }
    case deed::drop: {
        const auto at = script_.number();
        on_.drop(at, script_.byte());
        return true;
    }
    case deed::insert: {
        const auto at = script_.number();
        on_.insert(at, script_.payload());
        return true;
    }
    case deed::repeat: {
        const auto at = script_.number();
        on_.repeat(at, script_.number());
        return true;
    }
    case deed::peer_write:
        on_.peer_write(script_.number());
        return true;
    case deed::peer_updates_keys: {
        const auto times = script_.byte();
        on_.peer_updates_keys(times, script_.byte() % 2 == 1);
        return true;
    }
    case deed::peer_renegotiates:
        on_.peer_renegotiates();
        return true;
    case deed::peer_closes:
        on_.peer_closes();
        return true;
    case deed::forge: {
        const auto type = script_.byte();
        const auto padding = script_.byte();
        on_.forge(type, script_.payload(), padding, 1);
        return true;
    }
    case deed::flood: {
        const auto type = script_.byte();
        const auto padding = script_.byte();
        const auto times = script_.number();
        on_.forge(type, script_.payload(), padding, times);
        return true;
    }
    case deed::finish_sending:
        on_.finish_sending();
        return true;
    case deed::reset:
        on_.reset();
        return true;
    default:
        return false;
    }
}

void player::we_do(deed what) {
    switch (what) {
    case deed::handshake:
        return start(call::kind::handshake);
    case deed::read:
        return start(call::kind::read, true);
    case deed::read_exactly:
        return start(call::kind::read_exactly, true);
    case deed::readable:
        return start(call::kind::readable);
    case deed::write:
        return start(call::kind::write, true);
    case deed::write_pieces:
        return start(call::kind::write_pieces, true);
    case deed::close_write:
        return start(call::kind::close_write);
    case deed::shutdown:
        return start(call::kind::shutdown);
    case deed::key_update: {
        const auto within = take_limits();
        return on_.start(call::kind::key_update, 0, within, script_.byte() % 2 == 1);
    }
    case deed::keep_reading:
        return on_.keep_reading();
    case deed::advance_clock:
        return on_.advance_clock(script_.byte() * 100ms);
    case deed::request_stop:
        stop_.request_stop();
        stop_ = std::stop_source();
        return;
    case deed::destroy_call:
        return on_.destroy_call();
    case deed::destroy_stream:
        return on_.destroy_stream();
    case deed::move_stream:
        return on_.move_stream();
    default:
        return;
    }
}

} // namespace

void run_script(role ours, input script) {
    auto& world = world::of(ours);
    const unsigned head = script.byte();
    conversation held(world, static_cast<manner>(head % manners), (head & 4) != 0 ? 1 : 0);
    player plays(held, script);
    world.loop.run(plays.play());
}

} // namespace ringtls::fuzz
