// SPDX-License-Identifier: MIT
// ringtls's operations in Boost.Asio's coroutines: both loops on one thread.
//
//   ringtls::event_loop loop;
//   asio::io_context context;
//   sample::asio_bridge tls(context, loop);
//   ... in an asio::awaitable<>:  auto n = co_await tls(stream.read(buffer).within(5s));
#pragma once

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/task_group.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <stop_token>
#include <utility>

namespace sample {

/// Runs a loop on the thread that runs an io_context, and makes operations awaitable there: Asio's
/// coroutines await nothing but their own kind and Asio's asynchronous operations.
///
/// Lifetime: the loop outlives the context, for the coroutines that go with the context use it; the
/// context outlives this. End every operation before this goes, or do not run the loop again before
/// the context is destroyed: Asio destroys a coroutine that waits later than what it waits for. As
/// long as this lives, io_context::run() does not return for want of
/// work. Thread rule: one thread runs the context, and owns the loop.
class asio_bridge {
  public:
    asio_bridge(boost::asio::io_context& context, ringtls::event_loop& loop)
        : loop_(loop), watched_(context, loop.descriptor()), running_(loop) {
        watch();
    }
    asio_bridge(const asio_bridge&) = delete;
    asio_bridge& operator=(const asio_bridge&) = delete;
    ~asio_bridge() { watched_.release(); } // the descriptor is the loop's

    /// Completes as the operation does, or throws its error. Asio's cancellation, such as that of
    /// awaitable_operators, takes the place of cancel_on(). Await it in the same expression.
    template<class Operation>
    boost::asio::awaitable<decltype(std::declval<Operation&>().await_resume())>
    operator()(Operation&& operation) {
        using ended = decltype(operation.resume_result());
        const auto start = [this, &operation](auto handler) {
            std::stop_source source;
            auto slot = boost::asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected())
                slot.assign([source](boost::asio::cancellation_type) { source.request_stop(); });
            running_.spawn(run(operation, source.get_token(), std::move(handler)));
        };
        ended outcome =
            co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(ended)>(
                start, boost::asio::use_awaitable);
        co_return std::move(outcome).value();
    }

  private:
    template<class Operation, class Handler>
    static ringtls::task<> run(Operation& operation, std::stop_token stop, Handler handler) {
        auto outcome = co_await ringtls::as_result(operation.cancel_on(std::move(stop)));
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected())
            slot.clear();
        const auto executor = boost::asio::get_associated_executor(handler);
        boost::asio::post(executor,
                          [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                              std::move(handler)(std::move(outcome));
                          });
    }

    void watch() {
        watched_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](const boost::system::error_code& failed) {
                                if (failed)
                                    return; // this is gone
                                watch();    // first, for the case that a handler throws
                                loop_.run_ready();
                            });
    }

    ringtls::event_loop& loop_;
    boost::asio::posix::stream_descriptor watched_;
    ringtls::task_group running_;
};

} // namespace sample
