// SPDX-License-Identifier: MIT
#include <ringtls/tls/connect.hpp>

#include <ringtls/net/connect.hpp>
#include <ringtls/net/connect_host.hpp>

namespace ringtls {
namespace {

/// A parameter of a coroutine, hence a class with a constructor (GCC 12).
template<class Operation>
limited<Operation> bounded(Operation& operation, const limits& by) {
    operation.limit(by);
    return limited<Operation>(operation);
}

task<socket> connect_tcp(event_loop& loop, const endpoint& to, const limits& by) {
    if (to.address()) {
        auto connecting = connect(loop, *to.address(), to.options());
        co_return co_await bounded(connecting, by);
    }
    auto connecting = connect(loop, to.host(), to.port(), to.options());
    co_return co_await bounded(connecting, by);
}

task<stream> connect_tls(event_loop& loop, client_context context, endpoint to, limits by) {
    if (to.server_name().empty() && to.address())
        throw error(errc::invalid_name, "connect");
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
