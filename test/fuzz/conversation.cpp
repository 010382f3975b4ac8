// SPDX-License-Identifier: MIT
#include "conversation.hpp"

#include <openssl/ssl.h>
#include <sanitizer/allocator_interface.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ringtls::fuzz {
namespace {

/// A connection that uses more has no bound: SSL, spill and certificates are far below.
constexpr std::size_t memory_allowed = 256 * 1024;
/// Of a call that is remembered, with its coroutine's frame, beside its buffer.
constexpr std::size_t call_overhead = 1024;
/// Of the peer's own, beyond which it makes no more.
constexpr std::size_t output_allowed = 64 * 1024;
/// Turns of the loop after which what has not ended never will.
constexpr int turns_allowed = 20000;
constexpr std::size_t calls_allowed = 64;
/// As in the connection's promise: an instant's key updates, and not one more.
constexpr int key_updates_allowed = 100;

template<class Settings>
Settings settings_for(Settings settings, manner how) {
    const bool newest = how == manner::tls_1_3 || how == manner::certified;
    settings.maximum_version(newest ? tls_version::tls_1_3 : tls_version::tls_1_2);
    if (how == manner::renegotiating)
        settings.danger_allow_renegotiation();
    return settings;
}

client_context make_client(manner how) {
    auto settings = client_settings().trust(fixed_identity().chain);
    if (how == manner::certified)
        settings.identify_as(fixed_identity());
    return client_context(settings_for(settings, how));
}

server_context make_server(manner how) {
    auto settings = server_settings(fixed_identity());
    if (how == manner::certified)
        settings.require_client_certificate(fixed_identity().chain);
    return server_context(settings_for(settings, how));
}

void check_system(bool good) {
    require(good, "the system does as it is asked");
}

bool reads(call::kind what) {
    return what == call::kind::read || what == call::kind::read_exactly ||
           what == call::kind::readable;
}

/// Limits, ill luck, and what the caller can do wrong.
bool is_harmless(std::error_code code) {
    return code == errc::timed_out || code == errc::canceled || code == errc::busy ||
           code == errc::write_closed || code == errc::key_update_refused;
}

} // namespace

std::span<const std::byte> pattern() noexcept {
    static const bytes all = [] {
        bytes made(1 << 20);
        for (std::size_t i = 0; i < made.size(); ++i)
            made[i] = static_cast<std::byte>(i % 251 + i / 251 % 7);
        return made;
    }();
    return all;
}

world::world(role ours) : ours_(ours) {
    static_cast<void>(fixed_identity());
    static_cast<void>(pattern());
    for (int i = 0; i < manners; ++i) {
        const auto how = static_cast<manner>(i);
        const bool client = ours == role::client;
        const bool newest = how == manner::tls_1_3 || how == manner::certified;
        reset_openssl();
        if (client)
            clients_.push_back(make_client(how));
        else
            servers_.push_back(make_server(how));
        peers_.push_back(peer::context(!client, newest ? TLS1_3_VERSION : TLS1_2_VERSION,
                                       how == manner::certified));
    }
}

world& world::of(role ours) {
    if (ours == role::client) {
        static world clients(role::client);
        return clients;
    }
    static world servers(role::server);
    return servers;
}

stream world::make_stream(int fd, manner how) {
    const auto index = static_cast<std::size_t>(how);
    if (ours_ == role::client)
        return {socket(loop, fd), clients_[index], "localhost"};
    return {socket(loop, fd), servers_[index]};
}

void world::forget() {
    reset_openssl();
    for (const auto& each : clients_)
        SSL_CTX_flush_sessions(each.native_handle(), 0);
    for (const auto& each : servers_)
        SSL_CTX_flush_sessions(each.native_handle(), 0);
}

call::call(kind what, std::size_t size, std::span<const std::byte> from) : what(what), from(from) {
    if (reads(what))
        into.resize(size);
    const auto third = from.size() / 3;
    pieces = {from.first(third), from.subspan(third, third), from.subspan(2 * third)};
}

