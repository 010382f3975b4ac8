// SPDX-License-Identifier: MIT
#include <ringtls/tls/context_reloader.hpp>

#include <ringtls/coro/as_result.hpp>
#include <ringtls/loop/file_watcher.hpp>

#include <mutex>
#include <utility>

namespace ringtls {

struct detail::reloader_state {
    explicit reloader_state(context_reloader::maker with)
        : make(std::move(with)), context(make()) {}

    [[nodiscard]] server_context current() const {
        const std::scoped_lock lock(mutex);
        return context;
    }
    /// The last one goes when the lock is free again, unless a connection still has it.
    void replace(server_context next) {
        const std::scoped_lock lock(mutex);
        std::swap(context, next);
    }
    void reload() { replace(make()); }

    const context_reloader::maker make;
    mutable std::mutex mutex; ///< guards the context
    server_context context;
};

namespace {

task<> watch_files(std::shared_ptr<detail::reloader_state> state, event_loop& loop,
                   std::vector<std::string> files, context_reloader::reporter report, limits until,
                   loop_clock::duration quiet) {
    file_watcher files_now(loop, std::move(files));
    for (;;) {
        co_await files_now.change(until);
        do {
            auto pause = loop.sleep(quiet);
            pause.limit(until);
            const auto paused = co_await as_result(std::move(pause));
            if (!paused)
                throw error(paused.error());
        } while (files_now.accept());
        std::exception_ptr failure;
        try {
            state->reload();
        } catch (...) {
            failure = std::current_exception();
        }
        if (report)
            report(failure);
    }
}

} // namespace

context_reloader::context_reloader(maker make)
    : state_(std::make_shared<detail::reloader_state>(std::move(make))) {}

server_context context_reloader::current() const {
    return state_->current();
}

void context_reloader::replace(server_context next) {
    state_->replace(std::move(next));
}

void context_reloader::reload() {
    state_->reload();
}

task<> context_reloader::watch(event_loop& loop, std::vector<std::string> files, reporter report,
                               limits until, loop_clock::duration quiet) const {
    return watch_files(state_, loop, std::move(files), std::move(report), std::move(until), quiet);
}

} // namespace ringtls
