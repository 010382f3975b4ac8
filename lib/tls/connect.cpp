// SPDX-License-Identifier: MIT
#include <ringtls/tls/connect.hpp>

#include <ringtls/coro/as_result.hpp>
#include <ringtls/net/connect.hpp>
#include <ringtls/net/resolver.hpp>

#include <optional>

namespace ringtls {
namespace {

/// A parameter of a coroutine, hence a class with a constructor (GCC 12).
template<class Operation>
limited<Operation> bounded(Operation& operation, const limits& by) {
    operation.limit(by);
    return limited<Operation>(operation);
}

task<socket> connect_tcp(event_loop& loop, const endpoint& to, const limits& by) {
    auto resolving = resolve(loop, to.host(), to.port());
    const auto addresses = co_await bounded(resolving, by);
    std::optional<error> first;
    for (const auto& each : addresses) {
        auto connecting = connect(loop, each);
        auto made = co_await as_result(bounded(connecting, by));
        if (made)
            co_return *std::move(made);
        if (made.error().code() == errc::timed_out || made.error().code() == errc::canceled)
            throw made.error();
        if (!first)
            first = made.error();
    }
    throw *first;
}

task<stream> connect_tls(event_loop& loop, client_context context, endpoint to, limits by) {
    auto transport = co_await connect_tcp(loop, to, by);
    stream made(std::move(transport), context, to.server_name());
    if (to.session())
        made.resume(*to.session());
    auto handshaking = made.handshake();
    co_await bounded(handshaking, by);
    co_return made;
}

} // namespace

task<stream> tls_connect::as_task() && {
    return connect_tls(*loop_, std::move(context_), std::move(to_), std::move(limits_));
}

} // namespace ringtls
