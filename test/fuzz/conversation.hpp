// SPDX-License-Identifier: MIT
// A stream of this library and a hostile peer, and what has to hold whatever the peer does.
//
//   calls on the stream --- ringtls --- socket pair --- what is sent of --- an honest peer's output
//    (in coroutines)                                                    --- and of the fuzzer's
//    bytes
#pragma once

#include "../started.hpp"
#include "peer.hpp"
#include "support.hpp"

#include <ringtls/ringtls.hpp>

#include <deque>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

namespace ringtls::fuzz {

enum class role { client, server };

/// What a conversation is held under.
enum class manner { tls_1_3, tls_1_2, renegotiating, certified };
inline constexpr int manners = 4;

/// What lives as long as the process: a loop, and contexts, which are slow to make.
class world {
  public:
    explicit world(role ours);

    manual_clock clock;
    event_loop loop{event_loop_options().clock(clock)};

    [[nodiscard]] stream make_stream(int fd, manner how);
    [[nodiscard]] SSL_CTX* peers(manner how) { return peers_[static_cast<std::size_t>(how)].get(); }
    [[nodiscard]] role ours() const noexcept { return ours_; }
    /// Forgets what an input could leave for the next one.
    void forget();

    /// The one of this process for this role.
    static world& of(role ours);

  private:
    role ours_;
    std::vector<client_context> clients_;
    std::vector<server_context> servers_;
    std::vector<detail::ssl_ctx_handle> peers_;
};

/// A call on the stream, in a coroutine of its own.
class call {
  public:
    enum class kind {
        handshake,
        read,
        read_exactly,
        readable,
        write,
        write_pieces,
        close_write,
        shutdown,
        key_update,
    };

    call(kind what, std::size_t size, std::span<const std::byte> from);

    kind what;
    bytes into;                                       ///< of a read
    std::span<const std::byte> from;                  ///< of a write
    std::array<std::span<const std::byte>, 3> pieces; ///< the same in three
    bool ended = false;
    bool good = false;
    std::error_code code;
    std::size_t count = 0; ///< read or written
    test::started frame;
};

class conversation {
  public:
    /// buffer: the socket's, 0: the system's.
    conversation(world& in, manner how, int buffer);
    conversation(const conversation&) = delete;
    conversation& operator=(const conversation&) = delete;
    ~conversation();

    // The stream's calls, which start at once, and what befalls them.
    void start(call::kind what, std::size_t size, const limits& within, bool ask = false);
    void destroy_call();
    void destroy_stream();
    void move_stream();
    /// Reads again whenever a read has ended, until there is no more.
    void keep_reading() { reading_on_ = true; }

    // The peer's doings.
    void send_raw(std::span<const std::uint8_t> from);
    void exchange();                ///< it takes what we sent, and makes its answer
    void forward(std::size_t size); ///< sends so much of its output
    void corrupt(std::size_t at, std::uint8_t by);
    void drop(std::size_t at, std::size_t size);
    void insert(std::size_t at, std::span<const std::uint8_t> what);
    void repeat(std::size_t at, std::size_t size);
    void peer_write(std::size_t size);
    void peer_updates_keys(int times, bool request);
    void peer_renegotiates();
    void peer_closes();
    void forge(std::uint8_t type, std::span<const std::uint8_t> content, std::size_t padding,
               std::size_t times);
    void finish_sending();
    void reset();
    void advance_clock(loop_clock::duration by);

    /// In place of the peer comes a recording, of one that wrote so many bytes and closed.
    void expect(std::size_t size);
    /// The bytes that the peer sent, for a recording.
    [[nodiscard]] const bytes& forwarded() const noexcept { return forwarded_; }
    [[nodiscard]] std::size_t bytes_read() const noexcept { return read_; }

    [[nodiscard]] event_loop& loop() noexcept { return world_.loop; }
    /// One turn of the loop, after which what always holds is checked.
    task<> turn();
    /// Both sides in turn, so many times at most: less if neither has anything to say.
    task<> converse(int rounds);
    /// Takes the conversation to its end, and checks what has to hold then.
    task<> finish();

  private:
    template<class Make>
    static test::started perform(conversation& on, call& self, limits within, Make make);
    template<class T>
    void conclude(call& self, const result<T>& ended);
    void begin(call& self, const limits& within, bool ask);
    void check_read(const call& self, std::size_t count);
    void check_clean_end() const;
    void check_honest_failure(const call& self) const;
    void check_peer();
    void check_memory();
    [[nodiscard]] bool pending(bool reads_too) const;
    task<> until_quiet();
    task<> settle_honestly();
    task<> check_sticky();
    task<std::error_code> code_of(call::kind what);
    void hostile() { honest_ = false; }

    world& world_;
    std::unique_ptr<stream> stream_;
    int fd_ = -1;
    peer peer_;
    std::deque<call> calls_;
    bool reading_on_ = false;

    bool honest_ = true;       ///< the peer has kept to the protocol
    bool peer_closed_ = false; ///< it has sent close_notify
    bool alert_forged_ = false;
    bool clock_moved_ = false;
    bool read_lost_ = false;     ///< some was dropped: by shutdown(), or with a frame that held it
    bool write_unknown_ = false; ///< one was destroyed that had had bytes accepted
    std::error_code fatal_;      ///< what reading ended with
    bytes sent_;                 ///< application data by the peer
    std::size_t read_ = 0;       ///< of it by us
    std::size_t written_ = 0;    ///< by us
    std::size_t peer_checked_ = 0; ///< of it by the peer
    std::vector<std::pair<std::size_t, int>>
        updates_;           ///< the peer's key updates before a byte of sent_
    bytes forwarded_;       ///< of the peer's output, encrypted
    std::size_t taken_ = 0; ///< by the peer, encrypted
    std::size_t memory_;
};

/// The bytes that both sides write.
[[nodiscard]] std::span<const std::byte> pattern() noexcept;

} // namespace ringtls::fuzz
