// SPDX-License-Identifier: MIT
// Echoes: what is sent has to come back.
#include "closed_loop.hpp"
#include "works.hpp"

#include <cstring>
#include <random>

namespace load {

namespace {

class echo_dialogue {
  public:
    struct state {
        std::size_t variant = 0;
        std::size_t received = 0;
    };

    explicit echo_dialogue(std::size_t size) : size_(size), pattern_(size + variants) {
        std::minstd_rand random; // NOLINT(bugprone-random-generator-seed): the same each time
        for (auto& byte : pattern_)
            byte = static_cast<std::byte>(random() >> 8);
    }

    [[nodiscard]] std::size_t size() const { return size_; }

    std::span<const std::byte> request(state& of) {
        of = {of.variant + 1 == variants ? 0 : of.variant + 1, 0};
        return std::span(pattern_).subspan(of.variant, size_);
    }

    bool take(state& of, std::span<const std::byte> answer) const {
        if (answer.size() > size_ - of.received ||
            std::memcmp(answer.data(), &pattern_[of.variant + of.received], answer.size()) != 0)
            throw std::runtime_error("an echo differs from what was sent");
        of.received += answer.size();
        return of.received == size_;
    }

  private:
    /// A request begins at one of so many places of the pattern, so that an old answer is noticed.
    static constexpr std::size_t variants = 251;

    std::size_t size_;
    std::vector<std::byte> pattern_;
};

} // namespace

void run_echo(const options& options) {
    open_connections connections(options);
    for (const auto& [size, active] : options.series) {
        echo_dialogue dialogue(size);
        closed_loop(connections, dialogue, active).run();
    }
    connections.close();
}

} // namespace load