conversation::conversation(world& in, manner how, int buffer)
    : world_((in.forget(), in)),
      peer_(in.peers(how), in.ours() == role::server),
      memory_(__sanitizer_get_current_allocated_bytes()) {
    std::array<int, 2> fds{};
    check_system(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    if (buffer > 0)
        check_system(::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) == 0);
    fd_ = fds[1];
    stream_ = std::make_unique<stream>(in.make_stream(fds[0], how));
}

conversation::~conversation() {
    reset();
}

template<class Make>
test::started conversation::perform(conversation& on, call& self, limits within, Make make) {
    auto operation = make();
    operation.limit(within);
    const auto ended = co_await as_result(std::move(operation));
    on.conclude(self, ended);
}

void conversation::start(call::kind what, std::size_t size, const limits& within, bool ask) {
    if (!stream_ || calls_.size() >= calls_allowed)
        return;
    std::span<const std::byte> from;
    if (what == call::kind::write || what == call::kind::write_pieces)
        from = pattern().subspan(written_, std::min(size, pattern().size() - written_));
    read_lost_ = read_lost_ || what == call::kind::shutdown;
    begin(calls_.emplace_back(what, size, from), within, ask);
}

void conversation::begin(call& self, const limits& within, bool ask) {
    stream& s = *stream_;
    switch (self.what) {
    case call::kind::handshake:
        self.frame = perform(*this, self, within, [&s] { return s.handshake(); });
        break;
    case call::kind::read:
        self.frame = perform(*this, self, within, [&s, &self] { return s.read(self.into); });
        break;
    case call::kind::read_exactly:
        self.frame =
            perform(*this, self, within, [&s, &self] { return s.read_exactly(self.into); });
        break;
    case call::kind::readable:
        self.frame = perform(*this, self, within, [&s] { return s.readable(); });
        break;
    case call::kind::write:
        self.frame = perform(*this, self, within, [&s, &self] { return s.write(self.from); });
        break;
    case call::kind::write_pieces:
        self.frame = perform(*this, self, within, [&s, &self] { return s.write(self.pieces); });
        break;
    case call::kind::close_write:
        self.frame = perform(*this, self, within, [&s] { return s.close_write(); });
        break;
    case call::kind::shutdown:
        self.frame = perform(*this, self, within, [&s] { return s.shutdown(); });
        break;
    case call::kind::key_update:
        self.frame = perform(*this, self, within, [&s, ask] {
            return s.key_update(ask ? key_update_request::requested
                                    : key_update_request::not_requested);
        });
        break;
    }
}

template<class T>
void conversation::conclude(call& self, const result<T>& ended) {
    self.ended = true;
    self.good = ended.has_value();
    if (!ended) {
        check_error(ended.error());
        self.code = ended.error().code();
        self.count = ended.error().bytes();
        check_honest_failure(self);
    } else if constexpr (!std::is_void_v<T>) {
        self.count = *ended;
    } else if (self.what == call::kind::read_exactly) {
        self.count = self.into.size();
    }
    switch (self.what) {
    case call::kind::read:
    case call::kind::read_exactly:
        check_read(self, self.count);
        if (self.good && self.count == 0 && !self.into.empty())
            check_clean_end();
        break;
    case call::kind::write:
    case call::kind::write_pieces:
        require(self.count <= self.from.size(), "a write accepts what there is and no more");
        require(!self.good || self.count == self.from.size(), "a good write is a whole one");
        written_ += self.count;
        break;
    case call::kind::handshake:
    case call::kind::readable:
    case call::kind::close_write:
    case call::kind::shutdown:
    case call::kind::key_update:
        break;
    }
    const bool truncated_alone =
        self.what == call::kind::read_exactly && self.code == errc::truncated;
    if (reads(self.what) && !self.good && !is_harmless(self.code) && !truncated_alone) {
        require(!fatal_ || fatal_ == self.code, "a fatal error is reported again");
        fatal_ = self.code;
    }
}

