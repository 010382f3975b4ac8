// SPDX-License-Identifier: MIT
#include <ringtls/loop/file_watcher.hpp>

#include <ringtls/coro/as_result.hpp>

#include "descriptors.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

namespace ringtls {
namespace detail {
namespace {

namespace fs = std::filesystem;

/// A name leads through no more links than this (path_resolution(7)).
constexpr int most_links = 40;

/// What a file is known by; all zero if there is none.
struct file_mark {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    timespec changed{};

    [[nodiscard]] auto tied() const noexcept {
        return std::make_tuple(device, inode, size, modified.tv_sec, modified.tv_nsec,
                               changed.tv_sec, changed.tv_nsec);
    }
    [[nodiscard]] bool operator==(const file_mark& other) const noexcept {
        return tied() == other.tied();
    }
};

file_mark mark_of(const std::string& path) noexcept {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
        return {};
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

/// The directory of the name, and of each link that it leads through.
void add_directories(fs::path path, std::set<std::string>& to) {
    for (int links = 0; links <= most_links; ++links) {
        const auto parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
        to.insert(parent.string());
        std::error_code none;
        const auto target = fs::read_symlink(path, none);
        if (none)
            return;
        path = target.is_absolute() ? target : parent / target;
    }
}

} // namespace

class file_watch {
  public:
    file_watch(event_loop& loop, std::vector<std::string> paths, loop_clock::duration recheck)
        : loop_(loop), paths_(std::move(paths)), recheck_(recheck) {
        if (recheck_ <= loop_clock::duration::zero())
            refuse("file_watcher", EINVAL, "recheck");
        watch_directories();
        accept();
    }
    file_watch(const file_watch&) = delete;
    file_watch& operator=(const file_watch&) = delete;

    task<> change(limits until);
    bool accept();

  private:
    void watch_directories();
    void drain() const noexcept;

    event_loop& loop_;
    std::vector<std::string> paths_;
    loop_clock::duration recheck_;
    owned_descriptor fd_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "file_watcher",
                         "inotify_init1"};
    std::set<int> watches_;
    std::vector<file_mark> marks_;
};

bool file_watch::accept() {
    std::vector<file_mark> now;
    now.reserve(paths_.size());
    for (const auto& path : paths_)
        now.push_back(mark_of(path));
    return std::exchange(marks_, now) != now;
}

/// Those that are on the way to the files now, and no others. One that cannot be watched is looked
/// at with every recheck.
void file_watch::watch_directories() {
    constexpr auto events = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE |
                            IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
    std::set<std::string> directories;
    for (const auto& path : paths_)
        add_directories(path, directories);
    std::set<int> now;
    for (const auto& directory : directories)
        if (const int watch = ::inotify_add_watch(fd_.fd(), directory.c_str(), events); watch >= 0)
            now.insert(watch);
    for (const int watch : watches_)
        if (!now.contains(watch)) // the directory may be gone, and the watch with it
            static_cast<void>(::inotify_rm_watch(fd_.fd(), watch));
    watches_ = std::move(now);
}

/// Which event it was does not matter.
void file_watch::drain() const noexcept {
    alignas(inotify_event) std::array<char, 4096> events;
    while (::read(fd_.fd(), events.data(), events.size()) > 0) {
    }
}

/// Watches first and looks then, so that nothing falls between the two.
task<> file_watch::change(limits until) {
    for (;;) {
        watch_directories();
        if (accept())
            co_return;
        auto waiting = loop_.poll(fd_.fd(), poll_events::readable);
        waiting.limit(until);
        waiting.limit_within(recheck_);
        const auto ready = co_await as_result(std::move(waiting));
        const bool rechecks = !ready && ready.error().code() == errc::timed_out &&
                              !(until.deadline() && *until.deadline() <= loop_.now());
        if (!ready && !rechecks)
            throw error(ready.error().code(), "change", ready.error().details());
        drain();
    }
}

} // namespace detail

file_watcher::file_watcher(event_loop& loop, std::vector<std::string> paths,
                           loop_clock::duration recheck)
    : watch_(std::make_unique<detail::file_watch>(loop, std::move(paths), recheck)) {}
file_watcher::file_watcher(file_watcher&&) noexcept = default;
file_watcher& file_watcher::operator=(file_watcher&&) noexcept = default;
file_watcher::~file_watcher() = default;

task<> file_watcher::change(limits until) {
    return watch_->change(std::move(until));
}

bool file_watcher::accept() {
    return watch_->accept();
}

} // namespace ringtls
