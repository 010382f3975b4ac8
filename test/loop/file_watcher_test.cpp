// SPDX-License-Identifier: MIT
#include <ringtls/loop/file_watcher.hpp>

#include "../support/scratch.hpp"

#include <ringtls/coro/as_result.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

namespace ringtls {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using test::scratch;

/// Where "watched" is a link to "data/file", and "data" one to "first".
struct linked : scratch {
    linked() {
        fs::create_directory(path("first"));
        fs::create_directory(path("second"));
        put("first/file", "one");
        put("second/file", "two");
        fs::create_directory_symlink("first", path("data"));
        fs::create_symlink("data/file", path("watched"));
    }
};

/// The flag may be forgotten by whoever started this.
task<> wait_for_change(file_watcher& files, std::shared_ptr<bool> changed) {
    co_await files.change();
    *changed = true;
}

task<> turn(event_loop& loop) {
    for (int i = 0; i < 20; ++i)
        co_await loop.yield();
}

/// Whether what is done is noticed, at once and no later.
bool notices(file_watcher& files, event_loop& loop, const std::function<void()>& what) {
    const auto changed = std::make_shared<bool>(false);
    loop.spawn(wait_for_change(files, changed));
    loop.run(turn(loop));
    CHECK_FALSE(*changed);
    what();
    loop.run(turn(loop));
    return *changed;
}

} // namespace

TEST_CASE("a file that is written, replaced, removed or made has changed") {
    const scratch in;
    in.put("watched", "one");
    event_loop loop;
    file_watcher files(loop, {in.path("watched")});
    CHECK(notices(files, loop, [&] { in.put("watched", "other"); }));
    CHECK(notices(files, loop, [&] {
        in.put("new", "other");
        fs::rename(in.path("new"), in.path("watched"));
    }));
    CHECK(notices(files, loop, [&] { fs::remove(in.path("watched")); }));
    CHECK(notices(files, loop, [&] { in.put("watched", "again"); }));
}

TEST_CASE("any of several files, in several directories, counts") {
    const scratch in;
    const scratch other;
    in.put("a", "1");
    other.put("b", "1");
    event_loop loop;
    file_watcher files(loop, {in.path("a"), other.path("b")});
    CHECK(notices(files, loop, [&] { in.put("a", "22"); }));
    CHECK(notices(files, loop, [&] { other.put("b", "22"); }));
}

TEST_CASE("a name that leads through other links than before has changed") {
    const linked in;
    event_loop loop;
    file_watcher files(loop, {in.path("watched")});
    CHECK(notices(files, loop, [&] { in.put("first/file", "longer"); }));
    CHECK(notices(files, loop, [&] {
        fs::create_directory_symlink("second", in.path("new"));
        fs::rename(in.path("new"), in.path("data"));
    }));
    CHECK(notices(files, loop, [&] { in.put("second/file", "longer"); }));
}

TEST_CASE("what happens beside the file is no change of it") {
    const scratch in;
    in.put("watched", "one");
    event_loop loop;
    file_watcher files(loop, {in.path("watched")});
    const auto changed = std::make_shared<bool>(false);
    loop.spawn(wait_for_change(files, changed));
    loop.run(turn(loop));
    for (int i = 0; i < 10; ++i) {
        in.put("other", std::to_string(i));
        loop.run(turn(loop));
    }
    CHECK_FALSE(*changed);
    in.put("watched", "other");
    loop.run();
    CHECK(*changed);
}

TEST_CASE("a change between two waits is not lost") {
    const scratch in;
    in.put("watched", "one");
    event_loop loop;
    file_watcher files(loop, {in.path("watched")});
    in.put("watched", "other");
    const auto changed = std::make_shared<bool>(false);
    loop.run(wait_for_change(files, changed));
    CHECK(*changed);
    CHECK_FALSE(files.accept());
    in.put("watched", "another");
    CHECK(files.accept());
    CHECK_FALSE(files.accept());
}

TEST_CASE("what inotify does not see is noticed by looking again") {
    // Through another name, in a directory that is not watched.
    const scratch in;
    const scratch elsewhere;
    in.put("watched", "one");
    fs::create_hard_link(in.path("watched"), elsewhere.path("same"));
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    file_watcher files(loop, {in.path("watched")}, 1h);
    const bool at_once = notices(files, loop, [&] { elsewhere.put("same", "longer"); });
    clock.advance(1h);
    loop.run();
    CHECK_FALSE(at_once);
    CHECK_FALSE(files.accept());
}

TEST_CASE("a file in a directory that is not there yet may appear") {
    const scratch in;
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    file_watcher files(loop, {in.path("later/watched")}, 1h);
    CHECK_FALSE(notices(files, loop, [&] {
        fs::create_directory(in.path("later"));
        in.put("later/watched", "one");
    }));
    clock.advance(1h);
    loop.run();
    CHECK(notices(files, loop, [&] { in.put("later/watched", "other"); }));
}

TEST_CASE("to look again without a pause is refused") {
    event_loop loop;
    for (const auto bad : {0s, -1s}) {
        try {
            const file_watcher none(loop, {"/"}, bad);
            FAIL("made");
        } catch (const error& refused) {
            CHECK(refused.code() == std::errc::invalid_argument);
            CHECK(refused.details()->subject == "recheck");
        }
    }
}

TEST_CASE("a stop and a deadline end the wait, and the next one goes on") {
    const scratch in;
    in.put("watched", "one");
    manual_clock clock;
    event_loop loop(event_loop_options().clock(clock));
    file_watcher files(loop, {in.path("watched")}, 1h);
    std::stop_source source;
    std::error_code canceled;
    std::error_code late;
    const auto code_of = [](file_watcher& at, limits until, std::error_code& code) -> task<> {
        const auto ended = co_await as_result(at.change(std::move(until)));
        REQUIRE_FALSE(ended.has_value());
        code = ended.error().code();
    };
    loop.spawn(code_of(files, limits().cancel_on(source.get_token()), canceled));
    loop.run(turn(loop));
    source.request_stop();
    loop.run();
    CHECK(canceled == errc::canceled);
    limits by; // GCC 12 takes a temporary's deadline for uninitialized under a sanitizer
    by.until(clock.now() + 3h);
    loop.spawn(code_of(files, by, late));
    for (int i = 0; i < 3; ++i) {
        loop.run(turn(loop));
        CHECK_FALSE(late);
        clock.advance(1h);
    }
    loop.run();
    CHECK(late == errc::timed_out);
    CHECK(notices(files, loop, [&] { in.put("watched", "other"); }));
}

} // namespace ringtls
