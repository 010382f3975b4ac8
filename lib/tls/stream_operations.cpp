// SPDX-License-Identifier: MIT
#include <ringtls/tls/stream_operations.hpp>

#include "connection.hpp"

#include <algorithm>

namespace ringtls {
namespace {

std::string_view name_of(stream_operation::call what) noexcept {
    using call = stream_operation::call;
    switch (what) {
    case call::handshake:
        return "handshake";
    case call::read:
        return "read";
    case call::read_exactly:
        return "read_exactly";
    case call::read_early:
        return "read_early";
    case call::readable:
        return "readable";
    case call::write:
    case call::write_pieces:
        return "write";
    case call::close_write:
        return "close_write";
    case call::shutdown:
        return "shutdown";
    case call::key_update:
        return "key_update";
    }
    return "";
}

} // namespace

stream_operation::stream_operation(detail::connection& on, call what) noexcept
    : operation(on.carrier().loop(), name_of(what)), connection_(&on), call_(what) {}

stream_operation::stream_operation(detail::connection& on, call what,
                                   std::span<std::byte> into) noexcept
    : operation(on.carrier().loop(), name_of(what)), connection_(&on), into_(into), call_(what) {}

stream_operation::stream_operation(detail::connection& on, std::span<const std::byte> from) noexcept
    : operation(on.carrier().loop(), name_of(call::write)),
      connection_(&on),
      from_(from),
      call_(call::write) {}

stream_operation::stream_operation(detail::connection& on, replayable from) noexcept
    : stream_operation(on, from.bytes()) {
    replayable_ = true;
}

stream_operation::stream_operation(detail::connection& on, pieces from) noexcept
    : operation(on.carrier().loop(), name_of(call::write_pieces)),
      connection_(&on),
      pieces_(from),
      call_(call::write_pieces) {}

stream_operation::stream_operation(detail::connection& on, key_update_request request) noexcept
    : operation(on.carrier().loop(), name_of(call::key_update)),
      connection_(&on),
      call_(call::key_update),
      request_(request) {}

stream_operation::~stream_operation() {
    abandon();
}

/// Nothing to read or write is done at once, and touches nothing.
bool stream_operation::claim() {
    switch (call_) {
    case call::read:
    case call::read_exactly:
    case call::read_early:
        if (into_.empty())
            return false;
        break;
    case call::write:
    case call::write_pieces:
        if (from_.empty() && std::ranges::all_of(pieces_, [](auto each) { return each.empty(); }))
            return false;
        break;
    case call::handshake:
    case call::readable:
    case call::close_write:
    case call::shutdown:
    case call::key_update:
        break;
    }
    return connection_->claim(*this);
}

wait_for stream_operation::attempt() {
    return connection_->attempt(*this);
}

void stream_operation::withdraw() noexcept {
    if (connection_)
        connection_->withdraw(*this);
}

int stream_operation::descriptor() const noexcept {
    const int fd = connection_->carrier().fd();
    return fd < 0 ? no_descriptor : fd;
}

template class stream_call<void>;
template class stream_call<std::size_t>;
template class stream_call<replayable>;

} // namespace ringtls
