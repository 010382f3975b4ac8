// SPDX-License-Identifier: MIT
// A client and a server, what befalls them, and what must hold all the same.
#pragma once

#include "side.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace ringtls::soak {

/// The contexts of one round, shared by its connections.
class contexts {
  public:
    contexts();

    std::vector<client_context> clients; ///< [version: any, 1.2, 1.3][without certificate, with]
    std::vector<server_context> servers; ///< [tickets: 0, 1, 2, 8][any client, certificate needed]
    client_context distrusting;
    server_context newest_only;
};

enum class fate {
    peace,
    refusal,  ///< a certificate, a name or a version that the other does not accept
    leaving,  ///< one side destroys its stream
    reset,    ///< the same, with RST
    cut,      ///< shutdown(2) under the stream
    garbage,  ///< bytes that are no TLS, sent under the stream
    theft,    ///< bytes taken from a socket before its stream could
    stranger, ///< a peer that never spoke TLS
};

class encounter final : public judge {
  public:
    /// All of it follows from the seed. The sockets, client and server, are connected.
    encounter(world& around, const contexts& with, std::uint64_t seed, std::array<int, 2> fds);

    /// Once a turn of the loop.
    void turn();
    [[nodiscard]] bool over() const;
    /// What must hold at the end. Counts it.
    void conclude();

  private:
    enum class refusal { wrong_name, distrust, no_certificate, version };

    [[nodiscard]] side_plan plan(std::size_t which);
    void shrink_send_buffers(std::array<int, 2> fds);
    void open_streams(const contexts& with, std::array<int, 2> fds);
    void befall();
    void sever();
    void check_refusal() const;
    void check_progress();
    void check_left_behind() const;
    void report(const std::string& promise) const override;
    [[nodiscard]] bool may_fail(const error& why) const override;
    [[nodiscard]] std::string ending() const;

    world& world_;
    std::uint64_t seed_;
    dice luck_;
    bool tcp_;
    fate fate_;
    refusal refusal_;
    std::size_t version_; ///< index into contexts::clients
    bool updates_keys_;
    unsigned size_bits_;
    std::size_t calm_;
    std::size_t victim_;  ///< index of the side that it befalls
    std::size_t due_;     ///< the turn when it does
    std::size_t severed_; ///< the turn when both sockets are cut, should anybody still wait
    std::size_t turn_ = 0;
    bool befallen_ = false;
    std::size_t last_progress_ = 0;
    std::size_t stalled_ = 0; ///< turns since then
    ledger to_server_;
    ledger to_client_;
    std::array<int, 2> fds_; ///< the streams' own; the stranger's is owned
    std::unique_ptr<socket> stranger_;
    std::array<std::unique_ptr<side>, 2> sides_; ///< client, server
    std::array<std::size_t, 2> lingers_{};       ///< turns that each stays after its end
};

} // namespace ringtls::soak