/// What was read is what the peer sent, in order; and nothing from behind a flood of key updates.
void conversation::check_read(const call& self, std::size_t count) {
    require(count <= self.into.size(), "a read fits its buffer");
    require(!fatal_ || count == 0, "nothing is read after a fatal error");
    if (read_lost_)
        return;
    require(count <= sent_.size() - read_, "nothing is read that was not sent");
    require(std::equal(self.into.begin(), self.into.begin() + static_cast<std::ptrdiff_t>(count),
                       sent_.begin() + static_cast<std::ptrdiff_t>(read_)),
            "what is read is what was sent");
    read_ += count;
    for (const auto& [before, updates] : updates_)
        require(clock_moved_ || before >= read_ || updates <= key_updates_allowed,
                "a flood of key updates is noticed");
}

/// A clean end is what the peer says under its keys, behind its last byte.
void conversation::check_clean_end() const {
    const bool said = peer_closed_ && (read_lost_ || read_ == sent_.size());
    require(said || alert_forged_, "nobody but the peer ends a stream cleanly");
}

void conversation::check_honest_failure(const call& self) const {
    const bool closed = peer_closed_ && self.code == errc::truncated;
    require(!honest_ || closed || is_harmless(self.code), "an honest conversation does not fail");
}

void conversation::destroy_call() {
    for (auto& each : calls_) {
        if (each.ended)
            continue;
        read_lost_ = read_lost_ || each.what == call::kind::read_exactly;
        write_unknown_ = write_unknown_ || !each.from.empty();
        each.frame.destroy();
        each.ended = true;
        return;
    }
}

void conversation::destroy_stream() {
    hostile();
    stream_.reset();
}

void conversation::move_stream() {
    if (stream_)
        stream_ = std::make_unique<stream>(std::move(*stream_));
}

void conversation::send_raw(std::span<const std::uint8_t> from) {
    hostile();
    insert(peer_.output().size(), from);
    forward(peer_.output().size());
}

void conversation::exchange() {
    if (fd_ < 0)
        return;
    std::array<std::byte, 65536> buffer;
    for (;;) {
        const auto count = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count < 0)
            break;
        if (count == 0) {
            peer_.end_of_input();
            break;
        }
        taken_ += static_cast<std::size_t>(count);
        peer_.receive(std::span(buffer).first(static_cast<std::size_t>(count)));
    }
    peer_.receive({});
    honest_ = honest_ && peer_.key_updates() <= key_updates_allowed;
    check_peer();
}

/// What the peer decrypts is what was written.
void conversation::check_peer() {
    require(!honest_ || !peer_.failed(), "an honest peer has nothing to object to");
    const auto& got = peer_.received();
    if (write_unknown_)
        return;
    require(got.size() <= pattern().size() &&
                std::equal(got.begin() + static_cast<std::ptrdiff_t>(peer_checked_), got.end(),
                           pattern().begin() + static_cast<std::ptrdiff_t>(peer_checked_)),
            "what arrives is what was written");
    peer_checked_ = got.size();
}

void conversation::forward(std::size_t size) {
    auto& output = peer_.output();
    const auto count = fd_ < 0 ? -1
                               : ::send(fd_, output.data(), std::min(size, output.size()),
                                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count <= 0)
        return;
    const auto end = output.begin() + static_cast<std::ptrdiff_t>(count);
    forwarded_.insert(forwarded_.end(), output.begin(), end);
    output.erase(output.begin(), end);
}

void conversation::corrupt(std::size_t at, std::uint8_t by) {
    auto& output = peer_.output();
    if (output.empty() || by == 0)
        return;
    hostile();
    output[at % output.size()] ^= static_cast<std::byte>(by);
}

void conversation::drop(std::size_t at, std::size_t size) {
    auto& output = peer_.output();
    if (output.empty() || size == 0)
        return;
    hostile();
    at %= output.size();
    const auto begin = output.begin() + static_cast<std::ptrdiff_t>(at);
    output.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, output.size() - at)));
}

