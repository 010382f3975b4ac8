// SPDX-License-Identifier: MIT
// getaddrinfo(3) blocks, so it runs on threads of its own: a few for the process, started when
// they are needed and never joined, for a lookup may hang for as long as the system lets it.
#include "lookup.hpp"

#include "system_error.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <thread>

namespace ringtls::detail {
namespace {

/// The process's lookup threads.
class lookup_pool {
  public:
    static constexpr std::size_t most_waiting = 1024;

    /// False if too many wait already.
    [[nodiscard]] bool submit(std::shared_ptr<lookup> question) {
        const std::scoped_lock lock(mutex_);
        if (questions_.size() >= most_waiting)
            return false;
        questions_.push_back(std::move(question));
        if (idle_ >= questions_.size() || threads_ == most_threads) {
            work_.notify_one();
            return true;
        }
        try {
            std::thread([this] { serve(); }).detach();
            ++threads_;
        } catch (...) { // std::system_error, or no memory for it
            // Those that run already will come to it; without any there is nobody to ask.
            if (threads_ > 0)
                return true;
            questions_.pop_back();
            throw;
        }
        return true;
    }

    /// Nothing if a thread has it already.
    void drop(const lookup& question) noexcept {
        const std::scoped_lock lock(mutex_);
        std::erase_if(questions_, [&](const auto& each) { return each.get() == &question; });
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

int family_of(const std::optional<enum address::family>& only) noexcept {
    if (!only)
        return AF_UNSPEC;
    switch (*only) {
    case address::family::ipv4:
        return AF_INET;
    case address::family::ipv6:
        return AF_INET6;
    case address::family::unix_path:
        return AF_UNIX; // which getaddrinfo refuses by name
    }
    return AF_UNSPEC;
}

} // namespace

std::shared_ptr<lookup> lookup::begin(question asked, waiter by) {
    auto made = std::make_shared<lookup>(std::move(asked), by);
    const std::error_code no_name(EAI_NONAME, resolver_category());
    const bool has_end = made->asked_.host.find('\0') != std::string::npos;
    if (has_end) // getaddrinfo(3) would see another name
        made->failure_ = no_name;
    else
        made->ask(AI_NUMERICHOST | AI_NUMERICSERV);
    if (has_end || made->failure_ != no_name) {
        made->answered_ = true;
    } else if (made->failure_.clear(); !pool().submit(made)) {
        made->failure_ = {EAI_AGAIN, resolver_category()};
        made->reason_ = std::to_string(lookup_pool::most_waiting) + " others wait already";
        made->answered_ = true;
    }
    return made;
}

bool lookup::answered() {
    const std::scoped_lock lock(mutex_);
    return answered_;
}

result<std::vector<address>> lookup::take() {
    if (failure_)
        return error(failure_, "resolve", concerning(asked_.host, reason_));
    return std::move(addresses_);
}

void lookup::leave() noexcept {
    {
        const std::scoped_lock lock(mutex_);
        waiter_.reset();
    }
    pool().drop(*this);
}

/// Fills in the answer. Not locked: nobody else looks at it before it is answered.
void lookup::ask(int flags) {
    addrinfo hints{};
    hints.ai_family = family_of(asked_.only);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const auto port = std::to_string(asked_.port);
    const int result = getaddrinfo(asked_.host.c_str(), port.c_str(), &hints, &list);
    if (result != 0) {
        failure_ = result == EAI_SYSTEM ? system_code(errno)
                                        : std::error_code(result, resolver_category());
        return;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, freeaddrinfo);
    for (const addrinfo* entry = list; entry; entry = entry->ai_next)
        addresses_.push_back(address::from(entry->ai_addr, entry->ai_addrlen));
}

void lookup::answer() noexcept {
    try {
        ask(AI_ADDRCONFIG | AI_NUMERICSERV);
    } catch (const std::exception&) {
        failure_ = system_code(ENOMEM);
    }
    const std::scoped_lock lock(mutex_);
    answered_ = true;
    if (waiter_)
        waiter_->wake(waiter_->who);
}

} // namespace ringtls::detail
