// SPDX-License-Identifier: MIT
// Lookups against a getaddrinfo(3) of the test's: who is asked, when, and what it may answer.
#include <ringtls/net/resolver.hpp>

#include "../started.hpp"

#include <ringtls/coro/as_result.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netdb.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::string_view_literals;

namespace {

using ringtls::address;
using ringtls::as_result;
using ringtls::event_loop;
using ringtls::result;
using ringtls::test::started;

using answer = std::optional<result<std::vector<address>>>;

/// What stands in for the system's names. Names that begin with "held" wait until they are let go;
/// "code N" fails with N, and "errno N" with EAI_SYSTEM and N.
class names {
  public:
    int ask(const std::string& name) {
        std::unique_lock lock(mutex_);
        threads_ += std::this_thread::get_id() == here_ ? 0 : 1;
        asked_.push_back(name);
        changed_.notify_all();
        if (name.starts_with("held"))
            changed_.wait(lock, [this] { return open_; });
        if (name.starts_with("errno "))
            errno = std::stoi(name.substr(6));
        return name.starts_with("code ") ? std::stoi(name.substr(5)) : EAI_SYSTEM;
    }

    void hold() {
        const std::scoped_lock lock(mutex_);
        open_ = false;
        asked_.clear();
        threads_ = 0;
    }
    void let_go() {
        const std::scoped_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void wait_for(std::size_t questions) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return asked_.size() >= questions; });
    }
    std::vector<std::string> asked() {
        const std::scoped_lock lock(mutex_);
        return asked_;
    }
    int asked_elsewhere() {
        const std::scoped_lock lock(mutex_);
        return threads_;
    }

  private:
    const std::thread::id here_ = std::this_thread::get_id();
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int threads_ = 0; ///< questions that came from other threads
    std::vector<std::string> asked_;
};
names system_names;

started look_up(event_loop& loop, std::string host, answer& into) {
    into.emplace(co_await as_result(ringtls::resolve(loop, host, 1)));
}

/// An operation past its turn's budget goes on in the next one.
void turn(event_loop& loop) {
    loop.run([](event_loop& on) -> ringtls::task<> {
        co_await on.yield();
        co_await on.yield();
    }(loop));
}

} // namespace

/// Takes the C library's place in this program, but for addresses in text.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** list) {
    static const auto real =
        reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return (hints->ai_flags & AI_NUMERICHOST) != 0 ? real(name, service, hints, list)
                                                   : system_names.ask(name);
}

TEST_CASE("Every code of getaddrinfo() is told as it is, and for EAI_SYSTEM the system's") {
    event_loop loop;
    for (const int code : {EAI_BADFLAGS, EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_NODATA, EAI_FAMILY,
                           EAI_SOCKTYPE, EAI_SERVICE, EAI_ADDRFAMILY, EAI_MEMORY, EAI_OVERFLOW}) {
        CAPTURE(code);
        answer got;
        const auto whole = look_up(loop, "code " + std::to_string(code), got);
        loop.run();
        REQUIRE(got.has_value());
        CHECK(got->error().code() == std::error_code(code, ringtls::resolver_category()));
        CHECK(got->error().code().message() == ::gai_strerror(code));
        CHECK(got->error().subject() == "code " + std::to_string(code));
    }
    for (const int code : {EMFILE, EACCES, ETIMEDOUT}) {
        answer got;
        const auto whole = look_up(loop, "errno " + std::to_string(code), got);
        loop.run();
        REQUIRE(got.has_value());
        CHECK(got->error().code() == std::error_code(code, std::system_category()));
    }
}

TEST_CASE("An address in text asks nobody") {
    event_loop loop;
    system_names.hold();
    for (const char* text : {"192.0.2.7", "::1", "fe80::1%lo"}) {
        answer got;
        const auto whole = look_up(loop, text, got);
        CHECK(whole.ended());
        CHECK(got->has_value());
    }
    CHECK(system_names.asked().empty());
    system_names.let_go();
}

TEST_CASE("A name with a zero byte in it is none, and asks nobody") {
    event_loop loop;
    system_names.hold();
    for (const auto text : {"192.0.2.7\0.example"sv, "name\0"sv, "\0"sv}) {
        answer got;
        const auto whole = look_up(loop, std::string(text), got);
        REQUIRE(whole.ended());
        REQUIRE_FALSE(got->has_value());
        CHECK(got->error().code() == std::error_code(EAI_NONAME, ringtls::resolver_category()));
    }
    CHECK(system_names.asked().empty());
    system_names.let_go();
}

TEST_CASE("8 names are looked up at once, 1,024 wait, and one more is refused at once") {
    event_loop loop;
    system_names.hold();
    constexpr std::size_t most = 8 + 1024;
    std::vector<answer> answers(most + 1);
    std::vector<started> all;
    for (std::size_t i = 0; i < 8; ++i)
        all.push_back(look_up(loop, "held", answers[i]));
    system_names.wait_for(8);
    for (std::size_t i = 8; i < answers.size(); ++i)
        all.push_back(look_up(loop, "errno 1", answers[i]));
    turn(loop);
    CHECK(system_names.asked().size() == 8);
    for (std::size_t i = 0; i < most; ++i)
        CHECK_FALSE(answers[i].has_value());
    REQUIRE(answers[most].has_value());
    CHECK(answers[most]->error().code() ==
          std::error_code(EAI_AGAIN, ringtls::resolver_category()));
    CHECK(std::string(answers[most]->error().what()).ends_with("1024 others wait already"));
    system_names.let_go();
    loop.run();
    for (const auto& each : answers)
        CHECK(each.has_value());
    CHECK(system_names.asked().size() == most);
    CHECK(system_names.asked_elsewhere() == most);
}

TEST_CASE("A lookup that is cancelled while it waits is never made, and makes room") {
    event_loop loop;
    system_names.hold();
    std::vector<answer> answers(8);
    std::vector<started> busy;
    for (auto& each : answers)
        busy.push_back(look_up(loop, "held", each));
    system_names.wait_for(8);
    answer never;
    for (int round = 0; round < 3000; ++round) {
        auto waiting = look_up(loop, "errno 1", never);
        turn(loop);
        REQUIRE_FALSE(never.has_value());
        waiting.destroy();
    }
    system_names.let_go();
    loop.run();
    CHECK(system_names.asked() == std::vector<std::string>(8, "held"));
}
