// SPDX-License-Identifier: MIT
// getaddrinfo(3) blocks, so it runs on threads of its own: a few for the process, started when
// they are needed and never joined, for a lookup may hang for as long as the system lets it.
#include <ringtls/net/resolver.hpp>

#include "system_error.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace ringtls {
namespace detail {

/// One question and its answer, shared by the operation and the thread that asks.
struct lookup {
    std::string host;
    std::uint16_t port = 0;

    std::mutex mutex; ///< guards the rest
    resolve_operation* waiter = nullptr;
    bool answered = false;
    std::error_code failure;
    std::vector<address> addresses;

    void ask(int flags);
    void answer();
};

/// Fills in the answer. Not locked: nobody else looks at it before answered is set.
void lookup::ask(int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const int result = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
    if (result != 0) {
        failure = result == EAI_SYSTEM ? system_code(errno)
                                       : std::error_code(result, resolver_category());
        return;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, freeaddrinfo);
    for (const addrinfo* entry = list; entry; entry = entry->ai_next)
        addresses.push_back(address::from(entry->ai_addr, entry->ai_addrlen));
}

void lookup::answer() {
    try {
        ask(AI_ADDRCONFIG | AI_NUMERICSERV);
    } catch (const std::exception&) {
        failure = system_code(ENOMEM);
    }
    const std::scoped_lock lock(mutex);
    answered = true;
    if (waiter)
        waiter->schedule_remotely();
}

namespace {

/// The process's lookup threads.
class lookup_pool {
  public:
    void submit(std::shared_ptr<lookup> question) {
        const std::scoped_lock lock(mutex_);
        questions_.push_back(std::move(question));
        if (idle_ >= questions_.size() || threads_ == most_threads) {
            work_.notify_one();
            return;
        }
        try {
            std::thread([this] { serve(); }).detach();
            ++threads_;
        } catch (const std::system_error&) {
            // Those that run already will come to it; without any there is nobody to ask.
            if (threads_ > 0)
                return;
            questions_.pop_back();
            throw;
        }
    }

  private:
    static constexpr std::size_t most_threads = 8;
    static constexpr auto linger = std::chrono::seconds(10);

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            const bool work = work_.wait_for(lock, linger, [this] { return !questions_.empty(); });
            --idle_;
            if (!work)
                break;
            const auto question = std::move(questions_.front());
            questions_.pop_front();
            lock.unlock();
            question->answer();
            lock.lock();
        }
        --threads_;
    }

    std::mutex mutex_;
    std::condition_variable work_;
    std::deque<std::shared_ptr<lookup>> questions_;
    std::size_t threads_ = 0;
    std::size_t idle_ = 0;
};

/// Never destroyed: its threads may outlive main().
lookup_pool& pool() {
    static auto& one = *new lookup_pool;
    return one;
}

} // namespace
} // namespace detail

resolve_operation::resolve_operation(event_loop& loop, std::string_view host, std::uint16_t port)
    : basic_operation(loop, "resolve"), host_(host), port_(port) {}

resolve_operation::~resolve_operation() {
    abandon();
}

wait_for resolve_operation::attempt() {
    if (lookup_) {
        const std::scoped_lock lock(lookup_->mutex);
        if (!lookup_->answered)
            return wait_for::notification;
    } else {
        lookup_ = std::make_shared<detail::lookup>();
        lookup_->host = host_;
        lookup_->port = port_;
        lookup_->ask(AI_NUMERICHOST | AI_NUMERICSERV);
        if (lookup_->failure == std::error_code(EAI_NONAME, resolver_category())) {
            lookup_->failure.clear();
            lookup_->waiter = this;
            detail::pool().submit(lookup_);
            return wait_for::notification;
        }
    }
    addresses_ = std::move(lookup_->addresses);
    if (lookup_->failure)
        fail(lookup_->failure, detail::concerning(host_));
    return wait_for::nothing;
}

void resolve_operation::withdraw() noexcept {
    if (!lookup_)
        return;
    const std::scoped_lock lock(lookup_->mutex);
    lookup_->waiter = nullptr;
}

} // namespace ringtls
