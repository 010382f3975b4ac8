// SPDX-License-Identifier: MIT
// Secret bytes are moved, and gone when they go.
#include "../support/loopback.hpp"

#include <ringtls/tls/secret.hpp>

#include <algorithm>
#include <type_traits>

namespace ringtls {

TEST_CASE("secret bytes are a copy, and move without leaving anything behind") {
    static_assert(!std::is_copy_constructible_v<secret_bytes>);
    const auto original = test::random_bytes(40);
    secret_bytes one(original);
    CHECK(std::ranges::equal(one.bytes(), original));
    secret_bytes other = std::move(one);
    CHECK(one.empty()); // NOLINT(bugprone-use-after-move)
    CHECK(std::ranges::equal(other.bytes(), original));
    one = std::move(other);
    CHECK(other.size() == 0); // NOLINT(bugprone-use-after-move)
    CHECK(std::ranges::equal(one.bytes(), original));
    CHECK(secret_bytes(3).bytes()[2] == std::byte(0));
}

} // namespace ringtls
