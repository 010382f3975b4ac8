// SPDX-License-Identifier: MIT
#include <ringtls/version.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("The version in the headers is the project's") {
    CHECK(ringtls::version == RINGTLS_PROJECT_VERSION);
}

TEST_CASE("The version's numbers are those of its text") {
    const auto text = std::to_string(ringtls::version_major) + '.' +
                      std::to_string(ringtls::version_minor) + '.' +
                      std::to_string(ringtls::version_patch);
    CHECK(ringtls::version == text);
}
