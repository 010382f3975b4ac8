// SPDX-License-Identifier: MIT
#include "transport.hpp"

#include "byte_link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace ringtls::detail {

/// A failed send is no failure to OpenSSL, which would keep the record and refuse other calls until
/// it had left: the record is swallowed, write_error() tells, and what arrived can still be read.
struct transport::method {
    static transport& of(BIO* bio) noexcept { return *static_cast<transport*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* into, int size) noexcept {
        BIO_clear_retry_flags(bio);
        return size > 0 ? of(bio).read(bio, into, size) : 0;
    }
    static int write(BIO* bio, const char* from, int size) noexcept {
        BIO_clear_retry_flags(bio);
        return size > 0 ? of(bio).write(bio, from, size) : 0;
    }
    static long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) noexcept {
        switch (command) {
        case BIO_CTRL_FLUSH:
            return 1; // nothing is held back here; the spill leaves by itself
        case BIO_CTRL_EOF:
            return of(bio).ended_ ? 1 : 0;
        default:
            return 0;
        }
    }

    static BIO_METHOD* get() {
        static const bio_method_handle one = [] {
            const int index = check_openssl(BIO_get_new_index(), "BIO_get_new_index");
            bio_method_handle made(check_openssl(
                BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "ringtls socket"), "BIO_meth_new"));
            check_openssl(BIO_meth_set_read(made.get(), read), "BIO_meth_set_read");
            check_openssl(BIO_meth_set_write(made.get(), write), "BIO_meth_set_write");
            check_openssl(BIO_meth_set_ctrl(made.get(), control), "BIO_meth_set_ctrl");
            return made;
        }();
        return one.get();
    }
};

transport::transport(int fd, byte_link* link) noexcept : fd_(fd), link_(link) {
    if (link_)
        link_->count_in(counters_);
}

bio_handle transport::make_bio() {
    bio_handle made(check_openssl(BIO_new(method::get()), "BIO_new"));
    BIO_set_data(made.get(), this);
    BIO_set_init(made.get(), 1);
    return made;
}

int transport::read(BIO* bio, char* into, int size) noexcept {
    const auto room = std::as_writable_bytes(std::span(into, static_cast<std::size_t>(size)));
    if (kept_) {
        if (const int count = replay(room); count > 0)
            return count;
    }
    if (ended_)
        return 0;
    while (!drained_ && receives_left_ > 0) {
        const auto received = receive_once(room);
        if (received > 0) {
            --receives_left_;
            consumed_ = true;
            drained_ = received < size;
            counters_.bytes_received += static_cast<std::uint64_t>(received);
            if (kept_ && !keep(room.first(static_cast<std::size_t>(received))))
                return -1;
            return static_cast<int>(received);
        }
        if (received == 0) {
            consumed_ = true;
            ended_ = true;
            errno = 0;
            return 0;
        }
        if (errno == EAGAIN) {
            drained_ = true;
        } else if (errno != EINTR) {
            read_error_ = errno;
            return -1;
        }
    }
    BIO_set_retry_read(bio);
    errno = EAGAIN;
    return -1;
}

std::ptrdiff_t transport::receive_once(std::span<std::byte> into) noexcept {
    if (link_)
        return link_->receive(into);
    ++counters_.receives;
    return ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
}

int transport::replay(std::span<std::byte> into) noexcept {
    const auto left = std::span(kept_->bytes).subspan(kept_->next);
    const auto part = left.first(std::min(left.size(), into.size()));
    std::ranges::copy(part, into.begin());
    kept_->next += part.size();
    if (kept_->next == kept_->bytes.size() && !kept_->open)
        kept_.reset();
    return static_cast<int>(part.size());
}

bool transport::keep(std::span<const std::byte> received) noexcept {
    if (!kept_->open)
        return true;
    if (kept_->bytes.size() + received.size() > kept_bound) {
        read_error_ = EMSGSIZE;
        return false;
    }
    try {
        kept_->bytes.insert(kept_->bytes.end(), received.begin(), received.end());
    } catch (const std::bad_alloc&) {
        read_error_ = ENOMEM;
        return false;
    }
    kept_->next = kept_->bytes.size();
    return true;
}

void transport::keep_input() {
    kept_ = std::make_unique<kept_input>();
}

void transport::replay_input() noexcept {
    if (kept_)
        kept_->next = 0;
}