void conversation::insert(std::size_t at, std::span<const std::uint8_t> what) {
    auto& output = peer_.output();
    if (what.empty() || output.size() > output_allowed)
        return;
    hostile();
    const auto raw = std::as_bytes(what);
    at %= output.size() + 1;
    output.insert(output.begin() + static_cast<std::ptrdiff_t>(at), raw.begin(), raw.end());
}

void conversation::repeat(std::size_t at, std::size_t size) {
    auto& output = peer_.output();
    if (output.empty() || size == 0 || output.size() > output_allowed)
        return;
    hostile();
    at %= output.size();
    const auto begin = output.begin() + static_cast<std::ptrdiff_t>(at);
    const bytes copy(begin,
                     begin + static_cast<std::ptrdiff_t>(std::min(size, output.size() - at)));
    output.insert(output.begin() + static_cast<std::ptrdiff_t>(at), copy.begin(), copy.end());
}

void conversation::peer_write(std::size_t size) {
    // A renegotiation makes OpenSSL forget that it has sent close_notify.
    if (peer_closed_ || sent_.size() + size > pattern().size() ||
        peer_.output().size() > output_allowed)
        return;
    const auto data = pattern().subspan(sent_.size(), size);
    const auto updates = peer_.key_updates();
    if (!peer_.write(data))
        return;
    updates_.emplace_back(sent_.size(), updates);
    sent_.insert(sent_.end(), data.begin(), data.end());
}

void conversation::peer_updates_keys(int times, bool request) {
    for (int i = 0; i < times; ++i)
        peer_.update_keys(request);
    honest_ = honest_ && peer_.key_updates() <= key_updates_allowed;
}

void conversation::peer_renegotiates() {
    hostile();
    peer_.renegotiate();
}

void conversation::peer_closes() {
    peer_closed_ = peer_.close() || peer_closed_;
}

void conversation::forge(std::uint8_t type, std::span<const std::uint8_t> content,
                         std::size_t padding, std::size_t times) {
    hostile();
    if (type == 0) // padding: what is before it would be the type (RFC 8446, section 5.4)
        return;
    for (std::size_t i = 0; i < times && peer_.output().size() <= output_allowed; ++i) {
        if (!peer_.forge(type, content, padding))
            return;
        const auto raw = std::as_bytes(content);
        alert_forged_ = alert_forged_ || type == SSL3_RT_ALERT;
        if (type == SSL3_RT_APPLICATION_DATA)
            sent_.insert(sent_.end(), raw.begin(), raw.end());
    }
}

void conversation::finish_sending() {
    hostile();
    if (fd_ >= 0)
        ::shutdown(fd_, SHUT_WR);
}

/// A reset, if there is something that the peer has not read.
void conversation::reset() {
    hostile();
    if (fd_ >= 0)
        ::close(std::exchange(fd_, -1));
}

void conversation::advance_clock(loop_clock::duration by) {
    clock_moved_ = true;
    world_.clock.advance(by);
}

void conversation::expect(std::size_t size) {
    hostile();
    peer_.output().clear();
    peer_closed_ = true;
    const auto all = pattern().first(size);
    sent_.assign(all.begin(), all.end());
    memory_ = __sanitizer_get_current_allocated_bytes();
}

void conversation::check_memory() {
    auto known = peer_.output().capacity() + peer_.received().capacity() + sent_.capacity() +
                 forwarded_.capacity();
    for (const auto& each : calls_)
        known += each.into.size() + call_overhead;
    require(__sanitizer_get_current_allocated_bytes() <= memory_ + known + memory_allowed,
            "a connection's memory is bounded");
}

