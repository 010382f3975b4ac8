// SPDX-License-Identifier: MIT
// Connection attempts to several addresses at once, started one after another (RFC 8305, section
// 5).
//
//   start() --- failed at once ----------------------------> the next one is due
//      |
//      +--- under way: poll armed, alarm set for the delay
//              |  readiness: connected ---> the winner; the others are closed
//              |  readiness: refused -----> the next one is due
//              |  alarm ------------------> the next one is due
//
// Whatever happens schedules the operation, whose attempt goes on here: no more than one level of
// the loop is below it.
#pragma once

#include <ringtls/net/connect_host.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ringtls::detail {

/// The addresses in the order in which they are tried: the families in turns, each in the order it
/// had (RFC 8305, section 4, with a First Address Family Count of 1).
[[nodiscard]] std::vector<address> interleaved(const std::vector<address>& from);

class connect_race {
  public:
    static constexpr std::size_t most_addresses = 64;

    /// addresses: in the order in which they are tried; not empty.
    connect_race(connect_host_operation& owner, std::vector<address> addresses,
                 const connect_options& options);
    connect_race(const connect_race&) = delete;
    connect_race& operator=(const connect_race&) = delete;
    ~connect_race();

    /// Looks at what is ready and starts what is due. Nothing: it goes on when the operation is
    /// scheduled.
    [[nodiscard]] std::optional<result<socket>> advance();

  private:
    /// What the loop calls for this race: it only schedules the operation.
    class entry : public loop_entry {
      public:
        explicit entry(connect_host_operation& owner) noexcept : owner_(owner) {}
        void on(cause why, short events) override;

        bool rang = false;
        short ready = 0; ///< poll(2)'s answer; 0: none yet

      private:
        connect_host_operation& owner_;
    };

    struct rival {
        entry wait;
        std::size_t index; ///< of its address
        socket carrier;
    };

    [[nodiscard]] std::optional<socket> look_at_rivals();
    [[nodiscard]] std::optional<socket> start_next();
    void arm(rival& one);
    void note(std::size_t index, const error& failure);
    [[nodiscard]] error failure() const;
    [[nodiscard]] loop_core& core() const noexcept;

    connect_host_operation& owner_;
    const connect_options& options_;
    const std::vector<address> addresses_;
    std::size_t next_ = 0;
    bool due_ = true; ///< the next one
    entry alarm_;
    std::vector<std::unique_ptr<rival>> rivals_;
    std::optional<error> first_failure_; ///< of the first address
    std::string other_failures_;
};

} // namespace ringtls::detail
