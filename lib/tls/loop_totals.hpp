// SPDX-License-Identifier: MIT
// The streams of a loop, to count what they do.
#pragma once

#include <ringtls/tls/counters.hpp>

#include "../loop/loop_core.hpp"
#include "failure.hpp"

namespace ringtls::detail {

class loop_totals final : public loop_attachment {
  public:
    /// A stream's place among those of its loop. Its counters outlive it, and are kept at its end.
    class member {
      public:
        /// Throws std::bad_alloc.
        member(loop_core& loop, const stream_counters& counters);
        member(const member&) = delete;
        member& operator=(const member&) = delete;
        ~member();

        void note_handshake(bool resumed) noexcept;
        void note_failed_handshake(const failure& why) noexcept;

      private:
        friend loop_totals;

        loop_totals& totals_;
        const stream_counters& counters_;
        member* previous_ = nullptr;
        member* next_ = nullptr;
        bool handshake_noted_ = false;
    };

    /// Made when it is first asked for. Throws std::bad_alloc.
    static loop_totals& of(loop_core& loop);

    /// All together.
    [[nodiscard]] tls_counters sum() const noexcept;

  private:
    tls_counters past_; ///< of streams that are gone, and the handshakes of all
    member* members_ = nullptr;
};

} // namespace ringtls::detail