task<> conversation::turn() {
    co_await world_.loop.yield();
    check_memory();
    if (!reading_on_ || !stream_)
        co_return;
    const bool idle = calls_.empty() || calls_.back().ended;
    const bool over = !calls_.empty() && calls_.back().ended &&
                      calls_.back().what == call::kind::read &&
                      (!calls_.back().good || calls_.back().count == 0);
    if (over)
        reading_on_ = false;
    else if (idle)
        start(call::kind::read, 4096, limits());
}

task<> conversation::converse(int rounds) {
    int idle = 0;
    for (int i = 0; i < rounds && idle < 2; ++i) {
        const auto before = std::make_pair(taken_, forwarded_.size());
        exchange();
        forward(peer_.output().size());
        co_await turn();
        co_await turn();
        idle = before == std::make_pair(taken_, forwarded_.size()) ? idle + 1 : 0;
    }
}

bool conversation::pending(bool reads_too) const {
    return std::ranges::any_of(
        calls_, [&](const call& each) { return !each.ended && (reads_too || !reads(each.what)); });
}

/// Until the kernel has had no news for the loop in a while: a loop that spins never gets there.
task<> conversation::until_quiet() {
    int quiet = 0;
    for (int turns = 0; quiet < 4; ++turns) {
        require(turns < turns_allowed, "a loop with nothing to do comes to rest");
        const auto before = loop().counters().completions;
        co_await turn();
        quiet = loop().counters().completions == before ? quiet + 1 : 0;
    }
}

/// With a peer that takes and sends all it can, everything that can arrive does.
task<> conversation::settle_honestly() {
    int idle = 0;
    for (int rounds = 0; idle < 3; ++rounds) {
        require(rounds < turns_allowed, "an honest conversation comes to rest");
        const auto before = std::make_pair(taken_, forwarded_.size());
        co_await converse(1);
        idle = before == std::make_pair(taken_, forwarded_.size()) ? idle + 1 : 0;
    }
    if (!honest_ || !stream_)
        co_return;
    for (const auto& each : calls_) {
        const bool waits_for_peer =
            reads(each.what) || (each.what == call::kind::shutdown && !peer_closed_);
        require(each.ended || waits_for_peer, "what does not wait for the peer has ended");
        const bool has_news = read_ < sent_.size() || peer_closed_;
        require(each.ended || !has_news || read_lost_ || each.what != call::kind::read,
                "a read ends when there is something to read");
    }
    require(write_unknown_ || pending(false) || peer_.received().size() == written_,
            "everything that was written arrives");
}

/// The end of the peer ends everything, soon; and the first fatal error is the last word.
task<> conversation::finish() {
    if (honest_ && fd_ >= 0)
        co_await settle_honestly();
    co_await until_quiet();
    reading_on_ = false;
    reset();
    for (int turns = 0; pending(true); ++turns) {
        require(turns < turns_allowed, "every call ends when the peer is gone");
        co_await turn();
    }
    if (stream_)
        co_await check_sticky();
    stream_.reset();
    co_await until_quiet();
}

task<std::error_code> conversation::code_of(call::kind what) {
    auto& made = calls_.emplace_back(what, 4096, pattern().first(1));
    begin(made, limits(), false);
    for (int turns = 0; !made.ended; ++turns) {
        require(turns < turns_allowed, "every call ends when the peer is gone");
        co_await turn();
    }
    const bool data = what == call::kind::read && made.good && made.count > 0;
    co_return data ? make_error_code(errc::busy) : made.code;
}

task<> conversation::check_sticky() {
    auto first = make_error_code(errc::busy);
    while (first == errc::busy)
        first = co_await code_of(call::kind::read);
    static_cast<void>(stream_->info());
    const auto second = co_await code_of(call::kind::read);
    require(first == second, "the end of a stream stays what it is");
    if (!first) // the peer had closed its side
        co_return;
    for (const auto what : {call::kind::write, call::kind::handshake, call::kind::readable}) {
        const auto later = co_await code_of(what);
        require(later == first, "the first fatal error is reported by everything after it");
    }
}

} // namespace ringtls::fuzz
