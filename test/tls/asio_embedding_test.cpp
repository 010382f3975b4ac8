// SPDX-License-Identifier: MIT
// A loop that Boost.Asio's io_context drives, beside Asio's own timers and handlers.
#include "../support/loopback.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <thread>

namespace {

using namespace ringtls::test;
using namespace std::chrono_literals;
using ringtls::task;

/// Waits in Asio for the loop, for as long as that has something left to do.
class driven_by_asio {
  public:
    driven_by_asio(boost::asio::io_context& context, ringtls::event_loop& loop)
        : loop_(loop), watched_(context, loop.descriptor()) {
        wait();
    }
    driven_by_asio(const driven_by_asio&) = delete;
    driven_by_asio& operator=(const driven_by_asio&) = delete;
    ~driven_by_asio() { watched_.release(); } // the descriptor is the loop's

  private:
    void wait() {
        watched_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](const boost::system::error_code& code) {
                                if (!code && loop_.run_ready())
                                    wait();
                            });
    }

    ringtls::event_loop& loop_;
    boost::asio::posix::stream_descriptor watched_;
};

task<> echo(ringtls::stream& peer, std::size_t size) {
    bytes buffer(size);
    co_await peer.read_exactly(buffer);
    co_await peer.write(buffer);
    co_await peer.shutdown();
}
task<> converse(ringtls::stream& peer, const bytes& sent, bytes& received, bool& done) {
    co_await ringtls::when_all(write_all(peer, sent), read_all(peer, received));
    co_await peer.shutdown();
    done = true;
}

} // namespace

TEST_CASE("An echo runs inside io_context::run(), which ends with it") {
    boost::asio::io_context context;
    loopback on(0, trusting(), serving(), true);
    const auto sent = random_bytes(1'000'000);
    bytes received(sent.size());
    bool done = false;
    on.loop.spawn(echo(on.server, sent.size()));
    on.loop.spawn(converse(on.client, sent, received, done));
    const driven_by_asio driven(context, on.loop);
    int ticks = 0;
    boost::asio::post(context, [&] { ++ticks; });
    context.run();
    CHECK(done);
    CHECK(received == sent);
    CHECK(ticks == 1);
}

TEST_CASE("Asio's handlers spawn and post, another thread posts, a sleep ends by Asio's waiting") {
    boost::asio::io_context context;
    ringtls::event_loop loop;
    int count = 0;
    const auto sleeper = [](ringtls::event_loop& on, int& ended) -> task<> {
        co_await on.sleep(2ms);
        ++ended;
    };
    loop.spawn(sleeper(loop, count));
    const driven_by_asio driven(context, loop);
    const auto begun = loop.now();
    boost::asio::post(context, [&] { loop.spawn(sleeper(loop, count)); });
    boost::asio::post(context, [&] { std::thread([&] { loop.post([&] { ++count; }); }).join(); });
    context.run();
    CHECK(count == 3);
    CHECK(loop.now() - begun >= 2ms);
}