void transport::drop_input() noexcept {
    if (kept_ && kept_->next == kept_->bytes.size())
        kept_.reset();
    else if (kept_)
        kept_->open = false;
}

void transport::begin_with(std::span<const std::byte> input) {
    if (input.empty())
        return;
    const bool open = kept_ != nullptr;
    if (!open)
        keep_input();
    kept_->bytes.assign(input.begin(), input.end());
    kept_->open = open;
}

int transport::write(BIO* bio, const char* from, int size) noexcept {
    const auto whole = std::as_bytes(std::span(from, static_cast<std::size_t>(size)));
    const auto sent = flush() ? send(whole, more_) : 0;
    if (sent == size)
        return size;
    if (write_error_ != 0)
        return size;
    if (mode_ != write_mode::direct)
        return take_rest(bio, whole.subspan(static_cast<std::size_t>(sent)), size);
    if (sent > 0)
        return static_cast<int>(sent);
    BIO_set_retry_write(bio);
    errno = EAGAIN;
    return -1;
}

/// All or nothing of the rest goes into the spill.
int transport::take_rest(BIO* bio, std::span<const std::byte> rest, int size) noexcept {
    const bool sent_some = rest.size() < static_cast<std::size_t>(size);
    const auto waiting = spill_.size() - spill_begin_;
    if (mode_ == write_mode::spill && !sent_some && waiting + rest.size() > spill_bound) {
        BIO_set_retry_write(bio);
        errno = EAGAIN;
        return -1;
    }
    try {
        spill_.erase(spill_.begin(), spill_.begin() + static_cast<std::ptrdiff_t>(spill_begin_));
        spill_begin_ = 0;
        spill_.insert(spill_.end(), rest.begin(), rest.end());
    } catch (const std::bad_alloc&) {
        give_up_writing(ENOMEM);
        return size;
    }
    ++counters_.spills;
    return size;
}

std::ptrdiff_t transport::send_once(std::span<const std::byte> from, bool more) noexcept {
    if (link_)
        return link_->send(from);
    ++counters_.sends;
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    return ::send(fd_, from.data(), from.size(), flags);
}

/// The number of bytes that the socket took: 0 if it is full, or failed for good, which is noted.
std::ptrdiff_t transport::send(std::span<const std::byte> from, bool more) noexcept {
    while (!full_ && write_error_ == 0) {
        const auto sent = send_once(from, more);
        if (sent >= 0) {
            full_ = static_cast<std::size_t>(sent) < from.size();
            withheld_ = more && !full_ && !link_;
            counters_.bytes_sent += static_cast<std::uint64_t>(sent);
            return sent;
        }
        if (errno == EAGAIN) {
            full_ = true;
            push();
        } else if (errno != EINTR) {
            give_up_writing(errno);
            return 0;
        }
    }
    return 0;
}

/// A socket that has no room for more sends what it kept for that only after a while, and nothing
/// else may be under way that could make room. Taking a cork off sends it at once (tcp(7)); sockets
/// that know no cork keep nothing.
void transport::push() noexcept {
    if (!std::exchange(withheld_, false))
        return;
    constexpr int off = 0;
    static_cast<void>(::setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
}

bool transport::flush() {
    while (spilled() && !full_) {
        const auto sent = send(std::span(spill_).subspan(spill_begin_), false);
        spill_begin_ += static_cast<std::size_t>(sent);
        if (spill_begin_ >= spill_.size()) {
            spill_begin_ = 0;
            std::vector<std::byte>().swap(spill_);
        }
    }
    return !spilled();
}

void transport::mark() noexcept {
    if (link_)
        link_->mark(spill_.size() - spill_begin_);
}

bool transport::mark_has_left() const noexcept {
    return link_ ? link_->mark_is_taken() : !spilled();
}

bool transport::link_in_flight() const noexcept {
    return link_->unsent();
}

failure transport::read_failure() const noexcept {
    if (link_ && link_->read_failure())
        return link_->read_failure();
    return {{read_error_, std::system_category()}, nullptr};
}

failure transport::write_failure() const noexcept {
    if (link_ && link_->write_failure())
        return link_->write_failure();
    return {{write_error_, std::system_category()}, nullptr};
}

void transport::give_up_writing(int code) noexcept {
    if (write_error_ == 0)
        write_error_ = code;
    drained_ = false; // if the peer is gone, what it left is all there, and so is the end
    spill_begin_ = 0;
    std::vector<std::byte>().swap(spill_);
}

} // namespace ringtls::detail
